"""Paths in an unpacked image, as a process inside it would find them.

Images are full of links such as ``/lib -> usr/lib`` and ``/etc/x -> /usr/share/x``. Followed from
outside, an absolute one would lead to the device's own files.
"""

import os
from pathlib import Path

from skerry_contract.errors import ContractError

_MAX_LINKS = 40
"""Links on the way to one path; the kernel's own limit."""


def inside(root: Path, path: str, *, follow_last: bool = True) -> Path:
    """Return where ``path`` lies below ``root``, following links as if ``root`` were ``/``.

    Nothing needs to exist. No component of the answer but the last is a link, and the last only
    without ``follow_last``. Holds as long as nobody else changes links below ``root`` meanwhile.

    Args:
        root: An unpacked image; an absolute path without links.
        path: Path in the image, absolute or from its root on.
        follow_last: Whether to follow the last component too, if it is a link.

    Raises:
        ContractError: The links on the way go round in circles.
    """
    found: list[str] = []
    todo = path.split("/")[::-1]
    links = 0
    while todo:
        step = todo.pop()
        if step in ("", "."):
            continue
        if step == "..":
            found = found[:-1]
            continue
        here = root.joinpath(*found, step)
        if (follow_last or any(todo)) and here.is_symlink():
            links += 1
            if links > _MAX_LINKS:
                raise ContractError(f"more than {_MAX_LINKS} links on the way to {path!r:.200}")
            target = str(here.readlink())
            if target.startswith("/"):
                found = []
            todo += target.split("/")[::-1]
        else:
            found.append(step)
    return root.joinpath(*found)


def relative_target(link: str, target: str) -> str:
    """Return what a link in an image should hold so that it never leads out of it.

    Args:
        link: Path of the link, from the image's root on, without a slash in front.
        target: What the image says it holds.

    Raises:
        ContractError: It climbs above the root of the image.
    """
    depth = link.count("/")
    if target.startswith("/"):
        return "../" * depth + (target.lstrip("/") or ".")
    steps = os.path.normpath(target).split("/")
    if steps.count("..") > depth:
        raise ContractError(f"link {link!r:.200} to {target!r:.200} leads out of the image")
    return target
