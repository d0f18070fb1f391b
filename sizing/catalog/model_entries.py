"""A model of the catalog, and how it is found by name. No network, no pydantic."""

from __future__ import annotations

from itertools import takewhile

from whatfits.sizing.catalog.index_file import open_index
from whatfits.sizing.catalog.names import key_of, model_tokens, without_noise, without_vendor
from whatfits.sizing.catalog.runs import expand_runs
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Final

    from whatfits.sizing.catalog.index_file import IndexFile

__all__ = ["ModelEntry", "find_model", "model_entries"]

_INDEX: Final = "models.jsonl"
_LONGEST_NAME: Final = 200
# LM Studio's names of makers who are called otherwise on Hugging Face.
_MAKERS: Final = {
    "ibm": "ibm-granite",
    "deepseek": "deepseek-ai",
    "meta": "meta-llama",
    "liquid": "LiquidAI",
}
# Facts of the catalog that have no field of their own, or that `ModelEntry` unpacks.
_PACKED: Final = ("config", "lists", "null_fields", "vision")
_NOT_SHAPE: Final = ("licence", "released", "dtype", "params_published")
_TRAINED_FOR: Final = "max_position_embeddings"
_TUPLES: Final = ("aliases", "unknown", "unverified", "derived")


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class ModelEntry:
    """One model of the catalog; two entries are equal when they are the same one.

    Attributes:
        id: short name.
        name: name for people.
        aliases: other names it answers to.
        family: group of models with one architecture.
        hf_id: repository on Hugging Face.
        kind: `llm`, `vlm` or `embedding`.
        moe: it has experts.
        licence: licence; None when not read. `licence_basis` says how it is known.
        released: month, `2024-07`; None when not read.
        params_total: parameters counted from the shape, vision and audio included, next-token
            blocks not; None when the shape has holes (`unknown`).
        params_active: parameters used for a token, embeddings included; None as above.
        params_expert: of the total, in routed experts.
        params_vision_audio: of the total, in vision and audio parts.
        params_embedding: of the total, in the token embedding.
        params_mtp: parameters of next-token-prediction blocks, outside the total.
        params_published: the publisher's figure; `params_published_basis` says how it is known.
        params_active_published: the publisher's active figure.
        count_method: how `params_total` was made.
        native_quantisation: how the publisher stores it, as `mxfp4`, `fp8`; None for 16 bit.
        native_quantisation_scope: the part of the weights that it holds for; None for all.
        derivative_quantisation: of the quantised derivative whose configuration was read.
        attention_pattern: pattern of attention layers in words, where the configuration is silent.
        layer_counts: kinds of layers, where there is no list of them.
        check: how the count compares with the published figure (`status`, `reason`, …).
        cross_check: bytes of a published 16-bit checkpoint against the count; None without.
        unknown: fields that nobody read.
        unverified: fields of the shape that were filled from memory and not re-read; `*` is all.
        derived: fields that were worked out from others.
        note: what a reader must know; None when there is nothing.
        source: where the shape was read, with its date.
        checked: day of that reading, `2026-11-22`.
    """

    id: str
    name: str
    family: str
    hf_id: str
    kind: str
    moe: bool
    source: str
    checked: str
    packed: Mapping[str, Any]
    check: Mapping[str, Any]
    cross_check: Mapping[str, Any] | None = None
    aliases: tuple[str, ...] = ()
    licence: str | None = None
    licence_basis: str | None = None
    released: str | None = None
    released_basis: str | None = None
    params_total: int | None = None
    params_active: int | None = None
    params_expert: int | None = None
    params_vision_audio: int | None = None
    params_embedding: int | None = None
    params_mtp: int | None = None
    params_published: int | None = None
    params_active_published: int | None = None
    params_published_basis: str | None = None
    count_method: str | None = None
    native_quantisation: str | None = None
    native_quantisation_scope: str | None = None
    derivative_quantisation: str | None = None
    attention_pattern: str | None = None
    layer_counts: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    note: str | None = None

    def __eq__(self, other: object) -> bool:
        """Return whether both are the same entry of the catalog."""
        return isinstance(other, ModelEntry) and self.id == other.id

    def __hash__(self) -> int:
        """Return the hash of the id."""
        return hash(self.id)

    def __repr__(self) -> str:
        """Return the entry as it is looked up."""
        return f"ModelEntry({self.id!r})"

    @property
    def line(self) -> str:
        """The maker's line without its generation: `qwen3.5` and `qwen2.5` are both qwen."""
        return "".join(takewhile(str.isalpha, self.family)) or self.family

    @property
    def config(self) -> dict[str, Any]:
        """The text part of `config.json`, with Hugging Face's names and plain lists; a new copy."""
        return self._unpacked("config") or {}

    @property
    def vision(self) -> dict[str, Any] | None:
        """The vision part of `config.json`; None without, or when it was not read."""
        return self._unpacked("vision")

    @property
    def caveats(self) -> tuple[str, ...]:
        """What is not sure about these facts, one sentence each."""
        said = []
        shape = [name for name in self.unknown if name not in _NOT_SHAPE]
        if self.params_total is not None:  # counted with this shape: a size it lacks is not used
            if _TRAINED_FOR in shape:
                said.append("The context it was trained for is not known.")
        elif shape:
            said.append(f"Not known of its shape: {', '.join(shape)}.")
        if "*" in self.unverified:
            said.append("Unverified: its whole shape was not read at a source.")
        elif self.unverified:
            said.append(f"Unverified, not read at a source: {', '.join(self.unverified)}.")
        said += [
            f"{text[:1].upper()}{text[1:]}."
            for text in (self.check.get("confidence"), self.check.get("reason"), self.note)
            if text
        ]
        return tuple(said)

    def _unpacked(self, part: str) -> dict[str, Any] | None:
        packed = self.packed.get(part)
        if packed is None:
            return None
        unpacked = _copy(packed)
        for path in self.packed.get("null_fields", ()):
            _place(unpacked, path, part, None)
        for path, text in self.packed.get("lists", {}).items():
            _place(unpacked, path, part, text)
        return unpacked


