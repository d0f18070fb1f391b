"""The storage type every tensor gets for a file type, as the converter and `llama-quantize` choose.

The rules look at a tensor's category, at its place among its kind and at a few facts of the model;
they are data in `mixing_rules`. Places are counted in llama.cpp's own order (by layer, then by
name), whatever order the shapes are given in.

Source: ggml-org/llama.cpp (commit 0c1e5709, 2026-10-01), src/llama-quant.cpp,
src/llama-model-loader.h (order of weights), conversion/base.py (types of an unquantised file).
Error: none against the dry run of `llama_model_quantize`. Files quantised by older versions or by
hand-made recipes differ; those are read from their own header.
"""

from __future__ import annotations

from functools import lru_cache

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.quants.mixing_rules import (
    EIGHT_EXPERT_TYPE,
    FALLBACK_TYPES,
    LOW_BIT,
    LOW_OUTPUT,
    PLACES,
    RULES,
    RULES_FALCON,
    SEVENTY_B_LAYERS,
    SEVENTY_B_TYPES,
    TOKEN_EMBEDDING_TYPES,
)
from whatfits.sizing.quants.tensor_classes import classify, split_layer
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Final

    from whatfits.sizing.model import TensorShape
    from whatfits.sizing.quants.file_types import FileType
    from whatfits.sizing.quants.tensor_classes import Category

    # (layer, name, index among the shapes): sorts as llama.cpp orders tensors.
    Member = tuple[int, str, int]
    Places = tuple[tuple[tuple[Callable[[int, int], bool], ...], str], ...]

__all__ = ["MixFacts", "assign_types"]

_SHARED_HEADS: Final = 4  # query heads a key head from which attention values get more bits
_MANY_EXPERTS: Final = 4
_EIGHT_EXPERTS: Final = 8
_SOURCE_TYPE: Final = "F16"
_COUNTED: Final = frozenset({"attention_v", "ffn_down", "ffn_gate", "ffn_up"})
_FFN: Final = frozenset({"ffn_down", "ffn_gate", "ffn_up"})
_GLM5_NEXT_WIDE: Final = ("attn_q_a", "attn_q_b", "nextn.eh_proj")


@dataclass(frozen=True, slots=True)
class MixFacts:
    """What the mixing rules look at besides the tensors.

    Attributes:
        n_layers_all: `block_count`, next-token-prediction layers included.
        n_head: query heads of layer 0 (0 when it has no attention).
        n_head_kv: key/value heads of layer 0; as many as `n_head` when the header names none.
        n_expert: routed experts a layer, 0 when dense.
    """

    n_layers_all: int
    n_head: int
    n_head_kv: int
    n_expert: int = 0


class _Survey(NamedTuple):
    """A model's tensors sorted out.

    Attributes:
        types: storage types, final for the tensors that are in no group.
        groups: tensors the rules decide on, by category.
        n_values: attention values, those that keep their type included.
        tied: there is no output matrix: the token embedding serves as one.
    """

    types: list[str]
    groups: dict[Category, list[Member]]
    n_values: int
    tied: bool


class _Recipe(NamedTuple):
    """One file type for one model: what its rules know.

    Attributes:
        stock: file type whose rules hold.
        default: storage type when no rule decides.
        architecture: GGUF architecture.
        facts: facts of the model.
        tied: the token embedding is also the output matrix.
        n_values: attention values in the model, those that keep their type included.
        conditions: conditions about the model that hold (see `mixing_rules.Rule`).
    """

    stock: str
    default: str
    architecture: str
    facts: MixFacts
    tied: bool
    n_values: int
    conditions: frozenset[str]


