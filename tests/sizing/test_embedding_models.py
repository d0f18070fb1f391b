"""Models that embed: how long an input may be, what starts them, and that they write nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check
from whatfits.sizing.api import answer, load_machine, load_model
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.growth import growth_of
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

CARD = "rtx-4090 + 64gb"
ENCODER, DECODER, CHAT = "bge-m3", "qwen3-embedding-0.6b", "qwen3-0.6b"
NO_POOLING, MEAN, FIRST, LAST, RANK = range(5)


def pooled(name: str, pooling: int) -> ModelSpec:
    spec = load_model(name)
    return replace(spec, metadata={**spec.metadata, f"{spec.architecture}.pooling_type": pooling})


def batches(spec: ModelSpec, **workload: int) -> tuple[int, int]:
    settings = resolve_settings(spec, Workload(**workload))
    return settings.batch_tokens, settings.micro_batch_tokens


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        ({"context_tokens": 8192}, (8192, 8192)),
        ({"context_tokens": 256}, (512, 512)),
        # each of four sequences sees a quarter; of five, 1,792 tokens, up to a multiple of five
        ({"context_tokens": 8192, "parallel": 4}, (2048, 2048)),
        ({"context_tokens": 8192, "parallel": 5}, (1795, 1795)),
        # no slot is longer than the model was trained for
        ({"context_tokens": 32_768}, (8192, 8192)),
        ({"context_tokens": 8192, "micro_batch": 1024}, (1024, 1024)),
        ({"context_tokens": 8192, "micro_batch": 4096}, (4096, 4096)),
        ({"context_tokens": 8192, "batch": 1024}, (1024, 1024)),
    ],
)
def test_a_server_of_an_encoder_reads_its_longest_input_at_once(
    workload: dict[str, int], expected: tuple[int, int]
) -> None:
    assert batches(load_model(ENCODER), **workload) == expected


@pytest.mark.parametrize(
    ("pooling", "expected"), [(MEAN, 4096), (FIRST, 4096), (LAST, 512), (RANK, 512)]
)
def test_a_decoder_reads_in_parts_where_only_its_last_row_counts(
    pooling: int, expected: int
) -> None:
    assert batches(pooled(CHAT, pooling), context_tokens=4096) == (expected, expected)


def test_a_reranker_carries_its_head_and_ranks() -> None:
    # XLM-RoBERTa large for one score: a layer of its width and a row above what bge-m3 has.
    reranker, encoder = load_model("bge-reranker-v2-m3"), load_model(ENCODER)
    assert (reranker.reranks, encoder.reranks) == (True, False)
    own = {tensor.name: tensor.shape for tensor in reranker.tensors}
    for tensor in encoder.tensors:
        assert own.pop(tensor.name) == tensor.shape
    assert own == {
        "cls.weight": (1024, 1024),
        "cls.bias": (1024,),
        "cls.output.weight": (1024, 1),
        "cls.output.bias": (1,),
    }
    plan = check("bge-reranker-v2-m3", machine=CARD, workload={"context_tokens": 8192})
    (line,) = plan.commands["llama.cpp"]
    assert line.endswith("--reranking")


def test_a_model_that_writes_and_the_library_keep_their_batches() -> None:
    assert batches(load_model(CHAT), context_tokens=8192) == (2048, 512)
    library = Workload(program="api", context_tokens=8192)
    settings = resolve_settings(load_model(ENCODER), library)
    assert (settings.batch_tokens, settings.micro_batch_tokens) == (2048, 512)


@pytest.mark.parametrize(
    ("name", "workload", "flags"),
    [
        (ENCODER, {"context_tokens": 8192}, "-b 8192 -ub 8192 --embeddings"),
        ("nomic-embed-text-v1.5", {"context_tokens": 2048}, "-b 2048 -ub 2048 --embeddings"),
        (ENCODER, {"context_tokens": 8192, "micro_batch": 1024}, "-b 1024 -ub 1024 --embeddings"),
        (ENCODER, {"context_tokens": 8192, "micro_batch": 256}, "-ub 256 --embeddings"),
        ("bge-small-en-v1.5", {}, "-ngl 13 --embeddings"),
        (DECODER, {}, "-ngl 29 --embeddings"),
    ],
)
def test_the_command_says_both_batches(name: str, workload: dict[str, int], flags: str) -> None:
    (line,) = check(name, machine=CARD, workload=workload).commands["llama.cpp"]
    assert line.endswith(flags)


@pytest.mark.parametrize("name", [ENCODER, CHAT])
def test_a_model_that_ranks_is_started_as_one(name: str) -> None:
    told = {}
    for kind in (LAST, RANK):
        plan = answer(
            pooled(name, kind),
            machine=load_machine(CARD),
            workload=Workload(),
            request=PlacementRequest(),
        )
        (line,) = plan.commands["llama.cpp"]
        told[kind] = line.rpartition(" ")[2]
    assert told == {LAST: "--embeddings", RANK: "--reranking"}


def test_memory_is_that_of_the_whole_input() -> None:
    whole = check(ENCODER, machine=CARD, workload={"context_tokens": 8192})
    part = check(ENCODER, machine=CARD, workload={"context_tokens": 8192, "micro_batch": 512})
    # llama.cpp's own plan with -b 8192 -ub 8192: tests/oracle/test_commands.py
    assert whole.memory.devices[0].compute_bytes > 16 * part.memory.devices[0].compute_bytes


def test_what_a_smaller_micro_batch_refuses_is_said() -> None:
    said = [
        check(ENCODER, machine=CARD, workload={"micro_batch": micro}).notes
        for micro in (1024, 8192)
    ]
    assert [any("longer than 1,024 tokens are refused" in n for n in notes) for notes in said] == [
        True,
        False,
    ]
    ollama = check(ENCODER, machine=CARD, runtime="ollama", workload={"context_tokens": 8192})
    assert any("longer than 2,048 tokens are refused" in note for note in ollama.notes)


@pytest.mark.parametrize(
    ("name", "words"),
    [(ENCODER, "an encoder writes no tokens"), (DECODER, "an embedding model writes no tokens")],
)
def test_what_embeds_reads_and_does_not_write(name: str, words: str) -> None:
    for runtime in ("llama.cpp", *(["vllm"] if name == DECODER else [])):
        speed = check(name, machine=CARD, runtime=runtime).speed
        assert (speed.decode_tokens_per_s, speed.reason) == (None, words)
        assert speed.prefill_tokens_per_s is not None


def test_a_server_of_embeddings_keeps_no_prompts() -> None:
    for name, kept in ((CHAT, True), (DECODER, False)):
        spec, server = load_model(name), Workload()
        growth = growth_of(spec, resolve_settings(spec, server), server)
        assert bool(growth.limit_bytes) is kept


@pytest.mark.parametrize(
    ("runtime", "chats", "embeds"),
    [
        ("ollama", "ollama run", "curl http://localhost:11434/api/embed"),
        ("lm-studio", "lms chat", "lms load"),
        ("jan", "n_gpu_layers", "embedding: true"),
        ("vllm", "vllm serve", "--runner pooling"),
    ],
)
def test_no_program_is_told_to_chat_with_it(runtime: str, chats: str, embeds: str) -> None:
    def lines(name: str) -> str:
        return "\n".join(check(name, machine=CARD, runtime=runtime).commands[runtime])

    assert chats in lines(CHAT)
    assert embeds in lines(DECODER)
    if runtime in ("ollama", "lm-studio"):
        assert chats not in lines(DECODER)


def test_jan_is_told_the_batches_of_an_encoder() -> None:
    plan = check(ENCODER, machine=CARD, runtime="jan", workload={"context_tokens": 8192})
    assert plan.commands["jan"][-2:] == ("batch_size: 8192", "ubatch_size: 8192")


def test_mlx_hands_out_no_embeddings() -> None:
    with pytest.raises(InvalidRequestError, match="hands out no embeddings"):
        check(DECODER, machine="m4-pro 24gb", runtime="mlx")


def test_a_file_that_names_a_pooling_embeds() -> None:
    spec = pooled(CHAT, LAST)
    plan = answer(
        spec,
        machine=load_machine(CARD),
        workload=Workload(),
        request=PlacementRequest(),
        force=True,
    )
    assert "--embeddings" in plan.commands["llama.cpp"][0]
    assert not pooled(CHAT, NO_POOLING).embeds
