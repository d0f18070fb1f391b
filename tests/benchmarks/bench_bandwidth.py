"""Reading memory: numpy's kernel in threads against the same kernel as a loop in C.

    python tests/benchmarks/bench_all.py --only P18,P19

Needs a C compiler (`cc`) with OpenMP. Both take the dot product of two streams of the same size in
as many threads, in turn, round after round; medians are compared. Then every core gets a busy
process: each probe must be flagged, and the figure of one thread be right when corrected by its
processor time. A run in which the C loop itself
spreads by more than a tenth, or was disturbed, is void. The last line is the probe's own time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from harness import Row, come_as_others, come_first

from whatfits.bench.bandwidth import buffer_bytes, measure_rates, thread_counts
from whatfits.bench.session import host_threads
from whatfits.bench.timing import CLEAN_SHARE, median, spread
from whatfits.probes import detect
from whatfits.sizing.units import GB

if TYPE_CHECKING:
    from peers import Peers

SOURCE = r"""
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

/* numpy asks for large pages too, which is half of what makes it fast */
static double *numbers(long n) {
  void *room = aligned_alloc(1 << 21, (n * 8 / (1 << 21) + 1) << 21);
  madvise(room, n * 8, MADV_HUGEPAGE);
  return room;
}

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

int main(int argc, char **argv) {
  long n = atol(argv[1]) / 16;
  int threads = atoi(argv[2]), rounds = atoi(argv[3]);
  double *a = numbers(n), *b = numbers(n), sum = 0;
  omp_set_num_threads(threads);
#pragma omp parallel for
  for (long i = 0; i < n; i++) { a[i] = 1; b[i] = 0.5; }
  for (int r = 0; r <= rounds; r++) {
    double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
#pragma omp parallel for reduction(+ : sum)
    for (long i = 0; i < n; i++) sum += a[i] * b[i];
    wall = now(CLOCK_MONOTONIC) - wall;
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (r) printf("%.9f %.9f\n", wall, cpu);
  }
  fprintf(stderr, "%f\n", sum);
  free(a);
  free(b);
  return 0;
}
"""
FLAGS = ("-O3", "-march=native", "-ffast-math", "-funroll-loops", "-fopenmp")
WITHIN = 0.15
VOID_SPREAD = 0.1
LOADED_PROBES = 10


def built(folder: Path) -> Path:
    """Return the compiled loop."""
    source, program = folder / "dot.c", folder / "dot"
    source.write_text(SOURCE)
    subprocess.run(["cc", *FLAGS, "-o", program, source], check=True)
    return program


def c_rates(program: Path, total_bytes: int, threads: int, rounds: int) -> list[float]:
    """Return bytes a second of the rounds that nobody disturbed."""
    command = [program, str(total_bytes), str(threads), str(rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    pairs = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    return [total_bytes / wall for wall, cpu in pairs if cpu >= CLEAN_SHARE * threads * wall]


def under_load(total_bytes: int, cores: int, quiet_per_s: float | None) -> list[Row]:
    """Return P19: how many probes are flagged under a load, how far corrected figures are off."""
    spin = [sys.executable, "-c", "while True: pass"]
    come_as_others()
    loads = [subprocess.Popen(spin) for _ in range(cores)]
    flagged, corrected = 0, []
    try:
        for _ in range(LOADED_PROBES):
            rates = measure_rates(total_bytes=total_bytes, cores=cores)
            flagged += rates.cpu_share < CLEAN_SHARE
            corrected.append(rates.reads[0].corrected_per_s or 0.0)
    finally:
        for load in loads:
            load.kill()
            load.wait()
        come_first()
    shown = f"{flagged} of {LOADED_PROBES}"
    flags = Row("P19", "probes flagged, a busy process a core", shown, "",
                100 * flagged / LOADED_PROBES, least=100, unit="%")  # fmt: skip
    if quiet_per_s is None:
        return [flags, Row("P19", "one thread, corrected", "", "", None, most=20, unit="%")]
    misses = sorted(abs(value / quiet_per_s - 1) for value in corrected)
    return [
        flags,
        Row("P19", "one thread, corrected: worst miss from the quiet figure",
            f"median miss {median(misses):.0%}", f"quiet: {quiet_per_s / GB:.1f} GB/s",
            100 * misses[-1], most=20, unit="%"),
    ]  # fmt: skip


def rows(folder: Path, _: Peers, rounds: int) -> list[Row]:
    """Return P18 and P19; the loop in C is the control."""
    if shutil.which("cc") is None:
        return [Row("P18", "reading memory, beside a loop in C", "", "no compiler", None, most=15)]
    probed = detect()
    cores = host_threads(probed)
    cache = next((e.value for e in probed.evidence if e.key == "cpu.l3_total_bytes"), None)
    free = probed.machine.host_pool and probed.machine.host_pool.free_bytes
    total = buffer_bytes(cache_bytes=cache if isinstance(cache, int) else None, free_bytes=free)
    ours: dict[int, list[float]] = {count: [] for count in thread_counts(cores)}
    theirs: dict[int, list[float]] = {count: [] for count in ours}
    seconds = []
    program = built(folder)
    for _ in range(rounds):
        rates = measure_rates(total_bytes=total, cores=cores)
        seconds.append(rates.seconds)
        for rate in rates.reads:
            ours[rate.threads] += [rate.per_s] if rate.is_measured else []
        for count in theirs:
            theirs[count] += c_rates(program, total, count, 6)
    table = [_beside_c(count, own, theirs[count]) for count, own in ours.items()]
    table.append(Row("P18", "the probe's own time", f"at most {max(seconds):.2f} s", "",
                     median(seconds), most=0.5, unit="s"))  # fmt: skip
    return table + under_load(total, cores, median(ours[1]) if ours[1] else None)


def _beside_c(threads: int, own: list[float], other: list[float]) -> Row:
    """Return how far the probe's rate is from that of the same kernel in C."""
    what = f"reading memory, {threads} {'thread' if threads == 1 else 'threads'}: miss"
    if not own or not other:
        return Row("P18", what, "nothing undisturbed", "", None, most=100 * WITHIN, unit="%")
    shown, beside = (f"{median(r) / GB:.1f} GB/s (spread {spread(r):.1%})" for r in (own, other))
    miss = abs(median(own) / median(other) - 1)
    return Row("P18", what, shown, f"loop in C: {beside}", 100 * miss, most=100 * WITHIN, unit="%",
               is_void=spread(other) > VOID_SPREAD)  # fmt: skip
