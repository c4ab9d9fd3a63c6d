"""The revisions, in a line: each file names the one before it."""
