"""Drafts by a model's own prediction layers under vLLM: what they change, and who is refused.

The caches of whole runs are judged in tests/golden/test_vllm_elsewhere.py.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.api import check, load_machine
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes.vllm_bill import DeviceBill, bill_of
from whatfits.sizing.runtimes.vllm_parallel import Cut
from whatfits.sizing.runtimes.vllm_settings import VllmSettings, resolve_vllm
from whatfits.sizing.runtimes.vllm_weights import stage_weights
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

MODEL, CARD = "qwen3.6-27b", "h100 sxm5 80 gb"


def settled(
    model: str = MODEL,
    machine: str = CARD,
    *,
    split_mode: str | None = None,
    **workload: Any,  # noqa: ANN401 - fields of a workload
) -> VllmSettings:
    asked = Workload(**{"spec_type": "draft-mtp", **workload})
    placed = PlacementRequest(split_mode=split_mode)
    return resolve_vllm(load_published(model), load_machine(machine), asked, placed)


def first(drafts: int | None, *, kind: str = "fp8") -> DeviceBill:
    given = {"spec_type": "draft-mtp", "spec_draft_n_max": drafts} if drafts else {}
    asked = Workload(parallel=8, kv_type_k=kind, kv_type_v=kind, **given)
    spec, where = load_published(MODEL), load_machine(CARD)
    return bill_of(spec, where, resolve_vllm(spec, where, asked, PlacementRequest())).devices[0]


def test_as_many_tokens_are_drafted_as_there_are_layers_unless_told_otherwise() -> None:
    assert settled().drafted_tokens == 1
    assert settled(spec_draft_n_max=4).drafted_tokens == 4
    assert settled(spec_type="none").drafted_tokens == 0
    assert settled(spec_type=None).drafted_tokens == 0


@pytest.mark.parametrize(
    ("model", "workload"),
    [
        ("qwen3-8b", {}),  # has no such layers
        ("glm-4.5-air", {}),  # has them, and no log tells its cache with drafts
        ("qwen3-next-80b-a3b", {}),
        (MODEL, {"spec_draft_n_max": 0}),
        (MODEL, {"spec_draft_n_max": 5000}),
        (MODEL, {"spec_type": None, "spec_draft_n_max": 3}),
        (MODEL, {"spec_type": "draft-simple"}),
        (MODEL, {"spec_type": "draft-simple", "model_draft": "qwen3.5-0.8b"}),
    ],
)
def test_what_is_not_known_with_drafts_is_refused_in_one_line(
    model: str, workload: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError) as error:
        settled(model, **workload)
    assert "\n" not in str(error.value)


def test_stages_do_not_draft() -> None:
    assert settled(machine=f"2x {CARD}", split_mode="row").drafted_tokens == 1
    with pytest.raises(InvalidRequestError, match="pipeline stages"):
        settled(machine=f"2x {CARD}", split_mode="layer")


def test_the_layer_that_drafts_joins_those_with_attention() -> None:
    plain, drafting = (first(drafts).cache.groups for drafts in (None, 3))
    assert [len(group.layers) for group in plain] == [16, 16, 16, 16]
    assert [len(group.layers) for group in drafting] == [16, 16, 16, 17]
    assert [group.spec.kind for group in drafting] == ["state", "state", "state", "full"]


@pytest.mark.parametrize("drafts", [1, 3, 5])
def test_a_state_is_kept_after_every_drafted_token(drafts: int) -> None:
    plain, drafting = first(None).cache, first(drafts).cache
    (*before, attention) = drafting.group_blocks(1)
    assert before == [1 + drafts] * 3
    assert attention == plain.group_blocks(1)[-1] == 1
    # 48 value heads of 128 x 128 in 32 bits, and 10,240 channels of a convolution in 16
    state = 48 * 128 * 128 * 4 + 10_240 * (3 + drafts) * 2
    per_token = 2 * 4 * 256
    assert drafting.groups[0].spec.block_tokens == -(-state // (16 * per_token)) * 16


def test_drafts_never_leave_room_for_more_requests() -> None:
    held = [
        cache.concurrency(1000, request_tokens=8192)
        for cache in (first(n).cache for n in (None, 1, 2, 4, 8))
    ]
    assert held == sorted(held, reverse=True)
    assert held[0] > held[-1]


def test_prediction_layers_are_loaded_as_their_publisher_stores_them() -> None:
    for name, of_16_bits in (("bf16", (1.0, 1.0)), ("fp8", (0.5, 0.65)), ("nvfp4", (1.0, 1.0))):
        model = load_published(MODEL, file_type=name)
        (without,), (drafting,) = (
            stage_weights(model, Cut(1, 1), drafting=wanted) for wanted in (False, True)
        )
        # gated queries, keys, values and output; the feed-forward part; what joins both streams
        plain = 2 * ((12_288 + 2 * 1024 + 6144) * 5120 + 3 * 5120 * 17_408 + 10_240 * 5120)
        low, high = of_16_bits
        added = drafting.mid_bytes - without.mid_bytes
        assert low * plain <= added <= 1.001 * high * plain
        assert drafting.high_bytes - without.high_bytes == pytest.approx(plain, rel=0.001)
        assert drafting.low_bytes - without.low_bytes <= added


def test_each_rank_has_its_part_of_the_prediction_layer() -> None:
    model = load_published(MODEL)
    added = []
    for ranks in (1, 2, 4):
        cut = Cut(ranks, 1)
        (plain,), (drafting,) = (stage_weights(model, cut, drafting=w) for w in (False, True))
        added.append(drafting.mid_bytes - plain.mid_bytes)
    assert added[1] == pytest.approx(added[0] / 2, rel=0.001)
    assert added[2] == pytest.approx(added[0] / 4, rel=0.001)


def told(**workload: Any) -> Plan:  # noqa: ANN401 - fields of a workload
    asked = {"spec_type": "draft-mtp", **workload}
    return check(MODEL, runtime="vllm", machine=CARD, workload=asked)


def test_the_command_and_the_notes_say_that_it_drafts() -> None:
    plan = told(spec_draft_n_max=3)
    (line,) = plan.commands["vllm"]
    words = shlex.split(line)
    flag = words[words.index("--speculative-config") + 1]
    assert json.loads(flag) == {"method": "mtp", "num_speculative_tokens": 3}
    assert any(note.startswith("Speed is told without drafts") for note in plan.notes)
    assert plan.workload.spec_draft_n_max == 3


def test_a_program_that_uses_the_library_gets_a_dictionary() -> None:
    (line,) = told(program="api", spec_draft_n_max=2).commands["vllm"]
    code = shlex.split(line)[-1]
    assert "speculative_config={'method': 'mtp', 'num_speculative_tokens': 2}" in code
    compile(code, "command", "exec")
