"""What the host is told: read once, checked, and handed on as frozen values.

``host`` reads all of it; ``inputs`` and ``data`` are the parts of ``settings.json`` that say where
local input comes from and what may be collected.
"""
