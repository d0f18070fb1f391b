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
    PlacementRequest,
    Workload,
    check,
    cost,
    find_models,
    fleet,
    load_model,
    need,
    plan,
    serve,
    together,
)
from whatfits.sizing.api.typed_fields import KINDS, check_fields
from whatfits.sizing.values import annotations_of

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = dt.date(2026, 11, 27)


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


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Workload(program="x"), "workload.program 'x'; allowed: server, api"),
        (Workload(kv_type_k=8), "workload.kv_type_k '8'; allowed: text"),
        (Workload(mmproj=Path("x.gguf")), "workload.mmproj"),
        (Workload(lora="x.gguf"), "workload.lora 'x.gguf'; allowed: a tuple of texts"),
        (Workload(swa_full="no"), "workload.swa_full 'no'; allowed: True or False"),
        (Workload(flash_attention=True), "workload.flash_attention 'True'; allowed: auto, on, off"),
        (Workload(context_tokens="8k"), "workload.context_tokens '8k'; allowed: a whole number"),
        (Workload(parallel=True), "workload.parallel 'True'"),
        (PlacementRequest(gpu_layers="3"), "placement.gpu_layers '3'; allowed: a whole number"),
        (PlacementRequest(overrides=("a", "b")), "placement.overrides"),
        (PlacementRequest(devices="cuda0"), "placement.devices 'cuda0'; allowed: a tuple of texts"),
        (PlacementRequest(tensor_split=(True,)), "placement.tensor_split"),
        (PlacementRequest(split_mode="rows"), "placement.split_mode 'rows'; allowed: layer, row"),
        (PlacementRequest(mmap="yes"), "placement.mmap 'yes'"),
        (PlacementRequest(repack=False), "placement.repack 'False'; allowed: auto, on, off"),
    ],
)
def test_fields_of_a_request_made_in_python_are_looked_at_as_those_of_json(
    given: Workload | PlacementRequest, said: str
) -> None:
    name = "workload" if isinstance(given, Workload) else "placement"
    with pytest.raises(BadInputError) as error:
        check("llama-3.2-1b", machine="8gb", **{name: given})
    assert said in str(error.value)


def test_every_field_of_a_request_has_a_kind_and_its_default_is_of_it() -> None:
    for value in (Workload(), PlacementRequest()):
        check_fields(value, what="request")
        assert {text.removesuffix(" | None") for _, text in annotations_of(value)} <= KINDS.keys()
    lists: Any = {"overrides": (("a", "CPU"),), "devices": ("cpu",), "tensor_split": (1, 0.5)}
    check_fields(PlacementRequest(**lists), what="placement")
    check_fields(Workload(lora=("x",), kv_unified=True, spec_type="none"), what="workload")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: together(None, machine="8gb"), "models 'NoneType'; allowed: a list of models"),
        (lambda: together([5], machine="8gb"), "model 'int'; allowed: text"),
        (lambda: together(["llama-3.2-1b"], machine="8gb", first_port="80"), "port '80'"),
        (lambda: find_models("8gb", kind="chat"), "kind 'chat'; allowed: llm, vlm, embedding"),
        (lambda: need("llama-3.2-1b", machine="8gb", users="3"), "number of users '3'"),
        (lambda: need("llama-3.2-1b", machine="8gb", users=1.5), "number of users '1.5'"),
        (lambda: serve("llama-3.2-1b", machine="8gb", engine_version=7), "version of vLLM 'int'"),
        (lambda: cost("llama-3.2-1b", today=None, machine="8gb"), "allowed: a datetime.date"),
        (lambda: cost("llama-3.2-1b", today=DAY, machine="8gb", region=3), "region 'int'"),
        (lambda: cost("llama-3.2-1b", today=DAY, machine="8gb", against=[3]), "against 'int'"),
        (lambda: cost("llama-3.2-1b", today=DAY, machine="8gb", prices=3), "prices 'int'"),
        (lambda: fleet("llama-3.2-1b", None), "machines 'NoneType'; allowed: a list"),
        (lambda: fleet("llama-3.2-1b", [5]), "machine of machines 'int'"),
        (lambda: fleet("llama-3.2-1b", ["8gb"], network=3), "network 'int'"),
    ],
)
def test_every_question_says_which_argument_it_cannot_use(
    ask: Callable[[], object], said: str
) -> None:
    with pytest.raises(BadInputError) as error:
        ask()
    assert said in str(error.value)
