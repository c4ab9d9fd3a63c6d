"""How the database came to its present form: one revision for each change of its tables.

Revisions only go up. Before the first one, a database had its form's number in ``counters``.
``CONTRIBUTING.md`` says how to add one.
"""
