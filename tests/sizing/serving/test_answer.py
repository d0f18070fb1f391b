"""`serve` agrees with `check` where both answer, and more of anything acts the right way."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check, load_machine, load_model, serve
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.serving.curve import knee_users
from whatfits.sizing.serving.profile import Lengths, Limits, LoadProfile
from whatfits.sizing.serving.vllm_host import BEFORE_V1, LEAST_TTFT_S, OF_TODAY, WEB_FRONT_S
from whatfits.sizing.verdict import MAY_RUN

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.serving.serve_plan import ServePlan

CARD = "rtx-4090 + 64gb"
TWO_TOKENS = LoadProfile(Lengths(512), Lengths(2))
RUNTIMES = ("llama.cpp", "ollama", "vllm")
MODELS = ("llama-3.1-8b", "qwen3-30b-a3b", "gemma-3-12b")


def served(model: str = "llama-3.1-8b", **more: Any) -> ServePlan:  # noqa: ANN401 - as serve takes it
    return serve(model, **{"machine": CARD, "workload": {"context_tokens": 4096}, **more})


def faster(times: float) -> Machine:
    """Return the card's machine with so many times the bandwidth and arithmetic."""
    machine = load_machine(CARD)
    devices = tuple(
        replace(
            device,
            name="a card of no catalog",
            bandwidth_bytes_per_s=int(times * device.bandwidth_bytes_per_s),
            fp16_flops_per_s=int(times * device.fp16_flops_per_s),
        )
        if device.kind == "cuda"
        else device
        for device in machine.devices
    )
    return replace(machine, devices=devices)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("model", MODELS)
def test_one_user_alone_gets_what_check_says(runtime: str, model: str) -> None:
    machine = CARD if model == "llama-3.1-8b" else "h100-sxm5-80gb + 128gb"
    found = served(model, runtime=runtime, load=TWO_TOKENS, machine=machine)
    alone = check(
        model,
        runtime=runtime,
        machine=machine,
        workload={"context_tokens": 4096, "prompt_tokens": 512},
    )
    point = found.at_users
    # under vLLM the ends are those of measured servers, and the host and the front come on top
    ends = ("mid",) if runtime == "vllm" else ("low", "mid", "high")
    for name, mine, theirs in (
        ("first token", point.ttft_p50_s, alone.speed.time_to_first_token_s),
        ("writing", point.tokens_per_s, alone.speed.decode_tokens_per_s),
    ):
        for end in ends:
            expected = getattr(theirs, end)
            if (name, runtime) == ("first token", "vllm"):
                expected = max(expected, LEAST_TTFT_S[1]) + WEB_FRONT_S[1]
            # both are rounded to three digits
            assert getattr(mine, end) == pytest.approx(expected, rel=0.011), (name, end)


@pytest.mark.parametrize("tokens", [1, 32, 513, 2049, 3500])
def test_any_prompt_alone_takes_what_check_says(tokens: int) -> None:
    for runtime in ("llama.cpp", "vllm"):
        load = LoadProfile(Lengths(tokens), Lengths(2))
        found = served(runtime=runtime, load=load)
        asked = {"context_tokens": 4096, "prompt_tokens": tokens}
        alone = check("llama-3.1-8b", runtime=runtime, machine=CARD, workload=asked)
        expected = alone.speed.time_to_first_token_s.mid
        if runtime == "vllm":
            expected = max(expected, LEAST_TTFT_S[1]) + WEB_FRONT_S[1]
        assert found.at_users.ttft_p50_s.mid == pytest.approx(expected, rel=0.011)


@pytest.mark.parametrize("model", MODELS)
def test_vllms_tokens_and_concurrency_are_the_planners(model: str) -> None:
    from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
    from whatfits.sizing.runtimes.vllm_verdict import judged
    from whatfits.sizing.workload import PlacementRequest, Workload

    name = "h100-sxm5-80gb + 128gb"
    found = served(model, runtime="vllm", machine=name)
    spec, machine = load_model(model, runtime="vllm"), load_machine(name)
    asked = resolve_vllm(spec, machine, Workload(context_tokens=4096), PlacementRequest())
    bill = judged(spec, machine, asked).bill
    cache = bill.devices[0].cache
    tokens = cache.cache_tokens(bill.n_blocks[1], request_tokens=4096)
    assert found.cache_tokens == tokens
    assert found.longest_requests == cache.concurrency(bill.n_blocks[1], request_tokens=4096)
    note = next(note for note in found.notes if "tokens" in note)
    assert f"{tokens:,}" in note or str(tokens) in note


