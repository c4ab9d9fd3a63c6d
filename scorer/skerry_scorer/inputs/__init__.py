"""Local input: where it comes from, and what keeps a bad one from stopping the next.

``source`` is what all of them promise. A ``folder`` is one by itself; ``topic``, ``command`` and
``timer`` bring messages to ``stream_input`` through a ``mailbox``. ``claim``, ``under_way`` and
``failed`` are about whose input it is, which one is being scored, and what has failed.
"""
