"""Settings of the tests that make up their own cases."""

from hypothesis import HealthCheck, settings

# A busy machine is no bug: nothing here is judged by how long it took.
settings.register_profile("skerry", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("skerry")