def test_as_many_equal_requests_are_at_work_as_the_planner_says_fit() -> None:
    load = LoadProfile(Lengths(3072), Lengths(1024))  # 4,096 tokens at its end, as the context
    found = served(runtime="vllm", users=40, load=load)
    assert found.at_users.batch.mid <= found.longest_requests * 4096 / 3072
    assert found.at_users.batch.mid >= found.longest_requests - 1
    assert found.at_users.binds == "kv_cache"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_more_users_get_no_more_each(runtime: str) -> None:
    load = LoadProfile(Lengths(512, 1500), Lengths(200, 800))
    curve = served(runtime=runtime, users=16, load=load).curve
    assert len(curve) > 4
    for fewer, more in pairwise(curve):
        # the same requests in the same order; what is left is which of them meet
        assert more.tokens_per_s.mid <= fewer.tokens_per_s.mid * 1.05
        assert more.ttft_p50_s.mid >= fewer.ttft_p50_s.mid * 0.95


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_more_bandwidth_and_arithmetic_never_hurt(runtime: str) -> None:
    load = LoadProfile(Lengths(512, 1500), Lengths(200, 800))
    before = None
    for times in (1.0, 1.5, 3.0):
        now = served(runtime=runtime, users=8, load=load, machine=faster(times))
        if before is not None:
            assert now.most_users.mid >= before.most_users.mid
            assert now.at_users.ttft_p95_s.mid <= before.at_users.ttft_p95_s.mid
            faster_by = now.at_users.throughput_tokens_per_s.mid
            assert faster_by >= before.at_users.throughput_tokens_per_s.mid
        before = now


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_verdict_follows_from_the_users_that_are_served(runtime: str) -> None:
    most = served(runtime=runtime, users=4).most_users
    assert 0 < most.low <= most.mid <= most.high
    hopeless = Limits(ttft_p95_s=0.001)
    found = served(runtime=runtime, users=4, limits=hopeless)
    assert found.verdict == "no"
    assert found.most_users.high == 0
    assert found.commands == {}
    assert served(runtime=runtime, users=4, limits=hopeless, force=True).commands
    fits = served(runtime="vllm", users=most.low)
    assert (fits.verdict == "fits") == (fits.most_users.low >= most.low)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"limits": Limits(ttft_p95_s=0.001)}, "no user is served"),
        ({"users": 4, "limits": Limits(ttft_p95_s=1)}, "4 users are served"),
        ({"users": 1, "limits": Limits(ttft_p95_s=0.2)}, "1 user is served"),
        ({"load": LoadProfile(requests_per_hour=1)}, "4,096 or more users are served"),
    ],
)
def test_a_range_of_one_number_is_told_as_that_number(more: dict[str, Any], said: str) -> None:
    found = served(**{"users": 8, **more})
    assert found.most_users.low == found.most_users.high
    assert found.verdict_reason.startswith(said)


def test_the_knee_is_the_first_point_with_nearly_all_of_the_throughput() -> None:
    curve = served(runtime="vllm", users=16).curve
    knee = knee_users(curve)
    assert knee is not None
    assert knee_users(curve[:2]) is None  # still growing
    best = max(point.throughput_tokens_per_s.mid for point in curve)
    for point in curve:
        if point.users < knee:
            assert point.throughput_tokens_per_s.mid < 0.9 * best
    at_knee = next(point for point in curve if point.users == knee)
    assert at_knee.throughput_tokens_per_s.mid >= 0.9 * best


def test_arithmetic_overtakes_reading_at_the_balanced_batch_and_not_before() -> None:
    from whatfits.sizing.serving.batching import BatchModel
    from whatfits.sizing.serving.roofline import balanced_batch

    class Scripted(BatchModel):
        def __init__(self) -> None:
            """Reading takes 100 at depth 1 and 1 a sequence, arithmetic 3 for all but one."""

        def bandwidth_and_arithmetic_s(self, sequences: int, depth: int) -> tuple[float, float]:
            return 99.0 + depth + sequences, 3.0 * (sequences - 1)

    assert balanced_batch(Scripted(), depth_tokens=1, most=256) == 52
    assert balanced_batch(Scripted(), depth_tokens=1, most=51) is None


@pytest.mark.parametrize(
    ("prompt_tokens", "binds"), [(8, "bandwidth"), (32, "bandwidth"), (3000, "arithmetic")]
)
def test_a_short_prompt_waits_for_memory_and_a_long_one_for_arithmetic(
    prompt_tokens: int, binds: str
) -> None:
    found = served(load=LoadProfile(Lengths(prompt_tokens), Lengths(1)))
    assert found.binds == binds


def test_what_does_not_fit_is_not_simulated() -> None:
    found = served("llama-3.3-70b", machine="rtx-3060 12gb + 16gb", users=2)
    assert (found.verdict, found.binds, found.curve) == ("no", "memory", ())
    assert found.verdict not in MAY_RUN


