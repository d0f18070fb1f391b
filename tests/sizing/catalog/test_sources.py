"""The source files keep their own rules, and a broken rule is found."""

from __future__ import annotations

import datetime as dt
import shutil
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.catalog.checks import problems
from whatfits.sizing.catalog.sources import SOURCE_DIR, Sources, read_sources
from whatfits.sizing.errors import CatalogError

if TYPE_CHECKING:
    from pathlib import Path


def test_every_model_and_device_of_the_collection_is_there(sources: Sources) -> None:
    # 253 models of 86 families, 234 devices: the collection of facts read on 2026-11-22; the rest
    # was read on 2026-11-26 and 27.
    assert len(sources.models) == 338
    assert len({row.family for row in sources.models}) == 108
    assert len(sources.devices) == 402
    assert len(sources.memory_systems.platforms) == 46
    assert len(sources.quants.file_types) == 36
    assert len(sources.quants.mlx_measured) == 83
    # 73 rows of rents: the newest of each offer, without two of no day.
    assert len(sources.rental_offers) == 52
    # 538 rows of API prices without the 13 of models that only embed; 21 regions; 8 papers.
    assert len(sources.api_offers) == 525
    assert len(sources.electricity) == 21
    assert len(sources.routing_results) == 8


@pytest.mark.parametrize(
    ("model_id", "published"),
    [
        # What keras-hub's presets state (qwen3_presets.py, pull 2455).
        ("qwen3-embedding-0.6b", 595_776_512),
        ("qwen3-embedding-4b", 4_021_774_336),
        # The same list: 8,188,515,328 with an output matrix, which the checkpoint does not hold.
        ("qwen3-embedding-8b", 8_188_515_328 - 151_665 * 4096),
        # keras-hub's presets (2026-08-21): qwen3_5, gemma3, phi3 and mistral.
        ("qwen3.5-0.8b", 852_985_920),
        ("qwen3.5-2b", 2_213_241_664),
        ("medgemma-4b", 4_300_079_472),
        ("medgemma-27b", 27_432_406_640),
        ("functiongemma-270m", 268_098_176),
        ("phi-3-mini-128k", 3_821_079_552),
        ("magistral-small-2506", 23_572_403_200),
        # Totals of safetensors headers on Hugging Face in llmfit's list (2026-04-06).
        ("granite-3.3-8b", 8_170_864_640),
        ("qwen2.5-vl-32b", 33_452_718_336),
        ("qwen2.5-vl-72b", 73_410_777_344),
        ("lfm2.5-1.2b", 1_170_340_608),
        ("olmo-3-32b", 32_233_522_176),
        ("olmo-2-1b", 1_484_916_736),
        ("exaone-3.5-2.4b", 2_405_327_360),
        ("exaone-3.5-32b", 32_003_200_000),
        ("exaone-deep-7.8b", 7_818_448_896),
        ("exaone-4.0-1.2b", 1_279_391_488),
        ("trinity-nano", 6_120_003_328),
        ("dots.llm1", 142_774_381_696),
        ("pixtral-12b", 12_682_739_712),
        ("glm-4.6v-flash", 10_292_777_472),
        ("internvl3-8b", 7_944_373_760),
        ("internvl3-14b", 15_117_256_704),
        ("internvl3.5-8b", 8_528_318_464),
        ("llava-1.6-mistral-7b", 7_566_223_360),
        ("llava-1.6-vicuna-13b", 13_350_844_416),
        ("llava-1.6-34b", 34_751_166_464),
        ("hermes-3-8b", 8_030_261_248),
        ("hermes-2-pro-8b", 8_030_523_392),
        ("vicuna-13b", 13_015_864_320),
        ("zephyr-7b-beta", 7_241_732_096),
        ("dolphin-2.6-mistral-7b", 7_241_740_288),
        ("nemotron-cascade-2-30b-a3b", 31_577_937_344),
        ("nemotron-super-49b-v1.5", 49_867_145_216),
    ],
)
def test_a_count_is_what_the_published_checkpoint_holds(
    sources: Sources, model_id: str, published: int
) -> None:
    (row,) = (row for row in sources.models if row.id == model_id)
    assert row.params_total == published == row.params_published


