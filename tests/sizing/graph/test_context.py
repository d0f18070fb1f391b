"""What a graph is made for: its tokens and rows, its metadata, pins and factors of rotations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.graph.context import GraphContext
from whatfits.sizing.graph.index import TensorIndex
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.settings import Settings

LAYER_HOME, HOST = 1, 2
TRAINED = "rope.scaling.original_context_length"


def context(model: ModelSpec, settings: Settings, *, pinned: bool = False) -> GraphContext:
    return GraphContext(
        model,
        settings,
        index=TensorIndex(model),
        layers=(0,),
        weight_home=lambda _spec, _layer: 0,
        layer_home=lambda layer: LAYER_HOME + layer,
        cache_home=lambda _layer: 0,
        host=HOST,
        pinned_layers=pinned,
    )


@pytest.fixture(scope="module")
def model() -> ModelSpec:
    return load_catalog_model("phi-4-mini", file_type="Q4_K_M")


def made(model: ModelSpec, *, pinned: bool = False, **asked: Any) -> GraphContext:  # noqa: ANN401
    return context(model, resolve_settings(model, Workload(**asked)), pinned=pinned)


@pytest.mark.parametrize(
    ("micro", "sequences", "tokens"), [(512, 1, 512), (512, 3, 513), (96, 3, 96), (1, 4, 4)]
)
def test_a_micro_batch_has_as_many_tokens_of_each_sequence(
    model: ModelSpec, micro: int, sequences: int, tokens: int
) -> None:
    c = made(model, context_tokens=8192, micro_batch=micro, parallel=sequences)
    assert (c.n_tokens, c.n_seqs, c.n_seq_tokens) == (tokens, sequences, tokens // sequences)


def test_rows_of_logits_are_no_more_than_tokens(model: ModelSpec) -> None:
    for wanted, rows in ((1, 1), (63, 63), (64, 64), (100, 64)):
        c = made(model, context_tokens=8192, micro_batch=64, outputs_max=wanted)
        assert c.n_outputs == rows


def test_only_numbers_of_the_architecture_are_metadata_of_a_graph(model: ModelSpec) -> None:
    told = {"phi3.whole": 3, "phi3.half": 0.5, "phi3.word": "7", "bare": 1, "phi3.list": (1, 2)}
    c = made(replace(model, metadata={**model.metadata, **told}), context_tokens=512)
    assert (c.metadata("whole"), c.metadata("half")) == (3, 0.5)
    assert c.metadata("whole", default=9) == 3
    for key in ("word", "list", "bare", "unsaid"):
        assert c.metadata(key) == 0
        assert c.metadata(key, default=9) == 9


def test_what_belongs_to_a_layer_is_pinned_to_its_device_where_layers_are(
    model: ModelSpec,
) -> None:
    for is_pinned in (False, True):
        c = made(model, context_tokens=512, pinned=is_pinned)
        for layer in (0, 3):
            x = c.input("F32", 8)
            c.pin(x, layer)
            assert x.wants == (LAYER_HOME + layer if is_pinned else None)
        other = c.input("F32", 8)
        c.pin(other, None)
        assert other.wants is None


def test_a_norm_is_pinned_where_it_has_a_weight_or_a_bias(model: ModelSpec) -> None:
    c = made(model, context_tokens=512, pinned=True)
    x, w = c.input("F32", 8), c.input("F32", 8)
    bare = c.norm(x, None, layer=0)
    assert (bare.op, bare.wants) == ("RMS_NORM", None)
    for weight, bias, ops in (
        (w, None, ["MUL", "RMS_NORM"]),
        (None, w, ["ADD", "RMS_NORM"]),
        (w, w, ["ADD", "MUL", "RMS_NORM"]),
    ):
        y = c.norm(x, weight, bias, layer=0)
        found = [y]
        while found[-1].op != "RMS_NORM":
            found.append(found[-1].srcs[0])
        assert [node.op for node in found] == ops
        assert found[-1].wants == LAYER_HOME
    assert c.norm(x, w, layer=0, rms=False).srcs[0].op == "NORM"
    assert c.norm(x, w).srcs[0].wants is None  # of no layer


@pytest.mark.parametrize(
    ("tokens", "original", "trained", "length"),
    [
        (4096, 4096, 131_072, "short"),
        (4352, 4096, 131_072, "long"),
        (8192, 131_072, 4096, "short"),
        # what it was trained for counts where no other length is said
        (8192, None, 8192, "short"),
        (8448, None, 8192, "long"),
        (256, None, None, "long"),
    ],
)
def test_a_context_longer_than_the_original_one_takes_the_long_factors(
    model: ModelSpec, tokens: int, original: int | None, trained: int | None, length: str
) -> None:
    said = {key: value for key, value in model.metadata.items() if not key.endswith(TRAINED)}
    if original is not None:
        said[f"phi3.{TRAINED}"] = original
    hparams = replace(model.hparams, context_train_tokens=trained)
    settings = resolve_settings(model, Workload(context_tokens=tokens))
    factors = context(replace(model, metadata=said, hparams=hparams), settings).rope_factors(0)
    assert factors is not None
    assert factors.name == f"rope_factors_{length}.weight"


def test_factors_for_any_context_come_before_those_for_long_and_short_ones(
    model: ModelSpec,
) -> None:
    first = next(t for t in model.tensors if t.name == "rope_factors_long.weight")
    fixed = replace(model, tensors=(*model.tensors, replace(first, name="rope_freqs.weight")))
    factors = made(fixed, context_tokens=8192).rope_factors(0)
    assert factors is not None
    assert factors.name == "rope_freqs.weight"
    none = replace(model, tensors=tuple(t for t in model.tensors if "rope" not in t.name))
    assert made(none, context_tokens=8192).rope_factors(0) is None
