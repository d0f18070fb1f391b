"""A thousand looks in one process leave it as it was: memory, descriptors, threads, children."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")

SCRIPT = """
import gc, json, os, sys, threading
from whatfits.probes import detect
from whatfits.probes.replay import ReplaySystem

recordings = [json.loads(open(path).read()) for path in sys.argv[1:]]

def look(times):
    for number in range(times):
        detect() if number % 4 == 0 else detect(ReplaySystem(recordings[number % len(recordings)]))

def state():
    gc.collect()
    status = open("/proc/self/status").read()
    task = f"/proc/self/task/{os.getpid()}/children"
    return {
        "rss_kib": int(status.partition("VmRSS:")[2].split()[0]),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "children": open(task).read().split(),
    }

look(200)  # modules are loaded, caches are full
before = state()
look(1000)
print(json.dumps([before, state()]))
"""
MACHINES = ("gpu-h100-x8", "gpu-driver-hung", "docker-cgroup-v2-limit", "linux-xeon-max-hbm-flat")


def test_a_thousand_looks_leave_nothing_behind() -> None:
    folder = Path(__file__).parent.parent / "recorded" / "machines"
    files = [str(folder / f"{name}.json") for name in MACHINES]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *files], check=True, capture_output=True, text=True
    )
    before, after = json.loads(done.stdout)
    grown_kib = after.pop("rss_kib") - before.pop("rss_kib")
    sys.stdout.write(f"1,000 probes: {grown_kib} KiB more, {after}\n")
    assert grown_kib < 1024
    assert after == before
    assert after["threads"] == 1
    assert after["children"] == []