def test_the_sources_have_no_problem(sources: Sources) -> None:
    assert problems(sources) == []


def test_every_row_names_its_source_and_its_day(sources: Sources) -> None:
    for row in (*sources.models, *sources.devices):
        assert row.source, row.id
        assert row.checked.isoformat() in {"2026-11-22", "2026-11-26", "2026-11-27"}, row.id


def test_every_rent_has_a_day_and_a_source_and_says_where_its_gpu_was_not_read(
    sources: Sources,
) -> None:
    for row in sources.rental_offers:
        assert row.source
        assert row.as_of <= row.checked
    unsure = {row.offered_as for row in sources.rental_offers if "device" in row.unverified}
    assert unsure == {"A100 40GB", "H100", "H200"}


def test_every_price_has_a_day_and_a_source(sources: Sources) -> None:
    for row in (*sources.api_offers, *sources.electricity):
        assert row.source
        assert row.as_of <= row.checked
    for result in sources.routing_results:
        assert result.source
        assert result.basis
        assert result.claims
    unread = {row.id for row in sources.electricity if row.unverified}
    assert unread == {"india", "brazil"}


def test_a_kwh_in_another_currency_is_converted_as_the_file_says(sources: Sources) -> None:
    found = {row.id: row.usd_per_kwh for row in sources.electricity}
    # the price that was read over the ECB's rate of 2026-10-02, to a tenth of a cent
    worked_out = {
        "germany": 0.3869 / 0.89087,
        "european-union": 0.2896 / 0.89087,
        "norway": 0.1922 / 0.89087,
        "united-kingdom": 0.2632 / 0.75753,
        "switzerland": 0.277 / 0.82664,
        "canada": 0.170 / 1.424,
        "australia": 0.337273 / 1.4411,
        "japan": 31 / 157.67,
        "south-korea": 63_610 / 363 / 1348.28,
    }
    assert {name: found[name] for name in worked_out} == pytest.approx(worked_out, abs=0.0005)
    assert (found["united-states"], found["california"], found["texas"]) == (0.1834, 0.3474, 0.1594)


def test_a_price_at_launch_says_where_it_was_read_or_that_it_was_not(sources: Sources) -> None:
    unread = set()
    for row in sources.devices:
        if row.launch_price_usd is None:
            continue
        basis = row.launch_price_basis or ""
        if "launch_price_usd" in row.unverified:
            unread.add(row.id)
            assert basis == "unverified launch price", row.id
        else:
            assert basis.startswith("launch price, "), row.id
            assert "https://" in basis or "GitHub" in basis, row.id
    assert unread == {"amd-radeon-rx-7900-gre"}


def test_published_prices_are_as_they_were_read(sources: Sources) -> None:
    offers = {f"{row.provider_id}/{row.model}": row for row in sources.api_offers}
    haiku = offers["anthropic/claude-haiku-4-5"].usd_per_mtok
    assert (haiku.input, haiku.cached_input, haiku.cache_write, haiku.output) == (1, 0.1, 1.25, 5)
    (tier,) = offers["openai/gpt-5.4"].tiers
    assert (tier.above_tokens, tier.usd_per_mtok.input) == (272_000, 5)
    (change,) = offers["anthropic/claude-sonnet-5"].changes
    assert (change.from_day, change.usd_per_mtok.output) == (dt.date(2026, 9, 1), 15)


