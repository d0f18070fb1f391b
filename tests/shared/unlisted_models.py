"""A made-up configuration of an architecture whose tensors nobody listed, and its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing.approximate import ParameterRange, approximate_spec

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

PARAMETERS = ParameterRange(1_000_000, 1_000_000, 1_000_000)
_PLAIN = {
    "model_type": "unheard-of",
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 256,
    "vocab_size": 1000,
}


def made(
    parameters: ParameterRange | None = PARAMETERS,
    *,
    active_parameters: int | None = None,
    parameters_from: str = "its name",
    **changes: object,
) -> ModelSpec:
    """Return the model with some fields changed; None leaves a field out."""
    config = {name: value for name, value in {**_PLAIN, **changes}.items() if value is not None}
    return approximate_spec(
        config,
        name="made up",
        source="config.json",
        file_type="q4_0",
        parameters=parameters,
        active_parameters=active_parameters,
        origin="test",
        parameters_from=parameters_from,
    )
