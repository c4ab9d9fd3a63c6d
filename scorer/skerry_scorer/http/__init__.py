"""HTTP/1.1, and nothing of what is asked: bytes in, requests out, answers back.

``wire`` is the protocol and does no I/O, nor do ``answers``, ``cors`` and ``multipart``;
``connection`` puts it on asyncio's transports, with limits on everything.
"""
