"""``docs/cli.md`` from the commands themselves: ``python -m skerry.cli_docs > docs/cli.md``."""

import inspect
import sys
from collections.abc import Iterator

import click

from skerry.cli import skerry

HEAD = """\
# The command line

Made from the commands by `python -m skerry.cli_docs`; what `--help` says is the same.

Results go to stdout, everything else to stderr. `--output json` makes the result JSON
(`--format json` for `skerry device flash`, whose `--output` is a folder); a failure is then
`{"error": {"code", "text", "remedy", "detail"}}` on stdout as well. Only a wrong command line
(status 2) is told on stderr alone, for then it is not known what was asked for.
`skerry telemetry tail` and `skerry up` write one JSON document a line. Without a terminal, tables
have no frames and no colours, and lines are never cut.

| exit status | what |
|---|---|
| 0 | done |
| 1 | it failed; what happened and what to do is on stderr, with the error's code in brackets |
| 2 | the command line is wrong |
| 3 | the server cannot be reached, or does not accept the login |
| 130 | interrupted |

The login is found at `--login FILE`, else `$SKERRY_LOGIN`, else
`$XDG_CONFIG_HOME/skerry/login.json`, else `~/.config/skerry/login.json`.
"""


def document() -> str:
    """Return the whole page."""
    return "\n".join((HEAD, *(_section(*found) for found in _commands(skerry, "skerry"))))


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _section(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [f"## {path}", inspect.cleandoc(command.help or ""), f"```\n{path} {usage}\n```"]
    records = [
        record
        for param in command.get_params(context)
        if isinstance(param, click.Option)
        and (record := param.get_help_record(context)) is not None
        and param.name not in ("form", "login_file")
        and "--help" not in param.opts
    ]
    if records:
        rows = (f"| `{_cell(name)}` | {_cell(text)} |" for name, text in records)
        parts.append("\n".join(("| option | what |", "|---|---|", *rows)))
    if command.epilog:
        parts.append(f"`{command.epilog.removeprefix('Example: ')}`")
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())
