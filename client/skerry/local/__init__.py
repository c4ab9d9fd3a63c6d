"""Local services: a scorer host as a process of this machine, without a server and a container.

A service is a folder and the process that serves it. The folder says what is wanted; whether it
runs is seen in the process table, so that no ``kill -9`` leaves a record that lies.

Read it in this order. ``record`` is what is wanted, ``layout`` where that lies, ``processes`` and
``answers`` are the world as it is, and ``service`` joins them. ``interpreter`` finds or makes the
Python, ``places`` the user's folders.
"""
