"""Deployments: from a manifest that a person wrote to a signed document for each device.

``manifest_file`` reads and finds the wrong line, ``choice`` decides which deployment and which
image a device gets, ``service`` stores, signs and withdraws.
"""
