"""Bring the modules of this device to what is wanted, and remember what must not be forgotten."""
