"""Which layers of a model differ by a rule, though their weights are alike: llama.cpp's rules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from whatfits.sizing.graph.models import mark_of
from whatfits.sizing.model import FullAttention, Hparams, LayerSpec, ModelSpec, SlidingWindow

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

LAYERS: Final = 12
EVERY: Final = tuple(range(LAYERS))
WINDOWED: Final = (1, 2, 5)
PATTERN: Final = [at in WINDOWED for at in EVERY]
SWA, PERIOD = "attention.sliding_window", "attention.sliding_window_pattern"
RESCALED: Final = "rescale_every_n_layers"


def all_but(*layers: int) -> tuple[int, ...]:
    return tuple(at for at in EVERY if at not in layers)


def shaped(architecture: str, said: dict[str, object], windows: Sequence[int] = ()) -> ModelSpec:
    """Return a model of a few layers that are alike but for their windows."""
    plain = LayerSpec(n_head=1, n_head_kv=1, attention=FullAttention(64, 64))
    window = replace(plain, attention=SlidingWindow(64, 64, window_tokens=128))
    return ModelSpec(
        name="model",
        source="model.gguf",
        architecture=architecture,
        file_type=None,
        file_bytes=None,
        tensors=(),
        layers=tuple(window if at in windows else plain for at in EVERY),
        hparams=Hparams(n_embd=64, n_vocab=64, context_train_tokens=None),
        parameters=None,
        active_parameters=None,
        metadata={f"{architecture}.{key}": value for key, value in said.items()},
    )


def marks(model: ModelSpec) -> list[Hashable]:
    mark = mark_of(model.architecture)
    assert mark is not None
    return [mark(model, at) for at in EVERY]


@pytest.mark.parametrize(
    ("architecture", "said", "marked"),
    [
        # src/llama-hparams.cpp, set_swa_pattern: no period is all windows, a period of one is none
        ("gemma-embedding", {}, all_but(5, 11)),
        ("gemma-embedding", {PERIOD: 0}, EVERY),
        ("gemma-embedding", {PERIOD: 1}, ()),
        ("gemma-embedding", {PERIOD: 4}, all_but(3, 7, 11)),
        ("gemma-embedding", {PERIOD: PATTERN}, WINDOWED),
        ("gemma-embedding", {PERIOD: "odd"}, all_but(5, 11)),
        ("modern-bert", {}, ()),
        ("modern-bert", {SWA: 0}, ()),
        ("modern-bert", {SWA: 128}, all_but(0, 3, 6, 9)),
        ("modern-bert", {SWA: 128, PERIOD: 0}, EVERY),
        ("modern-bert", {SWA: 128, PERIOD: 5}, all_but(0, 5, 10)),
        # src/models/smollm3.cpp, afmoe.cpp: every fourth goes without rotation
        ("smollm3", {}, (3, 7, 11)),
        ("afmoe", {}, all_but(3, 7, 11)),
        # src/models/smallthinker.cpp: the first of four, where there are windows
        ("smallthinker", {SWA: 4096}, all_but(0, 4, 8)),
        ("smallthinker", {}, EVERY),
        ("granite_swa", {"attention.rope_pattern": PATTERN}, WINDOWED),
        ("granite_swa", {"attention.rope_pattern": 4}, EVERY),
        ("granite_swa", {}, EVERY),
        ("rwkv6", {RESCALED: 6}, (5, 11)),
        ("rwkv6", {RESCALED: 1}, EVERY),
        ("rwkv6", {RESCALED: 0}, ()),
        ("rwkv6", {RESCALED: -1}, ()),
        ("rwkv7", {}, ()),
        # src/models/gemma3n.cpp: n_layer_sparsity
        ("gemma3n", {}, tuple(range(10))),
        ("glm5-next", {}, EVERY),
        ("glm5-next", {"attention.indexer.types": PATTERN}, WINDOWED),
        ("minimax-m3", {}, ()),
        ("minimax-m3", {"leading_dense_block_count": 3}, (0, 1, 2)),
        ("minimax-m3", {"leading_dense_block_count": "3"}, ()),
    ],
)
def test_a_rule_says_which_layers_differ(
    architecture: str, said: dict[str, object], marked: tuple[int, ...]
) -> None:
    assert marks(shaped(architecture, said)) == [at in marked for at in EVERY]


@pytest.mark.parametrize(
    ("architecture", "said", "windows", "marked"),
    [
        # src/models/llama4.cpp: every fourth of a model in chunks, the last one of any other
        ("llama4", {}, (0, 1, 2, 4), all_but(3, 7, 11)),
        ("llama4", {}, (), all_but(11)),
        ("cohere2moe", {}, WINDOWED, WINDOWED),
        ("cohere2moe", {"leading_dense_block_count": 2}, (5, 6), (0, 1, 5, 6)),
    ],
)
def test_a_rule_looks_at_windows(
    architecture: str, said: dict[str, object], windows: tuple[int, ...], marked: tuple[int, ...]
) -> None:
    assert marks(shaped(architecture, said, windows)) == [at in marked for at in EVERY]


@pytest.mark.parametrize("architecture", ["qwen3vl", "qwen3vlmoe"])
@pytest.mark.parametrize(("said", "n_deep"), [({}, 0), ({"n_deepstack_layers": 3}, 3)])
def test_each_layer_that_pictures_join_differs_from_the_others(
    architecture: str, said: dict[str, object], n_deep: int
) -> None:
    expected = [at if at < n_deep else None for at in EVERY]
    assert marks(shaped(architecture, said)) == expected


def test_limits_of_experts_and_of_others_are_told_apart_and_the_smallest_are_none() -> None:
    limits = [0.0, 1e-6, 1e-5, 7.0, *[0.0] * (LAYERS - 4)]
    said: dict[str, object] = {"swiglu_clamp_exp": limits, "swiglu_clamp_shexp": 16.0}
    has_limit = [at in {2, 3} for at in EVERY]
    assert marks(shaped("step35", said)) == [(limited, True) for limited in has_limit]
    assert marks(shaped("step35", {})) == [(False, False)] * LAYERS


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma3", "cohere2"])
def test_weights_tell_the_layers_of_others_apart(architecture: str) -> None:
    assert mark_of(architecture) is None
