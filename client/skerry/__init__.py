"""The ``skerry`` command and what it is made of: it talks to the cloud over HTTP only.

Read it in this order. ``answers`` and ``api`` are the cloud as seen from here, ``transport``
carries both. ``files`` and ``upload`` bring folders there. ``flash`` makes what goes to a device.
``commands`` has one file per noun; ``session`` and ``output`` are what they share. ``server`` and
``demo`` start other parts as processes, ``local`` scorer hosts; nothing here imports them.
"""
