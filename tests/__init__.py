"""
The tests, laid out like ``appliance/``.

``tests.fakes`` has what stands in for the network and the clock; ``tests/integration`` uses real sockets.  The
hypothesis profile is ``ci`` (the same examples every time, but that hypothesis also tries literals of the modules that
are loaded, so that what ran before in a process counts) unless HYPOTHESIS_PROFILE says ``fuzz``.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=100,
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fuzz", deadline=None, max_examples=20_000, stateful_step_count=100)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
