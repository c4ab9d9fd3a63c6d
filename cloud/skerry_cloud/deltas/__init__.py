"""Differences between layers, made when a device asks and kept as long as there is room."""
