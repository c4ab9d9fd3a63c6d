"""Local input to ``run()``, and its results to the agent.

``batch`` scores what is ready, ``results`` hands it over, ``feeder`` turns the wheel.
"""
