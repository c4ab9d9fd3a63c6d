"""Run a scorer in a device's limits, measure it, and say what it needs.

``scorer`` finds what to run, ``requests`` what to ask, ``limits`` holds it in, ``run`` starts,
asks and watches, ``report`` judges the numbers, ``plot`` draws them.
"""
