"""Requests over HTTP: which does what, and how they wait for ``run()``.

``routes`` is the table of paths, ``scoring`` the bounded queue, ``exchange`` one request with its
ids, log line and span; ``inference`` and ``swagger`` are families of paths of their own.
"""
