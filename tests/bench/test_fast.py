"""What is timed where memory is so fast that small models would be waited for."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import pytest

from whatfits.bench.fast import DEEP_TOKENS, Room, fast_trials, is_fast
from whatfits.bench.micro import CONTEXT_TOKENS, Target, run_trials, trials
from whatfits.bench.session import planned
from whatfits.bench.timing import Repeat, Timing
from whatfits.probes.report import ProbeReport
from whatfits.sizing import load_machine
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.units import GB, GIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.bench.run_settings import RunSettings
    from whatfits.bench.speed_process import Step
    from whatfits.sizing.machine import Machine

EVERYWHERE = Room()
SMALL = {"wide", "deep", "tiny", "long"}
BANDWIDTHS = (600e9, 1.0e12, 1.8e12, 3.35e12, 4.8e12, 8e12)


@pytest.mark.parametrize("peak", BANDWIDTHS)
def test_every_model_keeps_the_memory_busy_and_is_larger_than_any_cache(peak: float) -> None:
    for trial in fast_trials(peak, EVERYWHERE):
        read = sum(trial.drawn.bytes_by_type.values())
        if trial.drawn.shape.name == "tiny":  # what a token costs beside its weights
            assert read < 2 * MIB
            continue
        assert read >= 0.2e-3 * peak
        assert read >= 3 * 96 * MIB
        assert trial.drawn.total_bytes < 4 * GB


@pytest.mark.parametrize("peak", BANDWIDTHS)
def test_three_shapes_of_the_main_type_tell_a_layer_from_its_bytes(peak: float) -> None:
    found = [t.drawn for t in fast_trials(peak, EVERYWHERE) if t.drawn.file_type == "Q4_K_M"]
    main = [drawn for drawn in found if drawn.shape.name != "tiny"]
    assert {drawn.shape.name for drawn in main} == {"wide", "narrow", "vast"}
    layer_bytes = [sum(d.bytes_by_type.values()) / d.shape.layers for d in main]
    assert max(layer_bytes) > 6 * min(layer_bytes)
    heads = {d.shape.heads // d.shape.kv_heads for d in main}
    assert len(heads) > 1  # else operations of attention are told from no bytes of the cache


def test_prompts_fill_their_batches_and_the_cache_is_long() -> None:
    steps = [step for trial in fast_trials(4.8e12, EVERYWHERE) for step in trial.steps]
    prompts = [step for step in steps if step.kind == "prefill"]
    assert {step.tokens for step in prompts} == {512, 2048}
    # the first two are recorded, and slower for it
    assert {step.warm_ups for step in prompts} == {2}
    assert {step.depth for step in steps if step.kind == "decode"} == {0, DEEP_TOKENS}


def test_a_context_holds_all_of_the_steps_and_is_no_longer_where_none_is_deep() -> None:
    deep, *_, last = fast_trials(4.8e12, EVERYWHERE)
    assert deep.context_tokens == DEEP_TOKENS + 512
    assert last.context_tokens == CONTEXT_TOKENS
    assert {trial.context_tokens for trial in trials(threads=4)} == {CONTEXT_TOKENS}


def test_what_has_no_room_is_left_out() -> None:
    whole = fast_trials(4.8e12, EVERYWHERE)
    small = fast_trials(4.8e12, Room(device=2 * GIB))
    assert 0 < len(small) < len(whole)
    assert all(trial.drawn.total_bytes <= 0.7 * 2 * GIB for trial in small)
    assert fast_trials(4.8e12, Room(disk=GIB)) == ()
    assert fast_trials(4.8e12, Room(disk=4 * GIB)) != ()


@pytest.mark.parametrize(("peak", "fast"), [(None, False), (448e9, False), (672e9, True)])
def test_fast_is_what_reads_a_layer_of_the_small_models_as_soon_as_it_is_launched(
    peak: float | None, *, fast: bool
) -> None:
    assert is_fast(peak) is fast


def _planned(machine: Machine) -> set[str]:
    (device,) = machine.accelerators
    target = Target(device.id, device.name, "CUDA0", 1)
    return {trial.drawn.shape.name for trial in planned(target, ProbeReport(machine, ()))}


def test_a_fast_card_gets_large_models_and_a_slow_one_the_small_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("whatfits.bench.session._free_disk_bytes", lambda: 64 * GIB)
    assert _planned(load_machine("rtx 4090 + 64gb")) == {"wide", "narrow", "tiny", "vast"}
    assert _planned(load_machine("rtx 3060 12gb + 64gb")) == SMALL


def test_without_room_for_any_large_model_a_fast_card_gets_the_small_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = load_machine("rtx 4090 + 64gb")
    pools = tuple(replace(p, used_bytes=p.total_bytes) for p in machine.pools if p.kind == "vram")
    others = tuple(pool for pool in machine.pools if pool.kind != "vram")
    assert _planned(replace(machine, pools=(*pools, *others))) == SMALL
    monkeypatch.setattr("whatfits.bench.session._free_disk_bytes", lambda: GIB // 2)
    assert _planned(machine) == SMALL


def test_a_folder_that_says_nothing_of_its_disk_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr("shutil.disk_usage", refused)
    assert "vast" in _planned(load_machine("rtx 4090 + 64gb"))


class FailsAtDepth:
    """A loaded model that cannot go deep, as one whose cache finds no memory."""

    def __init__(self, path: Path, settings: RunSettings, **_: object) -> None:
        assert path.exists()
        assert settings.context_tokens >= CONTEXT_TOKENS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def time(self, step: Step) -> Timing:
        if step.depth:
            raise ProbeError("no memory left")
        return Timing(1, (Repeat(1.0, 0.0),) * 3, on_cpu=False)


def test_a_step_that_fails_loses_neither_what_came_before_nor_the_next_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("whatfits.bench.micro.LoadedModel", FailsAtDepth)
    monkeypatch.setattr("whatfits.bench.micro.write_shape", lambda path, _: path.touch())
    first, second, *_ = fast_trials(4.8e12, EVERYWHERE)
    target = Target("cuda0", "a card", "CUDA0", 1)
    found, notes = run_trials(
        target, [first, second], ends_s=time.monotonic() + 60, free_bytes=None
    )
    steps = [(m.drawn.shape.name, m.step.kind, m.step.tokens) for m in found]
    assert steps == [
        ("wide", "decode", 32),
        ("wide", "prefill", 512),
        ("wide", "prefill", 2048),
        ("narrow", "decode", 32),
        ("narrow", "prefill", 512),
    ]
    assert notes == ("wide Q4_K_M: no memory left", "narrow Q4_K_M: no memory left")


def test_small_models_on_an_accelerator_read_prompts_that_are_recorded_too() -> None:
    for trial in trials(threads=1, on_accelerator=True):
        for step in trial.steps:
            assert step.warm_ups == (2 if step.kind == "prefill" else 1)
