"""Property tests are judged by what they find, not by how long a loaded machine takes for it."""

from hypothesis import HealthCheck, settings

settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loaded")
