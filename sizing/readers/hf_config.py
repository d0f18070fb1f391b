"""Reading a `config.json`: checked JSON, its oddities named, its plain fields of the right kind.

Nothing in it is ever run: `auto_map` names code that a repository brings along, and is only
noted. What a field must hold to be used is the business of `sizing.architectures.config`.
"""

from __future__ import annotations

from whatfits.sizing.architectures import TEXT_PARTS, language_parts
from whatfits.sizing.errors import MalformedFileError, UnsupportedArchitectureError, printable
from whatfits.sizing.readers.strict_json import parse_json
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

__all__ = ["MAX_CONFIG_BYTES", "HfConfig", "read_hf_config", "read_json_object"]

FILE_FORMAT: Final = "config.json"
MAX_CONFIG_BYTES: Final = 4 * 2**20  # MLX lists every module of a large mixture in 2 MB
# Counts that a plain transformer cannot do without, and that tensors can supply.
COUNTS: Final = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    *("hidden_size", "n_embd", "d_model", "vocab_size", "intermediate_size"),
    *("num_attention_heads", "n_head", "num_key_value_heads", "head_dim"),
)
# Configurations that go with a model without being one.
_NO_MODELS: Final = {
    "peft_type": "an adapter (LoRA)",
    "_diffusers_version": "a part of an image model (diffusers)",
    "image_processor_type": "an image processor's configuration",
    "tokenizer_class_name": "a tokenizer's configuration",
    "weight_map": "the index of a checkpoint",
}


@dataclass(frozen=True, slots=True)
class HfConfig:
    """A configuration as it can be used.

    Attributes:
        values: the configuration, fields of the wrong kind left out.
        findings: what is odd but harmless, one printable line each.
    """

    values: Mapping[str, object]
    findings: tuple[str, ...] = ()


def read_hf_config(data: bytes) -> HfConfig:
    """Return a configuration.

    Raises:
        MalformedFileError: no JSON object, or more than is allowed of anything.
        UnsupportedArchitectureError: it describes something that is no language model.
    """
    twice: list[str] = []
    values = read_json_object(data, on_duplicate=twice.append)
    _refuse_other_kinds(values)
    findings = [f"key {printable(key)!r} is given twice; the last one counts" for key in twice[:1]]
    if any("auto_map" in part for part in language_parts(values)):
        findings.append("auto_map names code of the repository; it is never run")
    return HfConfig(_usable(values, findings), tuple(findings))


def read_json_object(
    data: bytes, *, on_duplicate: Callable[[str], None] = lambda _: None
) -> dict[str, object]:
    """Return the object of a configuration file, whatever it configures.

    Raises:
        MalformedFileError: no JSON object, or more than is allowed of anything.
    """
    if len(data) > MAX_CONFIG_BYTES:
        raise MalformedFileError(
            file_format=FILE_FORMAT,
            field="file",
            reason=f"is {len(data):,} bytes long",
            offset_bytes=0,
            allowed=f"up to {MAX_CONFIG_BYTES:,}",
        )
    # time_step_limit of Mamba 2 ends in Infinity, and json.dumps writes it.
    values = parse_json(
        data, FILE_FORMAT, field="file", on_duplicate=on_duplicate, allow_constants=True
    )
    if not isinstance(values, dict):
        raise MalformedFileError(
            file_format=FILE_FORMAT,
            field="file",
            reason="is no JSON object",
            offset_bytes=0,
            allowed="an object with model_type or architectures",
        )
    return values


def _refuse_other_kinds(values: Mapping[str, object]) -> None:
    for key, kind in _NO_MODELS.items():
        if key in values:
            raise UnsupportedArchitectureError(
                what=f"this config.json is of {kind}; it has", got=key, next_step="name the model"
            )


def _usable(values: Mapping[str, object], findings: list[str]) -> dict[str, object]:
    """Return the fields, without counts that are no counts; null is as good as not given."""
    kept: dict[str, object] = {}
    for key, value in values.items():
        if key in TEXT_PARTS and isinstance(value, dict):
            kept[key] = _usable(value, findings)
        elif key in COUNTS and isinstance(value, (str, bool)):
            shown = printable(value)
            findings.append(f"{key} of config.json is {shown!r}, no number; it is not used")
        elif value is not None or key not in COUNTS:
            kept[key] = value
    return kept