def test_an_offer_is_the_same_model_only_where_its_name_leaves_no_doubt(sources: Sources) -> None:
    offers = {f"{row.provider_id}/{row.model}": row.same_as for row in sources.api_offers}
    assert offers["groq/llama-3.1-8b-instant"] == "llama-3.1-8b"
    assert offers["avian/Meta-Llama-3.3-70B-Instruct"] == "llama-3.3-70b"
    # the base model, another model of that family, and a name without its version
    assert offers["openrouter/meta-llama/llama-3.1-405b"] is None
    assert offers["zhipuai/GLM-5-Turbo"] is None
    assert offers["novita/mistralai/mistral-7b-instruct"] is None


def test_each_family_lies_in_one_file() -> None:
    files: dict[str, set[str]] = {}
    for path in sorted((SOURCE_DIR / "models").glob("*.toml")):
        for row in tomllib.loads(path.read_text())["models"]:
            files.setdefault(row["family"], set()).add(path.name)
    assert {family: names for family, names in files.items() if len(names) > 1} == {}


def test_values_that_nobody_re_read_stay_marked(sources: Sources) -> None:
    models = {row.id: row for row in sources.models}
    devices = {row.id: row for row in sources.devices}
    assert models["minimax-m1"].unverified[0] == "num_attention_heads"
    assert models["llama-3.1-8b"].licence_basis == "unverified"
    assert "vocab_size" in models["falcon-h1-7b"].unknown
    assert "memory_gib" in devices["apple-m4-pro"].unverified
    assert "launch_price_usd" in devices["amd-radeon-rx-7900-gre"].unverified
    assert all("unverified" in row.basis for row in sources.memory_systems.platforms)


def test_models_without_a_count_say_why(sources: Sources) -> None:
    uncounted = {row.id for row in sources.models if row.params_total is None}
    assert uncounted == {
        *("falcon-h1-1.5b", "falcon-h1-1.5b-deep", "falcon-h1-3b", "falcon-h1-7b"),
        "falcon-h1-34b",
    }


def _with_model(sources: Sources, model_id: str, change: dict[str, Any]) -> list[str]:
    models = tuple(
        row.model_copy(update=change) if row.id == model_id else row for row in sources.models
    )
    return problems(replace(sources, models=models))


def _with_device(sources: Sources, device_id: str, change: dict[str, Any]) -> list[str]:
    devices = tuple(
        row.model_copy(update=change) if row.id == device_id else row for row in sources.devices
    )
    return problems(replace(sources, devices=devices))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "llama-3-8b"}, "model id 'llama-3-8b' occurs twice"),
        ({"hf_id": "META-LLAMA/Meta-Llama-3-8B"}, "occurs twice"),
        ({"aliases": ("llama 3 8b",)}, "belongs to another model"),
        ({"params_total": None}, "params_total is missing"),
        ({"params_active": 10**13}, "must be at most params_total"),
        ({"params_embedding": 9 * 10**9}, "add up to"),
        ({"moe": True}, "moe must say"),
        ({"count_method": None}, "count_method is missing"),
        ({"released": "2027-01"}, "is after checked"),
        ({"unverified": ("no_such_field",)}, "does not exist"),
        ({"unknown": ("hidden_size",)}, "both given and unknown"),
        ({"lists": {"config.layer_types": "full_attention*31"}}, "31 items for 32 layers"),
        ({"lists": {"config.layer_types": "(full_attention"}}, "never closed"),
        ({"lists": {"config.hidden_size": "1*32"}}, "not a free place"),
        ({"layer_counts": {"full_attention": 31}}, "layer_counts add up to 31"),
    ],
)
def test_a_contradiction_in_a_model_is_found(
    sources: Sources, change: dict[str, Any], said: str
) -> None:
    assert any(said in text for text in _with_model(sources, "llama-3.1-8b", change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"aliases": ("RTX 4080",)}, "memory does not tell"),
        ({"memory_gib": ()}, "memory_gib is empty"),
        ({"bandwidth_basis": None}, "bandwidth without a basis"),
        ({"dies": 5}, "memory does not divide"),
        ({"pcie_lanes": None}, "go together"),
        ({"compute_capability": None}, "compute_capability is missing"),
        ({"unverified": ("no_such_field",)}, "does not exist"),
        ({"memory_gib": (12,)}, "no device 'nvidia-geforce-rtx-5070-ti' with 16 GiB"),
    ],
)
def test_a_contradiction_in_a_device_is_found(
    sources: Sources, change: dict[str, Any], said: str
) -> None:
    found = _with_device(sources, "nvidia-geforce-rtx-5070-ti", change)
    assert any(said in text for text in found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"device": "nvidia-h100"}, "no device 'nvidia-h100'"),
        ({"as_of": dt.date(2026, 11, 23)}, "as_of 2026-11-23 is after checked 2026-11-22"),
        ({"unverified": ("no_such_field",)}, "does not exist"),
    ],
)
def test_a_contradiction_in_a_rent_is_found(
    sources: Sources, change: dict[str, Any], said: str
) -> None:
    first, *others = sources.rental_offers
    changed = (first.model_copy(update=change), *others)
    assert any(said in text for text in problems(replace(sources, rental_offers=changed)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"same_as": "no-such-model"}, "no model 'no-such-model'"),
        ({"as_of": dt.date(2026, 11, 23)}, "as_of 2026-11-23 is after checked 2026-11-22"),
        ({"unverified": ("no_such_field",)}, "does not exist"),
    ],
)
def test_a_contradiction_in_a_price_is_found(
    sources: Sources, change: dict[str, Any], said: str
) -> None:
    first, *others = sources.api_offers
    changed = (first.model_copy(update=change), *others)
    assert any(said in text for text in problems(replace(sources, api_offers=changed)))


