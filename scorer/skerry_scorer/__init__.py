"""The scorer host: it runs an entry script inside a module, and knows nothing of the others.

It travels into module images, so it is standard library only and small. Read it in this order:
``settings`` (what it is told), ``script`` (the entry script, how it is called, and what can go
wrong in it), ``http`` (the protocol), ``serving`` (which request does what, and how they wait),
``open_inference`` (tensors), ``inputs`` and ``feeding`` (local input, and where its results go),
``azure`` and ``collecting`` (what scripts may import), ``observing`` (logs, metrics, traces), and
``host`` (all of it together). A package imports only those below it: ``pyproject.toml`` has them
in layers.
"""
