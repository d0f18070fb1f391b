"""The longest context that is told of Ollama runs as Ollama starts it for that context."""

from __future__ import annotations

import pytest

from whatfits.sizing import check
from whatfits.sizing.runtimes.ollama_guess import BATCH_STEPS


@pytest.mark.parametrize(
    ("name", "file_type", "machine", "context_tokens"),
    [
        # above 4,096 tokens a batch of 1,024, above 32,768 one of 2,048, where it has headroom
        ("llama-3.1-8b", None, "rtx-4060 + 16gb", 8192),
        ("llama-3.1-8b", None, "2x rtx-3090 + 64gb", 8192),
        ("qwen3-vl-4b", "Q6_K", "strix halo 64gb", 256),
        ("kimi-linear-48b-a3b", "TQ1_0", "strix halo 32gb", 1_048_576),
        # which layers stay on the card is fitted to each context
        ("lfm2-8b-a1b", "Q6_K", "rtx-4060-laptop + 16gb", 32_768),
        ("deepseek-v2-lite", "Q2_K", "rtx-4060-laptop + 16gb", 131_072),
    ],
)
def test_the_longest_context_runs_by_the_batch_and_cards_it_gets_itself(
    name: str, file_type: str | None, machine: str, context_tokens: int
) -> None:
    def asked(tokens: int) -> tuple[str, int | None]:
        plan = check(
            name,
            file_type=file_type,
            machine=machine,
            runtime="ollama",
            workload={"context_tokens": tokens},
        )
        return plan.verdict, plan.largest_context_tokens

    verdict, longest = asked(context_tokens)
    assert longest is not None
    if verdict in ("fits", "slow"):
        assert longest >= context_tokens
    again, of_that = asked(longest)
    assert again in (("fits",) if verdict == "fits" else ("fits", "slow"))
    assert of_that is not None
    assert of_that >= longest


def test_no_context_is_told_where_none_surely_runs() -> None:
    for tokens in (256, *BATCH_STEPS):
        plan = check(
            "command-r-35b",
            file_type="Q8_0",
            machine="strix halo 64gb",
            runtime="ollama",
            workload={"context_tokens": tokens},
        )
        assert plan.verdict not in ("fits", "slow")
        assert plan.largest_context_tokens is None


@pytest.mark.parametrize("slots", [16, 31, 32, 58, 128, 129, 256])
@pytest.mark.parametrize("machine", ["8gb", "rtx-3060 12gb + 32gb"])
def test_many_slots_have_a_longest_context_too(machine: str, slots: int) -> None:
    """A slot of many is shorter than the contexts above which Ollama takes another batch."""

    def asked(tokens: int) -> tuple[str, int | None]:
        plan = check(
            "qwen2.5-coder-0.5b",
            machine=machine,
            runtime="ollama",
            workload={"context_tokens": tokens, "parallel": slots},
        )
        return plan.verdict, plan.largest_context_tokens

    verdict, longest = asked(256)
    assert verdict == "fits"
    assert longest is not None
    assert 256 <= longest <= 32_768
    assert asked(longest)[0] == "fits"
    if longest < 32_768:  # it is known to a 32nd of the way
        assert asked(2 * longest)[0] != "fits"
