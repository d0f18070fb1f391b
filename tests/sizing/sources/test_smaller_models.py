"""What to run where a model does not fit: the nearest smaller one of the catalog."""

from __future__ import annotations

from itertools import islice

from whatfits.sizing import check, load_model
from whatfits.sizing.api import load_machine
from whatfits.sizing.catalog.lookup import find_model, model_entries
from whatfits.sizing.ranker import Ranker
from whatfits.sizing.sources.catalog_model import load_entry
from whatfits.sizing.sources.smaller_models import smaller_models
from whatfits.sizing.units import GIB


def test_relatives_come_first_and_the_largest_of_each_before_the_others() -> None:
    model = load_model("llama-3.1-70b")
    names = [spec.name for spec in islice(smaller_models(model, room_bytes=64 * GIB), 12)]
    families = [find_model(name).family for name in names]
    family = find_model("llama-3.1-70b").family
    relatives = families.count(family)
    assert relatives
    assert families[:relatives] == [family] * relatives
    sizes = [find_model(name).params_total or 0 for name in names]
    assert sizes[:relatives] == sorted(sizes[:relatives], reverse=True)
    assert sizes[relatives:] == sorted(sizes[relatives:], reverse=True)


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


def test_an_embedding_model_is_not_replaced_by_one_that_writes() -> None:
    model = load_model("bge-m3")
    kinds = {find_model(spec.name).kind for spec in smaller_models(model, room_bytes=64 * GIB)}
    assert kinds == {"embedding"}
