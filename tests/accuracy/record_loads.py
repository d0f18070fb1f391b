"""Records real loads of small synthetic models on this machine, three ways each.

usage: record_loads.py
Writes tests/recorded/llama_cpp/loads.json: what the process grew by, and what it ran with.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from loads import MODELS, PATH, SETTINGS

from whatfits.bench.loads import LoadLimits, load_for_real
from whatfits.bench.synthetic import write_catalog_model
from whatfits.bench.verify import REFERENCE
from whatfits.sizing.api import load_machine
from whatfits.sizing.units import GIB

_LIMITS = LoadLimits(seconds=300, memory_bytes=8 * GIB)


def main() -> None:
    """Load every model every way and write what was measured."""
    machine = load_machine(None)
    features = machine.devices[-1].features
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic.gguf"
        for model, file_type in MODELS:
            write_catalog_model(path, model, file_type=file_type)
            for way, settings in SETTINGS.items():
                sys.stderr.write(f"{model}: {way}\n")
                outcome = load_for_real(path, settings, limits=_LIMITS, decode_tokens=16)
                if outcome.kind != "measured":
                    raise SystemExit(f"{model} {way}: {outcome.kind}, {outcome.reason}")
                rows.append(
                    {
                        "model": model,
                        "file_type": file_type,
                        "way": way,
                        "loaded": outcome.loaded,
                        "decoded": outcome.decoded,
                    }
                )
    document = {
        "provenance": f"Real loads of {REFERENCE} in a fresh process on Linux: growth of VmRSS, "
        "RssAnon and RssFile by loading, and after 16 tokens. The files are synthetic: full tensor "
        "tables, zeros for data. Made by tests/accuracy/record_loads.py.",
        "date": datetime.now(UTC).date().isoformat(),
        "host_features": list(features),
        "settings": {way: asdict(settings) for way, settings in SETTINGS.items()},
        "rows": rows,
    }
    text = json.dumps(document, separators=(",", ":")).replace('{"model"', '\n{"model"')
    PATH.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
