"""The plain rule against every model of the catalog whose parameters are counted."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from whatfits.sizing.architectures.plain_fields import (
    LEAST_PART,
    MOST_PART,
    plain_parameters,
)
from whatfits.sizing.catalog.lookup import model_entries
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.sources.catalog_model import spec_of_entry

if TYPE_CHECKING:
    from collections.abc import Iterator


def ratios() -> Iterator[tuple[str, float]]:
    """Counted over rule, for every plain model."""
    for entry in model_entries():
        with suppress(BadInputError):
            spec = spec_of_entry(entry, file_type="F16")
            inner = entry.config.get("text_config")
            rule = plain_parameters({**entry.config, **(inner if isinstance(inner, dict) else {})})
            if spec.tensors and spec.parameters and rule is not None:
                yield entry.id, spec.parameters / rule.mid


def test_the_interval_holds_every_plain_model_of_the_catalog() -> None:
    found = dict(ratios())
    assert len(found) > 150
    outside = {name: ratio for name, ratio in found.items() if not LEAST_PART < ratio < MOST_PART}
    assert not outside
    assert min(found.values()) < LEAST_PART + 0.1  # no wider than it has to be
    assert max(found.values()) > MOST_PART - 0.1


def test_what_is_no_plain_transformer_gets_no_figure() -> None:
    plain = {
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "vocab_size": 256,
    }
    rule = plain_parameters(plain)
    assert rule is not None
    assert rule.mid == 2 * 256 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 128)
    for other in ("mamba_d_state", "linear_num_key_heads", "hidden_size_per_layer_input"):
        assert plain_parameters({**plain, other: 16}) is None
    for missing in plain:
        assert plain_parameters({key: v for key, v in plain.items() if key != missing}) is None
