"""One model under several file types, as a repository has them, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_hub import COMMIT

from whatfits.sizing.errors import BadInputError
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_hub import Hub

    Serve = Callable[..., Hub]

MODEL = "smollm2-135m"
REPO = "acme/SmolLM2-135M-Instruct-GGUF"
STEM = "SmolLM2-135M-Instruct"
API = f"/api/models/{REPO}/revision/main"
FILE = f"/{REPO}/resolve/{COMMIT}/{STEM}-Q4_K_M.gguf"


def refusal_of(name: str, kind: type[BadInputError] = BadInputError, **options: str) -> str:
    with pytest.raises(kind) as caught:
        load(name, **options)
    message = str(caught.value)
    assert message.isprintable()
    return message


def notes(name: str) -> str:
    return " ".join(load(name).notes)
