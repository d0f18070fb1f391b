"""One Hypothesis profile for all tests: repeatable, and deaf to a busy machine."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

# read when numpy is first loaded: threads that share small matrices wait for each other, on a
# busy machine for minutes
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# a shell starts what it leaves in the background deaf to an interruption, and so would be every
# program that a test starts to interrupt it
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "shared",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("shared")