def test_without_an_arithmetic_rate_nothing_is_told() -> None:
    machine = load_machine("64gb")
    assert all(device.fp16_flops_per_s is None for device in machine.devices)
    found = served("qwen3-0.6b", machine=machine)
    assert found.verdict == "unknown"
    assert "arithmetic rate" in found.verdict_reason
    assert "a machine file can tell its cores" in found.verdict_reason
    assert found.at_users is None


def test_one_slot_is_one() -> None:
    found = served(machine="raspberry pi 5 8gb", users=8, workload={"context_tokens": 8192})
    assert "Memory has room for 1 slot: of 8 users the others wait in a queue." in found.notes


def test_memory_with_room_for_few_slots_queues_the_rest() -> None:
    found = served(users=200, workload={"context_tokens": 8192})
    assert 1 < found.slots < 200
    assert any(f"room for {found.slots} slots" in note for note in found.notes)
    assert f"-np {found.slots} " in found.plan.commands["llama.cpp"][0]
    more = check(
        "llama-3.1-8b",
        machine=CARD,
        workload={"context_tokens": 8192 * (found.slots + 1), "parallel": found.slots + 1},
    )
    assert more.verdict != "fits"


def test_other_seeds_move_figures_less_than_the_speed_is_unsure() -> None:
    load = LoadProfile(Lengths(512, 1500), Lengths(200, 800), requests_per_hour=120.0)
    found = served(runtime="vllm", users=16, load=load)
    spread, whole = found.sampling.ttft_p95_s, found.at_users.ttft_p95_s
    assert spread.low < spread.mid < spread.high
    assert spread.high - spread.low < whole.high - whole.low


def test_an_answer_is_the_same_twice() -> None:
    from whatfits.sizing.json_values import dump_json

    load = {"prompt": {"median_tokens": 400, "p95_tokens": 900}, "think_s": 3.0}
    first = dump_json(served(load=load, users=5, seed=9))
    assert dump_json(served(load=load, users=5, seed=9)) == first
    assert json.loads(first)["seed"] == 9


def basis_inputs(found: ServePlan) -> dict[str, object]:
    return next(one.inputs for one in found.basis if one.key == "curve")


def test_an_older_engine_takes_longer_for_every_sequence() -> None:
    today, older = (
        served(runtime="vllm", users=32, engine_version=version) for version in (None, "0.7.3")
    )
    assert today.engine_version is None
    assert older.engine_version == "0.7.3"
    assert basis_inputs(today)["host_sequence_s"] == OF_TODAY.sequence_s[1]
    assert basis_inputs(older)["host_sequence_s"] == BEFORE_V1.sequence_s[1]
    speeds = [found.at_users.tokens_per_s for found in (today, older)]
    assert speeds[1].mid < speeds[0].mid
    # 31 sequences after the first, and what every step has; today that is done beside the card
    longer_s = 31 * BEFORE_V1.sequence_s[1] + BEFORE_V1.step_s[1]
    assert 1 / speeds[1].mid - 1 / speeds[0].mid == pytest.approx(longer_s, rel=0.1)


def test_an_unknown_version_widens_the_interval_to_all_of_them_and_says_so() -> None:
    today, unknown, older = (
        served(runtime="vllm", users=32, engine_version=version)
        for version in ("0.33.0", "unknown", "0.7")
    )
    speeds = [found.at_users.tokens_per_s for found in (today, unknown, older)]
    assert (speeds[1].mid, speeds[1].high) == (speeds[0].mid, speeds[0].high)
    assert speeds[1].low == speeds[2].low < speeds[0].low
    assert [any("version" in note for note in f.notes) for f in (today, unknown, older)] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(("file_type", "is_narrower"), [("FP8", False), ("BF16", True)])
def test_what_servers_were_not_measured_with_keeps_the_interval_of_its_speed(
    file_type: str, *, is_narrower: bool
) -> None:
    asked: dict[str, Any] = {"file_type": file_type, "runtime": "vllm", "machine": CARD}
    alone = check("qwen3-8b", workload={"context_tokens": 4096, "prompt_tokens": 512}, **asked)
    found = served("qwen3-8b", load=TWO_TOKENS, **asked)
    fast, expected = found.at_users.tokens_per_s.high, alone.speed.decode_tokens_per_s.high
    assert (fast < 0.98 * expected) is is_narrower
    assert is_narrower or fast == pytest.approx(expected, rel=0.011)


@pytest.mark.parametrize("version", ["", "new", "0", "0.x", "1" * 30])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(BadInputError, match="version"):
        served(runtime="vllm", engine_version=version)


def test_a_version_is_vllms_alone() -> None:
    with pytest.raises(BadInputError, match="vllm"):
        served(runtime="ollama", engine_version="0.7.3")
