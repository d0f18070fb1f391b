"""What to run where a model does not fit: the nearest smaller one of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check, load_model
from whatfits.sizing.api import answer, load_machine
from whatfits.sizing.catalog.lookup import find_model, model_entries
from whatfits.sizing.ranking.ranker import Ranker
from whatfits.sizing.sources.catalog_model import load_entry
from whatfits.sizing.sources.smaller_models import smaller_models
from whatfits.sizing.units import GIB
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan


def test_relatives_come_first_and_the_largest_of_each_before_the_others() -> None:
    model = load_model("llama-3.1-70b")
    found = [find_model(spec.name) for spec in smaller_models(model, room_bytes=64 * GIB)]
    family = [entry for entry in found if entry.family == "llama3.1"]
    rest = [entry for entry in found if entry.family != "llama3.1"]
    older = [entry for entry in rest if (entry.released or "") < "2024-01"]  # it is of 2024-07
    newer = [entry for entry in rest if entry not in older]
    of_line = [entry for entry in newer if entry.line == "llama"]
    others = [entry for entry in newer if entry.line != "llama"]
    assert found == family + of_line + others + older
    assert [entry.id for entry in family] == ["llama-3.1-8b"]
    for part in (family, of_line, others, older):
        sizes = [entry.params_total or 0 for entry in part]
        assert sizes
        assert sizes == sorted(sizes, reverse=True)


def test_a_model_is_not_replaced_by_one_of_its_own_size() -> None:
    model = load_model("llama-3.1-8b")
    sizes = [spec.parameters or 0 for spec in smaller_models(model, room_bytes=64 * GIB)]
    assert max(sizes) < 0.96 * (model.parameters or 0)


@pytest.mark.parametrize("file_type", ["MXFP4_MOE", "NVFP4", "TQ2_0"])
def test_a_type_that_comes_with_a_checkpoint_is_asked_of_no_other(file_type: str) -> None:
    model = replace(load_model("llama-3.3-70b"), file_type=file_type)
    plan = answer(
        model, machine=load_machine("8gb"), workload=Workload(), request=PlacementRequest()
    )
    assert plan.verdict == "no"
    (nearest,) = [remedy for remedy in plan.remedies if remedy.key == "model"]
    assert nearest.change == {"model": "llama-3.1-8b", "file_type": "Q4_K_M"}
    assert check(**nearest.change, machine="8gb").verdict == "fits"


def test_one_that_comes_in_it_too_keeps_it() -> None:
    plan = check("gpt-oss-120b", machine="m4 24gb")
    (nearest,) = [remedy for remedy in plan.remedies if remedy.key == "model"]
    assert nearest.change == {"model": "gpt-oss-20b", "file_type": "MXFP4_MOE"}


def test_of_a_maker_s_line_rather_than_another_s_that_is_a_little_nearer() -> None:
    plan = check("llama-3.1-8b", machine="m2 8gb")
    (nearest,) = [remedy for remedy in plan.remedies if remedy.key == "model"]
    assert nearest.change["model"] == "llama-3.2-3b"


def test_a_model_without_smaller_relatives_is_answered_with_the_nearest_of_all() -> None:
    plan = check("mixtral-8x22b", machine="4gb")
    assert plan.verdict == "no"
    (nearest,) = [remedy for remedy in plan.remedies if remedy.key == "model"]
    named = find_model(str(nearest.change["model"]))
    assert named.family != find_model("mixtral-8x22b").family
    assert check(named.id, machine="4gb").verdict in ("fits", "slow")
    # nothing larger of the catalog runs there under the same file type
    ranker = Ranker(load_machine("4gb"), load_entry, file_type="Q4_K_M")
    for entry in model_entries():
        size = entry.params_total or 0
        if (named.params_total or 0) < size < 8_000_000_000 and entry.kind != "embedding":
            row = ranker.row_if_any(entry)
            assert row is None or row.verdict not in ("fits", "slow"), entry.id


@pytest.mark.parametrize(
    ("name", "machine", "runtime", "workload"),
    [
        # Ollama cuts the context to what a model was trained for: to 16,384 tokens of phi-4
        ("phi-4", "gtx 1650 4gb + 16gb", "ollama", {"context_tokens": 131_072}),
        # nobody named a context: tinyllama was trained for half of that of llama-2
        ("llama-2-13b", "jetson orin nano 8gb", "llama.cpp", {}),
    ],
)
def test_a_smaller_model_is_tried_with_the_request_just_as_it_was(
    name: str, machine: str, runtime: str, workload: dict[str, int]
) -> None:
    def asked(model: str) -> Plan:
        return check(model, file_type="Q8_0", machine=machine, runtime=runtime, workload=workload)

    plan = asked(name)
    (nearest,) = [remedy for remedy in plan.remedies if remedy.key == "model"]
    again = asked(str(nearest.change["model"]))
    assert again.verdict == nearest.verdict
    assert again.memory.total_bytes == nearest.needs_bytes


@pytest.mark.parametrize(
    ("large", "small"),
    [
        ("gpt-oss-120b", "gpt-oss-20b"),
        ("llama-3.1-70b", "llama-3.1-8b"),
        ("gemma-3-27b", "gemma-3-12b"),
        ("qwen3.5-4b", "qwen3.5-2b"),
        ("qwen2.5-vl-72b", "qwen2.5-vl-32b"),
        ("trinity-large", "trinity-mini"),
    ],
)
def test_a_smaller_size_of_a_model_comes_before_fine_tunes_of_it(large: str, small: str) -> None:
    found = smaller_models(load_model(large), room_bytes=256 * GIB)
    assert next(found).name == small


def test_an_embedding_model_is_not_replaced_by_one_that_writes() -> None:
    model = load_model("bge-m3")
    kinds = {find_model(spec.name).kind for spec in smaller_models(model, room_bytes=64 * GIB)}
    assert kinds == {"embedding"}


def test_a_smaller_model_that_cannot_take_the_request_is_passed_over() -> None:
    # deepseek-v2-lite and its like keep one latent row: keys and values of one type
    plan = check("jamba-1.5-mini", machine="strix halo 32gb", workload={"kv_type_v": "q8_0"})
    assert plan.verdict == "no"
    (nearest,) = [remedy for remedy in plan.remedies if remedy.key == "model"]
    named = str(nearest.change["model"])
    again = check(named, machine="strix halo 32gb", workload={"kv_type_v": "q8_0"})
    assert again.verdict == nearest.verdict
