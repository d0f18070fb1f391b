"""Every hostile header is also shown to llama.cpp's reader, and each disagreement has a reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from gguf_case import ACCEPTED, REFUSED
from gguf_cases import all_cases

from whatfits.sizing.readers.gguf import read_gguf_header

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the library's name"),
]

MAX_BYTES = 17_000_000

# Where this reader refuses and llama.cpp's does not (its model loader refuses some of them later).
STRICTER = {
    "number of tensors": "a row of the table was left over; its tensor would go missing",
    "at most 65,536": "a bound on memory and time, far above every published model",
    "1 to 65,535 bytes": "the same; the format allows no longer key",
    "at most 16,777,216": "the same",
    "a power of two from 8": "the format asks for a multiple of 8",
    "is not UTF-8": "names are text; two of them must not look alike",
    "0 or 1": "the format knows two truth values",
    "general.architecture": "not a name: nothing can be said about such a model",
    "no zero": "a tensor without elements, or beyond a pebibyte, is no weight",
    "bytes of F32": "the same",
    "tensor data at": "the same, for all tensors together",
    "bytes early": "llama.cpp looks at the length of the file only when it loads the data",
    "is empty": "nothing can be found by an empty name",
}


def test_llama_cpp_takes_what_is_accepted_and_each_stricter_answer_has_a_reason(
    tmp_path: Path,
) -> None:
    cases = [case for _, case in all_cases() if len(case.data) <= MAX_BYTES]
    paths = [tmp_path / f"{index}.gguf" for index in range(len(cases))]
    for case, path in zip(cases, paths, strict=True):
        path.write_bytes(case.data)
    child = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("ask_llama_cpp.py"))],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answers = child.stdout.split()
    reasons_used = set()
    for case, theirs in zip(cases, answers, strict=True):
        if theirs == "no" and case.answer != REFUSED:
            findings = read_gguf_header(case.data).findings
            assert any("llama.cpp" in line for line in findings), case.name
        elif theirs == "yes" and case.answer == REFUSED:
            (reason,) = (key for key in STRICTER if key in case.says)
            reasons_used.add(reason)
    assert reasons_used == set(STRICTER)
    assert answers.count("no") > 250
    assert sum(case.answer == ACCEPTED for case in cases) > 20
