"""A recorded machine under the real clock: some of its sources really hang, or really take long.

usage: python tests/probes/clocked.py hung|slow MACHINE

Prints how long the answer took and what it found, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from faults import recorded  # noqa: E402 - found beside this file

from whatfits.probes import detect, isolate  # noqa: E402
from whatfits.probes.commands import run_command  # noqa: E402
from whatfits.probes.live import LiveSystem  # noqa: E402
from whatfits.probes.once import OnceSystem  # noqa: E402
from whatfits.probes.replay import ReplaySystem  # noqa: E402
from whatfits.probes.system import SourceHungError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SLOW_S = 0.8
_DRIVER_TREES = ("/sys/class/drm/", "/sys/class/kfd/", "/sys/bus/pci/", "/proc/driver/")


class ClockedSystem(LiveSystem):
    """The live machine's door and clocks before a recording's answers."""

    def __init__(self, recording: Mapping[str, Any], *, mode: str) -> None:
        super().__init__()
        self._replay = ReplaySystem(recording)
        self._mode = mode
        self.asked = 0

    platform = property(lambda self: self._replay.platform)
    architecture = property(lambda self: self._replay.architecture)
    environment = property(lambda self: self._replay.environment)

    def read_text(self, path: str) -> str:
        """Return a file; what a driver answers takes its time, or for ever."""
        text = self._replay.read_text(path)
        if not path.startswith(_DRIVER_TREES) or not path.rpartition("/")[2].startswith(
            ("mem_info_", "properties", "physical_vram", "information", "lmem_")
        ):
            return text
        if self._mode == "hung":
            self._ask_worker("call", "isolated_functions:sleep_deaf")
        return self._after_a_while(path, lambda: text)

    def list_dir(self, path: str) -> tuple[str, ...]:
        """Return names, at once."""
        return self._replay.list_dir(path)

    def read_link(self, path: str) -> str:
        """Return a link, at once."""
        return self._replay.read_link(path)

    def run(self, command: tuple[str, ...]) -> str:
        """Return what a program prints; it really hangs, or takes long."""
        printed = self._replay.run(command)
        if self._mode == "hung":
            self._patiently(command[0], lambda s: run_command(("/bin/sleep", "60"), deadline_s=s))
        return self._after_a_while(command[0], lambda: printed)

    def query(self, name: str) -> Mapping[str, object]:
        """Return a snapshot; a driver's call really hangs, or takes long."""
        answer = self._replay.query(name)
        if name == "disk":
            return answer
        if self._mode == "hung":
            function = "isolated_functions:sleep_deaf"
            self._patiently(name, lambda s: isolate.run_isolated(function, deadline_s=s))
        return self._after_a_while(name, lambda: answer)

    def _after_a_while(self, name: str, answer: Callable[[], Any]) -> Any:  # noqa: ANN401 - as it is
        def wait(deadline_s: float) -> object:
            time.sleep(min(SLOW_S, deadline_s))
            if deadline_s < SLOW_S:
                raise SourceHungError(f"{name} did not answer in time")
            return answer()

        self.asked += 1
        return self._patiently(name, wait)


def _queued_s() -> float:
    """Return how long this process has waited for a processor."""
    return int(Path("/proc/self/schedstat").read_text("ascii").split()[1]) / 1e9


def main() -> None:
    """Answer once."""
    mode, name = sys.argv[1:]
    system = ClockedSystem(recorded(name), mode=mode)
    started_s, queued_s = time.monotonic(), _queued_s()
    report = detect(OnceSystem(system))
    # what others kept the processor from us is not the answer's
    took_s = time.monotonic() - started_s - (_queued_s() - queued_s)
    system.close()
    host = report.machine.host_pool
    print(
        json.dumps(
            {
                "took_s": took_s,
                "codes": sorted({finding.code for finding in report.findings}),
                "devices": len(report.machine.devices),
                "host": None if host is None else host.total_bytes,
            }
        )
    )


if __name__ == "__main__":
    main()
