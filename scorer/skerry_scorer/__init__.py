"""The scorer host: it runs an entry script inside a module, and knows nothing of the others.

It travels into module images, so it is standard library only and small. Read it in this order:
``settings`` (what it is told), ``entry`` (the entry script and what can go wrong in it),
``arguments`` and ``raw_http`` (how it is called), ``worker`` (the threads that it runs in),
``wire`` and ``connection`` (HTTP), ``scoring`` (how requests wait for it), ``routes`` (which
request does what), ``golden`` (the golden set), ``folder``, ``agent_link`` and ``feeder`` (local
input and where its results go), ``host`` (all of it together).
"""
