"""Reads files with gguf-py and prints what it found, one line of JSON a file; null for a refusal.

A child of `test_gguf_against_gguf_py.py`, which limits its time: that reader has no limits of its
own. Paths come on standard input, one a line.
"""

from __future__ import annotations

import contextlib
import json
import logging
import resource
import signal
import sys
from typing import Any

SECONDS_A_FILE = 0.5  # of the processor
MOST_BYTES = 3 * 2**30


class TooLongError(BaseException):
    """It took longer than allowed; no `except Exception` on the way catches it."""


def too_long(*_: object) -> None:
    """Give up on a file."""
    raise TooLongError


def found(path: str) -> dict[str, Any]:
    """Return the header of a file, as JSON can carry it."""
    from gguf import GGUFReader

    reader = GGUFReader(path)
    values: dict[str, str] = {}
    lengths: dict[str, int] = {}
    for name, field in reader.fields.items():
        if name.startswith("GGUF."):
            continue
        if field.types and field.types[0].name == "ARRAY":
            lengths[name] = len(field.data)
            kind = field.types[-1].name if len(field.types) > 1 else ""
            if kind not in ("STRING", "ARRAY", ""):
                values[name] = repr(tuple(field.parts[i][0].item() for i in field.data[:100]))
        elif field.types[0].name == "STRING":
            values[name] = repr(bytes(field.parts[field.data[0]]).decode())
        else:
            values[name] = repr(field.parts[field.data[0]][0].item())
    tensors = [
        [
            tensor.name,
            int(tensor.tensor_type),
            [int(n) for n in tensor.shape],
            int(tensor.data_offset) - int(reader.data_offset),
            int(tensor.n_bytes),
        ]
        for tensor in reader.tensors
    ]
    return {"values": values, "lengths": lengths, "tensors": tensors}


def main() -> None:
    """Answer for each path."""
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.signal(signal.SIGPROF, too_long)
    for line in sys.stdin:
        answer: object = None
        signal.setitimer(signal.ITIMER_PROF, SECONDS_A_FILE)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                answer = found(line.rstrip("\n"))
        except TooLongError:
            answer = "too long"
        except Exception:  # noqa: BLE001 - refusals of that reader have no common class
            answer = None
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
