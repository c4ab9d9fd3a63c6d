"""HTTP: the only part that knows of it, and thin.

``app`` puts it together; ``services`` is what the routes use, ``auth`` says who may, ``errors``
which status an error becomes, ``answers`` what answers look like. One module of routes per noun.
"""
