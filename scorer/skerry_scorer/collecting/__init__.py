"""Collected data: sampled, redacted, and written below one folder within a budget.

What scripts call is in ``azure.collector_v1`` and ``azure.collector_v2``; all that they share is
here.
"""
