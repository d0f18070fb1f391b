"""Reading memory: numpy's kernel in threads against the same kernel as a loop in C.

    python tests/benchmarks/bench_bandwidth.py [--rounds N]

Needs a C compiler (`cc`) with OpenMP. Both take the dot product of two streams of the same size in
as many threads, in turn, round after round; medians are compared. Then every core gets a busy
process: each probe must be flagged, and the figure of one thread be right when corrected by its
processor time. A run in which the C loop itself
spreads by more than a tenth, or was disturbed, is void. The last line is the probe's own time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bench_gguf import say

from whatfits.bench.bandwidth import buffer_bytes, measure_rates, thread_counts
from whatfits.bench.session import host_threads
from whatfits.bench.timing import CLEAN_SHARE, median, spread
from whatfits.probes import detect
from whatfits.sizing.units import GB, MIB

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


def under_load(total_bytes: int, cores: int, quiet_per_s: float | None) -> None:
    """Print how many probes are flagged under a load, and how far corrected figures are off."""
    spin = [sys.executable, "-c", "while True: pass"]
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
    say(f"under load {flagged} of {LOADED_PROBES} probes are flagged")
    if quiet_per_s is not None:
        shown = ", ".join(f"{value / quiet_per_s:.2f}" for value in corrected)
        say(f"one thread, corrected, over the quiet figure: {shown}")


def main() -> None:
    """Run both in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    probed = detect()
    cores = host_threads(probed)
    cache = next((e.value for e in probed.evidence if e.key == "cpu.l3_total_bytes"), None)
    free = probed.machine.host_pool and probed.machine.host_pool.free_bytes
    total = buffer_bytes(cache_bytes=cache if isinstance(cache, int) else None, free_bytes=free)
    ours: dict[int, list[float]] = {count: [] for count in thread_counts(cores)}
    theirs: dict[int, list[float]] = {count: [] for count in ours}
    seconds, disturbed = [], 0
    with tempfile.TemporaryDirectory() as folder:
        program = built(Path(folder))
        for _ in range(options.rounds):
            rates = measure_rates(total_bytes=total, cores=cores)
            seconds.append(rates.seconds)
            for rate in rates.reads:
                disturbed += not rate.is_measured
                ours[rate.threads] += [rate.per_s] if rate.is_measured else []
            for count in theirs:
                theirs[count] += c_rates(program, total, count, 6)
    say(f"{total / MIB:,.0f} MiB a round; {disturbed} of our rates were disturbed and left out")
    say(f"{'threads':>7} {'numpy':>8} {'spread':>7} {'C':>8} {'spread':>7} {'ratio':>6}")
    for count, own in ours.items():
        if not own or not theirs[count]:
            say(f"{count:7} nothing undisturbed: VOID")
            continue
        ratio = median(own) / median(theirs[count])
        void = " VOID" if spread(theirs[count]) > VOID_SPREAD else ""
        met = "" if abs(ratio - 1) <= WITHIN else f" outside {WITHIN:.0%}"
        say(
            f"{count:7} {median(own) / GB:8.1f} {spread(own):7.1%}"
            f" {median(theirs[count]) / GB:8.1f} {spread(theirs[count]):7.1%}"
            f" {ratio:6.2f}{met}{void}"
        )
    under_load(total, cores, median(ours[1]) if ours[1] else None)
    say(f"the probe takes {median(seconds):.2f} s, at most {max(seconds):.2f}")


if __name__ == "__main__":
    main()