def assign_types(
    shapes: Sequence[TensorShape],
    *,
    architecture: str,
    facts: MixFacts,
    file_type: FileType,
    imatrix: bool | None = None,
    source_type: str | None = None,
) -> tuple[str, ...]:
    """Return the storage type of each shape, in the order given.

    `shapes` must be the whole model: whether `output.weight` is among them and how many attention
    values there are changes the mix. A `fixed_type` is kept and takes no turn in the counting, as
    for experts that are published in MXFP4 and stay so in every file. `imatrix` says that the file
    was made with an importance matrix; unset: where `llama-quantize` demands one. `source_type` is
    what tensors that are never quantised have in the source file; by default the file type itself
    for F32, F16 and BF16, else F16.

    Raises:
        InvalidRequestError: llama.cpp refuses this file type for these shapes, or cannot make it.
    """
    usual_source = _source_type(file_type)
    survey = _survey(
        shapes, architecture, file_type=file_type, source_type=source_type or usual_source
    )
    types = survey.types
    if file_type.is_float:
        return tuple(types)
    recipe = _Recipe(
        stock=file_type.stock_name,
        default=file_type.default_type,
        architecture=architecture,
        facts=facts,
        tied=survey.tied,
        n_values=survey.n_values,
        conditions=_conditions(
            facts, imatrix=file_type.wants_imatrix if imatrix is None else imatrix
        ),
    )
    for category, group in survey.groups.items():
        forced = _forced_type(file_type, category)
        for index, type_name in _choose(category, group, shapes=shapes, recipe=recipe):
            types[index] = forced or _fitting_type(type_name, shapes[index].shape[0])
    return tuple(types)


def _source_type(file_type: FileType) -> str:
    """Return the 16-bit (or F32) type of the file a file type is usually made from.

    Raises:
        InvalidRequestError: the file type is not made from such a file.
    """
    if file_type.default_type == "NVFP4":
        raise InvalidRequestError(
            what="file type to derive tensor types for",
            got=file_type.name,
            allowed="types llama-quantize makes",
            next_step="NVFP4 comes with the checkpoint: give the .gguf file itself",
        )
    return file_type.default_type if file_type.is_float else _SOURCE_TYPE


def _survey(
    shapes: Sequence[TensorShape], architecture: str, *, file_type: FileType, source_type: str
) -> _Survey:
    """Return the model's tensors sorted out: those that keep a type have it, the rest wait."""
    types = [shape.fixed_type or file_type.default_type for shape in shapes]
    groups: dict[Category, list[Member]] = {}
    n_values, tied, is_float = 0, True, file_type.is_float
    for index, shape in enumerate(shapes):
        name, dims = shape.name, shape.shape
        layer, generic_name = split_layer(name)
        category, quantised, kept_f32 = classify(generic_name, architecture)
        n_values += category == "attention_v"
        tied = tied and category != "output"
        if shape.fixed_type is not None:
            continue
        if len(dims) < 2 or (kept_f32 and (is_float or not quantised)):  # noqa: PLR2004 - a vector
            types[index] = "F32"
        elif not quantised or max(dims[1:]) == 1:
            types[index] = source_type
        else:
            groups.setdefault(category, []).append((layer, name, index))
    return _Survey(types=types, groups=groups, n_values=n_values, tied=tied)


def _conditions(facts: MixFacts, *, imatrix: bool) -> frozenset[str]:
    """Return the conditions about the model that hold."""
    held = {"imatrix" if imatrix else "no_imatrix"}
    if facts.n_head_kv and facts.n_head // facts.n_head_kv >= _SHARED_HEADS:
        held.add("gqa4")
    if facts.n_expert >= _MANY_EXPERTS:
        held.add("experts4")
    held.add("experts8" if facts.n_expert == _EIGHT_EXPERTS else "not_experts8")
    return frozenset(held)


def _forced_type(file_type: FileType, category: Category) -> str | None:
    """Return the type a published variant forces on the embedding or the output matrix."""
    if category == "token_embedding":
        return file_type.token_embedding_type
    return file_type.output_type if category == "output" else None


def _choose(
    category: Category, group: list[Member], *, shapes: Sequence[TensorShape], recipe: _Recipe
) -> Iterable[tuple[int, str]]:
    """Yield (index, type) for the tensors of one category, before row lengths are looked at."""
    if category == "output" or (recipe.tied and category == "token_embedding"):
        return ((index, _output_type(shapes[index].shape[0], recipe)) for _, _, index in group)
    if recipe.stock == "MXFP4_MOE":
        return ((index, _mxfp4_moe_type(shapes[index], category, recipe)) for _, _, index in group)
    if category == "token_embedding":
        chosen = TOKEN_EMBEDDING_TYPES.get(recipe.stock, recipe.default)
        return ((index, chosen) for _, _, index in group)
    if category == "other":
        return ((index, _other_type(name, recipe)) for _, name, index in group)
    return _by_place(category, group, recipe=recipe)


