"""Laws of the verdict and of the largest context, on random machines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from drawn import FEW, MODELS, machines, model, trials
from hypothesis import given, settings
from hypothesis import strategies as st

from whatfits.sizing import check
from whatfits.sizing.cli import main
from whatfits.sizing.json_values import dump_json, to_json_value

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.search.trial import Trial

NAMES = st.sampled_from(MODELS)
CONTEXTS = st.sampled_from([512, 4096, 8192, 32_768, 131_072])
STEP = 256


def _all_within(trial: Trial, machine: Machine, end: str, free: str) -> bool:
    """Whether one end of the need is at most one kind of free memory, in every pool touched.

    Where a limit binds the GPU alone: of what the GPU takes, and of all without that limit.
    """
    for pool in machine.pools:
        rows = [row for row in trial.memory.devices if row.pool == pool.id]
        whole = pool
        if pool.limit_scope == "accelerators":
            whole = replace(pool, limit_bytes=None, limit_low_bytes=None)
            of_gpu = sum(getattr(row, end) for row in rows if row.device != "cpu")
            on_gpu = any(row.weights_bytes for row in rows if row.device != "cpu")
            if end == "high_bytes" and on_gpu and trial.memory.mapped_bytes:  # Metal wraps the file
                of_gpu += sum(row.weights_bytes for row in rows if row.device == "cpu")
            if of_gpu > getattr(pool, free):
                return False
        if rows and sum(getattr(row, end) for row in rows) > getattr(whole, free):
            return False
    return True


def _in_fastest_pool(name: str, trial: Trial, machine: Machine) -> bool:
    """Whether every layer, expert and cache lies with the accelerators, where there are any."""
    fast = {device.pool for device in machine.accelerators}
    if not fast or trial.placement.host.pool in fast:
        return True
    places = (*trial.placement.layer_device, trial.placement.output_device)
    first = model(name).layers[: trial.placement.cpu_moe_layers]
    return None not in places and not any(layer.n_expert for layer in first)


@settings(max_examples=6 * FEW)
@given(name=NAMES, machine=machines(), context=CONTEXTS)
def test_the_verdict_follows_its_definition(name: str, machine: Machine, context: int) -> None:
    trial = trials(name, machine, context_tokens=context).best()
    if _all_within(trial, machine, "high_bytes", "free_low_bytes"):
        expected = "fits" if _in_fastest_pool(name, trial, machine) else "slow"
    elif _all_within(trial, machine, "total_bytes", "free_bytes") or _all_within(
        trial, machine, "total_bytes", "free_when_idle_bytes"
    ):
        expected = "tight"
    else:
        expected = "no"
    assert trial.judgement.verdict == expected
    assert (trial.judgement.shortfall_bytes == 0) == (expected in ("fits", "slow"))


@settings(max_examples=3 * FEW)
@given(name=NAMES, machine=machines(), parallel=st.integers(1, 4))
def test_the_largest_context_runs_and_one_step_more_does_not(
    name: str, machine: Machine, parallel: int
) -> None:
    search = trials(name, machine, context_tokens=4096, parallel=parallel)
    first = search.best()
    good = {"fits"} if first.judgement.verdict == "fits" else {"fits", "slow"}
    trained = model(name).hparams.context_train_tokens
    largest = search.largest_context(first)
    if largest is None:
        assert search.best(STEP * parallel).judgement.verdict not in good
        return
    assert search.best(largest).judgement.verdict in good
    if trained is not None and largest < trained * parallel:
        assert search.best(largest + STEP * parallel).judgement.verdict not in good


@settings(max_examples=FEW)
@given(name=NAMES, machine=machines())
def test_every_remedy_does_what_it_promises(name: str, machine: Machine) -> None:
    plan = check(model(name), machine=machine, workload={"context_tokens": 32_768})
    for remedy in plan.remedies:
        if not remedy.change:
            continue
        workload = {"context_tokens": 32_768, **remedy.change.get("workload", {})}
        file_type = remedy.change.get("file_type")
        other = remedy.change.get("model", name)
        where = remedy.change.get("machine", machine)
        placement = remedy.change.get("placement")
        changed = check(
            model(other, file_type), machine=where, workload=workload, placement=placement
        )
        assert changed.verdict == remedy.verdict
        assert changed.memory.total_bytes == remedy.needs_bytes


def test_library_command_and_batch_give_one_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @settings(max_examples=FEW // 2)
    @given(name=NAMES, machine=machines(), context=CONTEXTS)
    def law(name: str, machine: Machine, context: int) -> None:
        saved = tmp_path / "machine.json"
        saved.write_text(dump_json(machine))
        plan = to_json_value(check(name, machine=machine, workload={"context_tokens": context}))
        assert _said(capsys, "check", name, "--machine", str(saved), "-c", str(context)) == plan
        request = {"model": name, "workload": {"context_tokens": context}}
        lines = tmp_path / "requests.jsonl"
        lines.write_text(json.dumps({**request, "machine": to_json_value(machine)}))
        assert _said(capsys, "batch", str(lines)) == {"id": None, **plan}

    law()


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:  # noqa: ANN401 - JSON
    capsys.readouterr()
    main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)