def _copy(value: dict[str, Any]) -> dict[str, Any]:
    """Return a copy that may be changed without touching the original."""
    return {
        key: _copy(item)
        if isinstance(item, dict)
        else list(item)
        if isinstance(item, list)
        else item
        for key, item in value.items()
    }


def _place(target: dict[str, Any], path: str, part: str, text: str | None) -> None:
    """Put a list (short form) or null at a dotted path, when the path belongs to `part`."""
    root, *parents, last = path.split(".")
    if root != part:
        return
    for parent in parents:
        target = target[parent]
    target[last] = None if text is None else expand_runs(text)


def _entry(record: dict[str, Any]) -> ModelEntry:
    packed: dict[str, Any] = {key: record.pop(key) for key in _PACKED if key in record}
    for key in _TUPLES:
        if key in record:
            record[key] = tuple(record[key])
    return ModelEntry(packed=packed, **record)


def model_entries() -> Iterator[ModelEntry]:
    """Yield every model of the catalog, family by family.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    for record in open_index(_INDEX).entries():
        yield _entry(record)


def find_model(text: str) -> ModelEntry:
    """Return the model of that name: its short name, an alias, its Hugging Face id, or near enough.

    Letter case, separators, `-instruct` and the publisher's name do not matter. Numbers do: a name
    with another size or generation is never answered with a near one.

    Raises:
        UnknownModelError: no model, or several, answer to the name; up to five are suggested.
        CatalogError: the packaged index is missing or broken.
    """
    index = open_index(_INDEX)
    number = _exact(index, text)
    if number is None:
        from whatfits.sizing.catalog.near_misses import near_model  # noqa: PLC0415 - cold path

        number = near_model(text, index.table())
    return _entry(index.entry(number))


def _exact(index: IndexFile, text: str) -> int | None:
    """Return the number of the entry that owns the name; None when nobody does."""
    name = text.strip().casefold()
    number: int | None = index.header["hf_ids"].get(name)
    if number is not None or len(name) > _LONGEST_NAME:
        return number
    publisher, _, repository = name.rpartition("/")
    publisher = _MAKERS.get(publisher, publisher)
    number = _owner(index.header["keys"], repository)
    if number is None or not publisher:
        return number
    # Another publisher's repository of that name may hold anything.
    own: str = index.entry(number)["hf_id"].partition("/")[0]
    return number if key_of(model_tokens(own)) == key_of(model_tokens(publisher)) else None


def _owner(keys: dict[str, int], name: str) -> int | None:
    tokens = model_tokens(name)
    plain = without_noise(tokens)
    for form in (tokens, plain, without_vendor(tokens), without_vendor(plain)):
        number = keys.get(key_of(form))
        if number is not None:
            return number
    return None
