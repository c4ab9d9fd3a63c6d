"""Compile a model into the form that suits a device, and prove that it still says the same.

``forms`` recognises, ``plan`` decides what to do, ``families`` provides the heavy libraries in an
environment of their own, ``child`` runs ``converters/`` in it, ``proof`` judges what came out, and
``work`` puts them together.
"""
