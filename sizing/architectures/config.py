"""A Hugging Face `config.json`, typed: the names that hold the same fact, tried in order."""

from __future__ import annotations

import math

from whatfits.sizing.architectures import flattened
from whatfits.sizing.architectures.metadata import MAX_CONTEXT
from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.typed import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["Config"]

FILE_FORMAT: Final = "config.json"


class Config:
    """The language model's part of a configuration, outer values filling its gaps."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = flattened(values)

    def without(self, *names: str) -> Config:
        """Return the configuration with some values taken out."""
        return Config({key: value for key, value in self._values.items() if key not in names})

    def error(self, name: str, reason: str, *, allowed: str = "") -> MalformedFileError:
        """Return the error for a value that cannot be."""
        return MalformedFileError(
            file_format=FILE_FORMAT, field=name, reason=reason, allowed=allowed
        )

    def _first(self, names: tuple[str, ...]) -> tuple[str, object]:
        for name in names:
            value = self._values.get(name)
            if value is not None:
                return name, value
        return names[0], None

    def optional(self, *names: str) -> int | None:
        """Return the first of `names` that is given, as a whole number.

        Raises:
            MalformedFileError: not a whole number, negative or absurd.
        """
        name, value = self._first(names)
        if value is None:
            return None
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is int and 0 <= value <= MAX_CONTEXT:
            return value
        allowed = f"a whole number from 0 to {MAX_CONTEXT:,}"
        raise self.error(name, f"got {value!r}", allowed=allowed)

    def integer(self, *names: str) -> int:
        """Return the first of `names` that is given; one must be.

        Raises:
            MalformedFileError: none is given, or it is not a whole number.
        """
        value = self.optional(*names)
        if value is None:
            raise self.error(names[0], "missing", allowed="a whole number")
        return value

    def positive(self, *names: str) -> int:
        """Return the first of `names` that is given, which must be above zero.

        Raises:
            MalformedFileError: none is given, or it is not a positive whole number.
        """
        value = self.integer(*names)
        if value == 0:
            raise self.error(names[0], "got 0", allowed="a positive whole number")
        return value

    def number(self, *names: str) -> float | None:
        """Return the first of `names` that is given, as a finite number.

        Raises:
            MalformedFileError: not a finite number.
        """
        name, value = self._first(names)
        if value is None:
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        raise self.error(name, f"got {value!r}", allowed="a finite number")

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a flag, or the default when it is not given.

        Raises:
            MalformedFileError: not true or false.
        """
        value = self._values.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise self.error(name, f"got {value!r}", allowed="true or false")

    def text(self, name: str) -> str | None:
        """Return a string, None when it is not given or something else."""
        value = self._values.get(name)
        return value if isinstance(value, str) else None

    def items(self, name: str) -> tuple[object, ...] | None:
        """Return a list, None when it is not given or something else."""
        value = self._values.get(name)
        return tuple(value) if isinstance(value, (list, tuple)) else None

    def inner(self, name: str) -> Mapping[str, object]:
        """Return a part of the configuration, empty when it is not given or something else."""
        value = self._values.get(name)
        return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}

    def layer_kinds(self, n_layers: int) -> tuple[str, ...] | None:
        """Return `layer_types`, one kind a layer; None when it is not given.

        Raises:
            MalformedFileError: the list is shorter than the model is deep.
        """
        kinds = self.items("layer_types")
        if kinds is None:
            return None
        if len(kinds) < n_layers:
            reason = f"a list of {len(kinds):,}"
            raise self.error("layer_types", reason, allowed=f"{n_layers:,} values")
        return tuple(str(kind) for kind in kinds[:n_layers])

    def mapping(self, name: str) -> Config:
        """Return a part of the configuration, empty when it is not given."""
        value = self._values.get(name)
        return Config(value if isinstance(value, dict) else {})

    def rope_of(self, kind: str) -> Mapping[str, object]:
        """Return the rotary parameters of one kind of layer; those of all where there is one."""
        for name in ("rope_parameters", "rope_scaling"):
            value = self._values.get(name)
            if isinstance(value, dict):
                inner = value.get(kind)
                return cast("Mapping[str, object]", inner if isinstance(inner, dict) else value)
        return {}

    @property
    def rope(self) -> Mapping[str, object]:
        """The rotary parameters of full attention: scaling, its kind and its factors."""
        return self.rope_of("full_attention")

    @property
    def rope_kind(self) -> str:
        """The kind of rotary scaling in lower case, empty without."""
        kind = self.rope.get("rope_type", self.rope.get("type"))
        return kind.lower() if isinstance(kind, str) else ""

    @property
    def quantised_by(self) -> str:
        """How the checkpoint itself is quantised, as `fp8` or `mxfp4`; empty when it is not."""
        value = self._values.get("quantization_config")
        method = value.get("quant_method") if isinstance(value, dict) else None
        return method if isinstance(method, str) else ""

    @property
    def head_length(self) -> int:
        """Elements of one head: `head_dim`, else width over heads."""
        given = self.optional("head_dim")
        if given:
            return given
        return self.positive("hidden_size", "n_embd", "dim") // self.positive(
            "num_attention_heads", "n_head", "n_heads"
        )

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return self.positive("num_hidden_layers", "n_layers", "n_layer", "num_layers")

    @property
    def n_vocab(self) -> int:
        """Rows of the embedding."""
        return self.positive("vocab_size", "padded_vocab_size")

    def tied(self, *, default: bool = False) -> bool:
        """Return whether the output shares the embedding's matrix."""
        return self.flag("tie_word_embeddings", default=default)
