"""Exit statuses of ``skerry``: see its help."""

DONE, FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130
