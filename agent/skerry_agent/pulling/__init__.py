"""Bring images onto the device, and keep them there: by digest, verified, within limits."""
