"""What an entry script may import from Azure's packages without having them.

``finder`` makes these modules importable under their names; installed packages win.
"""
