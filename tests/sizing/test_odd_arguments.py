"""Arguments of kinds that nobody meant are refused by the name of the field and of the kind."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from whatfits.sizing import (
    BadInputError,
    check,
    cost,
    fleet,
    load_model,
    need,
    plan,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Name(Enum):
    """A name that is no text."""

    MODEL = "llama-3.2-1b"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": Path("llama-3.2-1b.gguf")}, "model 'PosixPath'; allowed: text"),
        ({"model": b"llama-3.2-1b"}, "model 'bytes'"),
        ({"model": Name.MODEL}, "model 'Name'"),
        ({"model": None}, "model 'NoneType'"),
        ({"machine": Path("8gb.json")}, "machine (a name is text) 'pathlib"),
        ({"machine": 8}, "machine (a name is text) 'int'"),
        ({"file_type": b"Q4_K_M"}, "file type 'bytes'"),
        ({"file_type": 15}, "file type 'int'"),
        ({"workload": [("context_tokens", 4096)]}, "workload 'list'"),
        ({"workload": {"context_tokens": np.int64(4096)}}, "workload.context_tokens 'numpy.int64'"),
        ({"workload": {"swa_full": np.bool_(True)}}, "workload.swa_full 'numpy.bool"),
        ({"workload": {"context_tokens": Decimal(4096)}}, "context_tokens 'decimal.Decimal'"),
        ({"placement": {"gpu_layers": np.int32(3)}}, "placement.gpu_layers 'numpy.int32'"),
        ({"placement": "cpu"}, "placement 'str'"),
    ],
)
def test_another_kind_of_argument_is_refused_by_its_name(
    changed: dict[str, Any], said: str
) -> None:
    asked: dict[str, Any] = {"model": "llama-3.2-1b", "machine": "8gb", **changed}
    with pytest.raises(BadInputError) as error:
        check(asked.pop("model"), **asked)
    assert said in str(error.value)


NAME = "llama-3.2-1b"
DAY = dt.date(2026, 11, 27)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: together(NAME, machine="8gb"), "models 'llama-3.2-1b'; allowed: a list of models"),
        (lambda: fleet(NAME, "8gb"), "machines '8gb'; allowed: a list of machines"),
        (
            lambda: cost(NAME, today=DAY, machine="8gb", against="gpt-4o"),
            "against 'gpt-4o'; allowed: a list of offers",
        ),
        (lambda: cost(NAME, today="2026-11-27", machine="8gb"), "today '2026-11-27'"),  # type: ignore[arg-type]
        (lambda: need(NAME, today=dt.datetime(2026, 11, 27), machine="8gb"), "today '2026-11-27"),  # noqa: DTZ001 - refused
        (lambda: need(NAME, least_tokens_per_s=float("nan")), "least_tokens_per_s 'nan'"),
        (lambda: plan(NAME, machine="8gb", least_tokens_per_s=-1), "least_tokens_per_s '-1'"),
        (lambda: plan(NAME, machine="8gb", least_tokens_per_s=True), "least_tokens_per_s 'True'"),
    ],
)
def test_what_would_be_taken_for_something_else_is_refused(
    ask: Callable[[], object], said: str
) -> None:
    with pytest.raises(BadInputError) as error:
        ask()
    assert said in str(error.value)


@pytest.mark.parametrize("ask", [check, plan])
def test_a_loaded_model_keeps_its_file_type_and_another_is_refused(
    ask: Callable[..., object],
) -> None:
    spec = load_model(NAME, file_type="Q8_0")
    ask(spec, machine="8gb", file_type="q8-0")
    with pytest.raises(BadInputError, match=r"that is loaded 'Q4_K_M'.*its own, Q8_0"):
        ask(spec, machine="8gb", file_type="Q4_K_M")