def _by_place(
    category: Category, group: list[Member], *, recipe: _Recipe
) -> Iterator[tuple[int, str]]:
    """Yield (index, type) by the category's rule and each tensor's place among its kind."""
    rule = _places(category, recipe)
    is_ffn = category in _FFN
    by_layer = is_ffn and recipe.facts.n_expert > 1 and recipe.stock not in LOW_BIT
    total = recipe.facts.n_layers_all if is_ffn else recipe.n_values
    if category in _COUNTED:
        group.sort()
    for count, (layer, name, index) in enumerate(group):
        place = layer if by_layer else count
        if by_layer and not 0 <= layer < total:
            raise InvalidRequestError(
                what="feed-forward tensor of a mixture of experts",
                got=name,
                allowed=f"names that start with blk.0 to blk.{total - 1}",
            )
        for conditions, type_name in rule:
            if all(holds(place, total) for holds in conditions):
                yield index, type_name
                break


def _places(category: Category, recipe: _Recipe) -> Places:
    """Return the category's rule with only the conditions left that depend on the place."""
    low_bit = recipe.stock in LOW_BIT
    narrow = category in {"attention_v", "attention_k"}
    if narrow and "experts8" in recipe.conditions and not low_bit:
        return (((), EIGHT_EXPERT_TYPE),)
    steps = SEVENTY_B_TYPES if category == "attention_v" and _is_seventy_b(recipe) else {}
    falcon = recipe.architecture == "falcon" and category in RULES_FALCON
    rule = (RULES_FALCON if falcon else RULES)[category].get(recipe.stock, ())
    places: list[tuple[tuple[Callable[[int, int], bool], ...], str]] = []
    for conditions, type_name in (*rule, ((), recipe.default)):
        if all(held in recipe.conditions or held in PLACES for held in conditions):
            by_place = tuple(PLACES[held] for held in conditions if held in PLACES)
            places.append((by_place, steps.get(type_name, type_name)))
    return tuple(places)


def _is_seventy_b(recipe: _Recipe) -> bool:
    """Return whether llama.cpp takes the model for a 70B one (and its rule holds here)."""
    facts = recipe.facts
    if recipe.stock in LOW_BIT:
        return False
    if facts.n_layers_all != SEVENTY_B_LAYERS.get(recipe.architecture):
        return False
    return not recipe.architecture.startswith("llama") or facts.n_head != facts.n_head_kv


def _output_type(width: int, recipe: _Recipe) -> str:
    """Return the type of the output matrix, or of the embedding that serves as one."""
    whole_blocks = width % GGML_TYPES[recipe.default].block_elements == 0
    if recipe.stock == "MXFP4_MOE" or recipe.architecture == "falcon" or not whole_blocks:
        return "Q8_0"
    if recipe.stock in LOW_OUTPUT:
        return "Q5_K"
    return "Q8_0" if recipe.default == "Q8_0" else "Q6_K"


def _mxfp4_moe_type(shape: TensorShape, category: Category, recipe: _Recipe) -> str:
    """Return MXFP4 for stacks of experts, Q8_0 for the rest."""
    stacked = len(shape.shape) > 2 and shape.shape[2] > 1  # noqa: PLR2004 - third dimension
    if recipe.architecture == "bailingmoe3":  # its latent projections are stacks too
        stacked = stacked and category in _FFN
    return "MXFP4" if stacked else "Q8_0"


def _other_type(name: str, recipe: _Recipe) -> str:
    """Return the default type, or Q8_0 for what GLM-5-Next never takes below it."""
    if recipe.architecture == "glm5-next" and any(part in name for part in _GLM5_NEXT_WIDE):
        return "Q8_0"
    return recipe.default


@lru_cache(maxsize=1024)
def _fitting_type(type_name: str, width: int) -> str:
    """Return `type_name`, or what llama.cpp takes for rows that are no whole number of blocks.

    Raises:
        InvalidRequestError: there is no such replacement; `llama-quantize` stops there too.
    """
    block = GGML_TYPES[type_name].block_elements
    if width % block == 0:
        return type_name
    shorter = FALLBACK_TYPES.get(type_name, type_name)
    if shorter == type_name and block > GGML_TYPES["Q8_0"].block_elements:
        raise InvalidRequestError(
            what=f"row length for {type_name}", got=width, allowed=f"a multiple of {block}"
        )
    return shorter if width % GGML_TYPES[shorter].block_elements == 0 else "F16"
