"""Shows a few mutants that have been noticed to the test that noticed them: it must do so still.

    python tests/mutation/again.py 4        so many of each group

`noticed.txt` names mutants and tests; a mutant or a test that is gone is passed over.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from groups import GROUPS, ROOT, source_of
from held import Held, hold
from mutate import mutants_in, sampled
from swap import Loaded, called_on_import

if TYPE_CHECKING:
    from mutants import Mutant

NOTICED: Final = Path(__file__).with_name("noticed.txt")
_SEED: Final = 1
_SECONDS: Final = 60.0  # of CPU


def noticed_by() -> dict[str, str]:
    """Return the test that noticed each mutant, by the mutant's name."""
    lines = NOTICED.read_text("utf-8").splitlines()
    return dict(line.split("\t") for line in lines)  # type: ignore[misc]


def chosen(count: int) -> list[Mutant]:
    """Return so many mutants of each group that there still are, always the same ones."""
    known = noticed_by()
    return [
        mutant
        for group in GROUPS
        for mutant in sampled([m for m in mutants_in(group) if m.key in known], count, _SEED)
    ]


def main(count: int) -> int:
    """Return how many mutants are noticed no longer."""
    os.chdir(ROOT)
    by, ran, missed = noticed_by(), called_on_import(), 0
    mutants = chosen(count)

    def work(held: Held) -> None:
        nonlocal missed
        loaded = Loaded(ran)
        for mutant in mutants:
            test, source = by[mutant.key], source_of(mutant.module)
            if test not in held.names:
                print(f"gone     {test}")
                continue
            ended = held.fork(lambda m=mutant, s=source: loaded.swap(m, s), [test], _SECONDS)  # type: ignore[misc]
            is_noticed = ended is not None and ended.noticed
            missed += not is_noticed
            print(f"{'noticed' if is_noticed else 'MISSED'}  {mutant.key} [{test}]", flush=True)

    files = {by[mutant.key].split("::")[0] for mutant in mutants}
    hold(sorted(file for file in files if (ROOT / file).exists()), work)
    return missed


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