def test_tiers_out_of_order_are_found(sources: Sources) -> None:
    row = next(row for row in sources.api_offers if row.tiers)
    twice = row.model_copy(update={"tiers": row.tiers * 2})
    others = tuple(other for other in sources.api_offers if other is not row)
    found = problems(replace(sources, api_offers=(twice, *others)))
    assert any("tiers and changes stand in rising order" in text for text in found)


def test_an_offer_that_stands_twice_is_found(sources: Sources) -> None:
    twice = (*sources.rental_offers, sources.rental_offers[0])
    assert any(
        text.startswith("rental offer") and text.endswith("occurs twice")
        for text in problems(replace(sources, rental_offers=twice))
    )


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models/yi.toml", 'family = "yi"', 'family = "yi"\nsurprise = 1'),
        ("models/yi.toml", "checked = 2026-11-22", ""),
        ("models/yi.toml", 'kind = "llm"', 'kind = "poem"'),
        ("models/yi.toml", "params_expert = 0", "params_expert = -1"),
        ("devices/intel.toml", 'vendor = "Intel"', 'vendor = "intel"'),
        ("devices/intel.toml", "unified_memory = false", 'unified_memory = "no"'),
        ("memory_systems.toml", "gen = 4", "gen = 4.5"),
        ("rental_prices.toml", "least_gpus = 1", "least_gpus = 9"),
        ("rental_prices.toml", "usd_per_gpu_hour = 5.0", "usd_per_gpu_hour = 0.0"),
        ("prices/openai.toml", "input = 2,", "input = -2,"),
        ("prices/openai.toml", "checked = 2026-11-22", ""),
        ("prices/electricity.toml", 'kind = "household"', 'kind = "castle"'),
        ("routing_results.toml", 'unit = "%"', 'unit = "percent"'),
        ("quants.toml", "[[file_types]]", "[[file_types"),
        ("driver_totals.toml", 'confidence = "low"', 'confidence = "some"'),
    ],
)
def test_a_file_of_the_wrong_form_is_refused_with_its_name(
    tmp_path: Path, file: str, old: str, new: str
) -> None:
    shutil.copytree(SOURCE_DIR, tmp_path / "catalog", ignore=shutil.ignore_patterns("*.py"))
    path = tmp_path / "catalog" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(CatalogError, match=path.name):
        read_sources(tmp_path / "catalog")
