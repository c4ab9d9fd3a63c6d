"""The Open Inference Protocol, version 2, without I/O: tensors, and what is said with them.

Its paths are served by ``serving.inference``.
"""
