"""What is stored of each model equals what the engine says today."""

from __future__ import annotations

import random

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.catalog.index_file import open_index, read_json
from whatfits.sizing.catalog.lookup import model_entries
from whatfits.sizing.catalog.shares import (
    FILE_NAME,
    KINDS,
    WORK_FILE_NAME,
    kind_of_machine,
    stored_model,
)
from whatfits.sizing.catalog.shares_build import decode_work_of, machine_of_kind, record_of
from whatfits.sizing.device_limits import F32_DOWN
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.machine import Machine
from whatfits.sizing.ranking.stored_trials import NOT_STORED, StoredTrials
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.sources.catalog_model import spec_of_entry
from whatfits.sizing.workload import PlacementRequest, Workload

ENTRIES = [entry for entry in model_entries() if stored_model(entry.id) is not None]
MACHINES = (
    "rtx-4090 + 64gb",
    "2x rtx-3090 + 64gb",
    "mac-m4-max-64gb",
    "rx-7900-xtx + 32gb",
    "64gb",
)
STALE = "run 'python -m whatfits.sizing.catalog.shares_build' (or 'make data')"
WHOLE_EVERY = 40  # the whole build takes minutes: of all others one case each is asked


def test_nearly_every_model_is_stored_and_none_that_the_catalog_has_not() -> None:
    known = {entry.id for entry in model_entries()}
    assert set(read_json(FILE_NAME)["models"]) <= known
    assert len(ENTRIES) >= 0.94 * len(known)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_one_case_of_every_model_is_the_engines(entry: object) -> None:
    model = stored_model(entry.id)  # type: ignore[attr-defined]
    assert model is not None
    chance = random.Random(entry.id)  # type: ignore[attr-defined] # noqa: S311 - which case
    kind = chance.choice(sorted(KINDS))
    file_type, tokens = chance.choice(model.file_types), chance.choice(model.contexts)
    spec = spec_of_entry(entry, file_type=file_type)  # type: ignore[arg-type]
    machine = machine_of_kind(kind)
    workload = Workload(context_tokens=tokens)
    trials = Trials(spec, machine, workload, PlacementRequest(), replays=Replays())
    rows = trials.first().memory.devices
    shares = model.shares(kind, file_type, tokens)
    assert shares is not None, STALE
    assert len(shares) == len(rows)
    for share, row in zip(shares, rows, strict=True):
        columns = ("weights_bytes", "kv_cache_bytes", "compute_bytes", "output_bytes")
        assert [getattr(share, c) for c in columns] == [getattr(row, c) for c in columns], STALE
        beside = row.total_bytes - share.total_bytes
        assert beside == row.overhead_bytes
        assert row.high_bytes - share.high_bytes >= row.overhead_bytes >= 0
    assert (spec.parameters, spec.active_parameters) == (model.parameters, model.active_parameters)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_the_speed_of_every_model_is_the_engines(entry: object) -> None:
    model = stored_model(entry.id)  # type: ignore[attr-defined]
    assert model is not None
    chance = random.Random(f"{entry.id} speed")  # type: ignore[attr-defined] # noqa: S311 - same
    machine = load_machine(chance.choice(MACHINES))
    file_type, tokens = chance.choice(model.file_types), chance.choice(model.contexts)
    spec = spec_of_entry(entry, file_type=file_type)  # type: ignore[arg-type]
    workload = Workload(context_tokens=tokens)
    trials = Trials(spec, machine, workload, PlacementRequest(), replays=Replays())
    said = StoredTrials(machine, workload, None, stored_model).decode_rate(entry.id, file_type)  # type: ignore[attr-defined]
    if spec.architecture in F32_DOWN:
        assert said == NOT_STORED, STALE
        return
    assert said == trials.first_speed().decode_tokens_per_s, STALE
    assert (said is None) == spec.embeds


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES[::WHOLE_EVERY], ids=lambda entry: entry.id)
def test_the_whole_record_of_some_models_is_what_would_be_built(entry: object) -> None:
    stored = read_json(FILE_NAME)["models"][entry.id]  # type: ignore[attr-defined]
    assert stored == record_of(entry), STALE  # type: ignore[arg-type]
    index = open_index(WORK_FILE_NAME)
    work = index.entry(index.header["models"][entry.id])  # type: ignore[attr-defined]
    assert work == decode_work_of(entry), STALE  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_of_a_kind_is_known_as_that_kind(kind: str) -> None:
    assert kind_of_machine(machine_of_kind(kind)) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rtx-4090 + 64gb", "cuda"),
        ("2x rtx-3090 + 64gb", "2x cuda"),
        ("64gb", "cpu"),
        ("rx-7900-xtx + 32gb", "rocm"),
        ("rtx-4090 + rtx-3090 + 64gb", "2x cuda"),
        ("4x rtx-3090 + 64gb", None),
    ],
)
def test_machines_of_the_catalog(name: str, kind: str | None) -> None:
    assert kind_of_machine(load_machine(name)) == kind


def test_features_that_change_nothing_change_no_kind() -> None:
    machine = machine_of_kind("cpu avx2")
    host = machine.devices[0]
    for features, kind in (
        (("avx2", "fma", "bmi2"), "cpu avx2"),
        (("sse3",), "cpu"),
        (("avx2", "avx512f", "avx512_vnni", "amx_int8"), None),
    ):
        other = type(host)(id="cpu", kind="cpu", name="CPU", pool="ram", features=features)
        assert kind_of_machine(Machine(pools=machine.pools, devices=(other,))) == kind
