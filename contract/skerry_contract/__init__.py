"""What all sides of Skerry say to each other: words, shapes, topics and errors.

Standard library only, no I/O. Read it in this order: ``errors`` (what can go wrong), ``names``
(how things are called), ``shape`` (how JSON becomes values), ``manifest`` (what people write),
``desired`` and ``envelope`` (what the cloud signs), ``messages`` and ``topics`` (what crosses
MQTT).
"""

__version__ = "0.1.0"
