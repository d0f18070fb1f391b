"""What is loaded beside the model, asked for by JSON and by options; limits in the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import check
from whatfits.sizing.cli import main
from whatfits.sizing.cli.batch import _Session
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

ROOMY = "rtx-4090 + 128gb"


def _plan(machine: str, model: str = "gemma-3-12b", **workload: object) -> Plan:
    return check(model, machine=machine, workload=workload)


def _flags(plan: Plan) -> dict[str, str]:
    words = plan.commands["llama.cpp"][0].split()
    return {word: words[index + 1] for index, word in enumerate(words[:-1])}


def test_a_batch_request_names_what_is_loaded_beside_the_model() -> None:
    request = {
        "model": "llama-3.1-8b",
        "machine": ROOMY,
        "workload": {"model_draft": "llama-3.2-1b", "cache_ram_mib": 256, "lora": None},
        "placement": {"gpu_layers_draft": 0},
    }
    answered = json.loads(_Session().answer(json.dumps(request)))
    (part,) = answered["memory"]["parts"]
    assert (part["kind"], part["name"]) == ("draft", "llama-3.2-1b")
    assert answered["memory"]["growth_limit_bytes"] == 256 * MIB
    assert "memory.parts.draft" in [basis["key"] for basis in answered["basis"]]


def test_options_say_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", "llama-3.1-8b", "--machine", ROOMY, "--json", "-md", "llama-3.2-1b"]
    assert main([*arguments, "--spec-draft-n-max", "5", "-ctkd", "q8_0", "-cram", "0"]) == 0
    printed = json.loads(capsys.readouterr().out)
    plan = _plan(
        ROOMY,
        "llama-3.1-8b",
        model_draft="llama-3.2-1b",
        spec_draft_n_max=5,
        kv_type_k_draft="q8_0",
        cache_ram_mib=0,
    )
    assert printed["memory"]["total_bytes"] == plan.memory.total_bytes
    assert printed["workload"]["outputs_max"] == 6


def test_a_draft_for_one_model_is_not_an_option_of_a_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list", "--machine", ROOMY, "-md", "llama-3.2-1b"]) == 2
    assert "-md" in capsys.readouterr().err


def test_limits_stay_at_their_defaults_where_there_is_room() -> None:
    flags = _flags(_plan("rtx-4090 + 512gb"))
    assert "--cache-ram" not in flags
    assert "--ctx-checkpoints" not in flags


@pytest.mark.parametrize("machine", ["rtx-4090 + 16gb", "rtx-4090 + 8gb"])
def test_the_command_keeps_what_grows_within_what_is_left(machine: str) -> None:
    plan = _plan(machine)
    flags = _flags(plan)
    host = plan.memory.devices[-1]
    assert host.free_bytes is not None
    checkpoints = int(flags.get("--ctx-checkpoints", "32"))
    reasons = {basis.key: basis for basis in plan.basis}
    one = reasons["memory.growth_limit_bytes"].inputs["checkpoint_bytes"]
    grown = checkpoints * one + int(flags.get("--cache-ram", "8192")) * MIB
    assert host.high_bytes + grown <= host.free_bytes
    assert plan.memory.growth_limit_bytes > host.free_bytes - host.high_bytes


def test_a_limit_that_was_asked_for_is_printed_as_it_is() -> None:
    flags = _flags(_plan("rtx-4090 + 8gb", cache_ram_mib=100_000, ctx_checkpoints=64))
    assert (flags["--cache-ram"], flags["--ctx-checkpoints"]) == ("100000", "64")


def test_prediction_layers_are_left_out_unless_asked_for() -> None:
    plain = _plan(ROOMY, "qwen3.5-9b")
    asked = _plan(ROOMY, "qwen3.5-9b", spec_type="draft-mtp")
    assert plain.memory.parts == ()
    assert [part.kind for part in asked.memory.parts] == ["mtp"]
    assert "--spec-type draft-mtp" in asked.commands["llama.cpp"][0]
    assert not any("not loaded" in note for note in asked.notes)
    assert asked.memory.weights_bytes > plain.memory.weights_bytes
