"""How Hypothesis searches: the same way each time, so that a run says something about the change and not about luck.

``HYPOTHESIS_PROFILE=searching`` looks elsewhere in every run.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadlines and no opinion on slow inputs: the machine may be busy with other things.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("steady", derandomize=True, database=None, **_PATIENT)  # type: ignore[arg-type]
settings.register_profile("searching", **_PATIENT)  # type: ignore[arg-type]
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
