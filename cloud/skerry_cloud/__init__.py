"""The server: it registers models, builds modules, deploys them, and listens to devices.

Read it in this order. ``registry`` and ``builds`` say what can be shipped, ``deployments`` what
should run where, ``trust`` signs that; ``fleet`` and ``ingest`` know what devices say,
``publisher`` and ``link`` speak to them; ``api`` is HTTP over all of it. ``assembly`` connects the
parts and ``serve`` runs them. ``compiler``, ``blobs`` and ``broker`` stand on their own.
"""
