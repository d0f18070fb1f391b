"""`hf:…` taken apart, listings read, and files put in order: nothing is asked of anyone."""

from __future__ import annotations

import json

import pytest
from fake_hub import COMMIT, Repository

from whatfits.sizing.errors import InvalidRequestError, MalformedFileError
from whatfits.sizing.hub_source import hub_source
from whatfits.sizing.sources.claims import is_hub_name
from whatfits.sizing.sources.hub.listing import (
    MAX_FILES,
    RepositoryFile,
    next_page,
    parse_info,
    parse_tree,
)
from whatfits.sizing.sources.hub.names import HubName, parse_hub_name
from whatfits.sizing.sources.hub.offers import Offer, label_in, sort_files

NAMES = {
    "hf:org/repo": ("org/repo", None, None),
    "HF:Org/Re-po_1.5": ("Org/Re-po_1.5", None, None),
    "hf://org/repo": ("org/repo", None, None),
    "hf:org/repo:Q4_K_M": ("org/repo", None, "Q4_K_M"),
    "hf:org/repo:sub/a b-Q8_0.gguf": ("org/repo", None, "sub/a b-Q8_0.gguf"),
    "hf:org/repo/sub/m.gguf": ("org/repo", None, "sub/m.gguf"),
    "hf:org/repo@v1.0": ("org/repo", "v1.0", None),
    "hf:org/repo@refs/pr/3:Q8_0": ("org/repo", "refs/pr/3", "Q8_0"),
    f"hf:org/repo@{COMMIT}:config.json": ("org/repo", COMMIT, "config.json"),
    "https://huggingface.co/org/repo": ("org/repo", None, None),
    "https://huggingface.co/org/repo/tree/main": ("org/repo", None, None),
    "https://huggingface.co/org/repo/tree/v2": ("org/repo", "v2", None),
    "https://huggingface.co/org/repo/blob/main/a%20b.gguf": ("org/repo", None, "a b.gguf"),
    "https://huggingface.co/org/repo/resolve/v2/s/m.gguf?download=true": (
        *("org/repo", "v2"),
        "s/m.gguf",
    ),
    "https://hf.co/org/repo": ("org/repo", None, None),
}
NO_NAMES = (
    *("hf:", "hf:repo", "hf:org/", "hf:/repo", "hf:org//repo", "hf:org/repo:", "hf:org/repo@"),
    *("hf:org/..", "hf:../repo", "hf:org/re..po", "hf:org/a--b", "hf:org/repo.git", "hf:-o/r"),
    *("hf:org/repo:../secret", "hf:org/repo:a/../b", "hf:org/repo:/etc/passwd", "hf:o/r:a//b"),
    *("hf:org/repo@a..b", "hf:org/repo@../x", "hf:org/re po", "hf:org/repo:a\nb", "hf:o/r:\\x"),
    *("hf:org/repo?x=1", "hf:org/repo#x", "hf:org@evil.example/repo", "hf:org/repo:a\x1b[2J"),
    *("https://huggingface.co/org", "https://huggingface.co/org/repo/discussions/3"),
    *("https://huggingface.co/datasets/org/repo", "https://huggingface.co/org/repo/tree"),
    "hf:" + "a" * 200 + "/repo",
)


@pytest.mark.parametrize(("text", "parts"), NAMES.items())
def test_a_name_has_a_repository_perhaps_a_revision_and_a_part(
    text: str, parts: tuple[str, str | None, str | None]
) -> None:
    assert is_hub_name(text)
    assert parse_hub_name(text) == HubName(*parts)


@pytest.mark.parametrize("text", NO_NAMES)
def test_what_is_no_name_is_refused_with_an_example(text: str) -> None:
    assert is_hub_name(text)
    with pytest.raises(InvalidRequestError, match="allowed: hf:org/repo") as caught:
        parse_hub_name(text)
    assert str(caught.value).isprintable()


def test_a_name_can_be_typed_again() -> None:
    for text in ("hf:org/repo", "hf:org/repo@v1:Q8_0", "hf:org/repo:sub/m.gguf"):
        assert parse_hub_name(text).text() == text
    assert HubName("org/repo", "v1", "Q8_0").text("m.gguf") == "hf:org/repo@v1:m.gguf"


@pytest.mark.parametrize(("text", "parts"), NAMES.items())
def test_a_source_is_taken_apart_as_the_name_that_was_typed(
    text: str, parts: tuple[str, str | None, str | None]
) -> None:
    assert hub_source(HubName(*parts).text()) == tuple(part or "" for part in parts), text


@pytest.mark.parametrize("source", ["catalog", "/models/hf:org/m.gguf", "https://hf.co/org/repo"])
def test_what_was_read_elsewhere_is_no_place_on_the_hub(source: str) -> None:
    assert hub_source(source) is None


def test_a_listing_gives_the_length_of_the_file_and_not_of_its_pointer() -> None:
    repository = Repository(
        "org/repo",
        {"m.gguf": 5_000_000_000, "config.json": 700},
        gated="manual",
        tags=("base_model:a/b", "base_model:quantized:a/b", "base_model:finetune:x/y"),
    )
    info = parse_info(json.dumps(repository.info()).encode(), repository="org/repo")
    assert (info.id, info.commit, info.gated) == ("org/repo", COMMIT, True)
    expected = (RepositoryFile("config.json", 700), RepositoryFile("m.gguf", 5_000_000_000))
    assert info.files == expected
    assert info.has_sizes
    assert info.base_models == ("a/b",)
    files, left_out = parse_tree(json.dumps(repository.tree()).encode())
    assert (files, left_out) == (expected, 0)


def test_a_listing_without_sizes_says_so() -> None:
    repository = Repository("org/repo", {"m.gguf": 5}, has_sizes=False)
    info = parse_info(json.dumps(repository.info()).encode(), repository="org/repo")
    assert info.files == (RepositoryFile("m.gguf", None),)
    assert not info.has_sizes


def test_paths_that_lead_elsewhere_are_left_out_of_a_listing() -> None:
    odd = ["../x.gguf", "/x.gguf", "a/../x.gguf", "a//x.gguf", "a\nb.gguf", "", ".", "a\\b.gguf"]
    rows = [*({"rfilename": path, "size": 1} for path in odd), {"rfilename": "m.gguf", "size": 1}]
    rows += [{"size": 1}, "x", {"rfilename": 7}]
    info = parse_info(json.dumps({"siblings": rows}).encode(), repository="org/repo")
    assert [file.path for file in info.files] == ["m.gguf"]
    assert info.n_left_out == len(odd) + 3
    assert (info.id, info.commit) == ("org/repo", None)


@pytest.mark.parametrize("size", [-1, 1.5, "7", None, True, 2**63, [1]])
def test_a_length_that_is_none_is_unknown(size: object) -> None:
    rows = [{"rfilename": "m.gguf", "size": size}]
    info = parse_info(json.dumps({"siblings": rows}).encode(), repository="org/repo")
    assert info.files == (RepositoryFile("m.gguf", None),)


@pytest.mark.parametrize(
    ("field", "value"), [("id", "../../x"), ("id", 5), ("id", "a/b/c"), ("sha", "main"), ("sha", 1)]
)
def test_a_name_or_commit_of_another_kind_is_not_used(field: str, value: object) -> None:
    values = {"id": "org/new", "sha": COMMIT, "siblings": [], field: value}
    info = parse_info(json.dumps(values).encode(), repository="org/repo")
    assert info.id == ("org/repo" if field == "id" else "org/new")
    assert info.commit == (None if field == "sha" else COMMIT)


@pytest.mark.parametrize("data", [b"", b"[]", b"<html>", b"null", b'{"siblings":', b"\xff"])
def test_what_is_no_listing_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedFileError, match="Hugging Face listing"):
        parse_info(data, repository="org/repo")


def test_a_tree_that_is_no_list_is_malformed() -> None:
    with pytest.raises(MalformedFileError, match="no JSON array"):
        parse_tree(b"{}")


def test_more_files_than_anyone_has_are_refused() -> None:
    rows = [{"path": f"{n}", "size": 1} for n in range(MAX_FILES + 1)]
    with pytest.raises(MalformedFileError, match="too many"):
        parse_tree(json.dumps(rows).encode())


def test_the_next_page_is_named_by_the_header() -> None:
    assert next_page('<https://h/x?cursor=a>; rel="next"') == "https://h/x?cursor=a"
    assert next_page('<https://h/1>; rel="prev", <https://h/2>; rel="next"') == "https://h/2"
    for none in (None, "", '<https://h/1>; rel="last"', "https://h/1"):
        assert next_page(none) is None


LABELS = {
    "Llama-3.2-1B-Instruct-Q4_K_M": "Q4_K_M",
    "model.q5_k_s": "Q5_K_S",
    "gemma-3-1b-it-q4_0": "Q4_0",
    "Phi-3-mini-4k-instruct-q4": "Q4",
    "Phi-3-mini-4k-instruct-fp16": "F16",
    "Qwen3-30B-A3B-UD-Q4_K_XL": "UD-Q4_K_XL",
    "DeepSeek-R1-UD-IQ1_S": "UD-IQ1_S",
    "X-IQ4_XS-4.04bpw": "IQ4_XS",
    "X-Q4_K_M_imat": "Q4_K_M",
    "gpt-oss-20b-mxfp4": "MXFP4_MOE",
    "gpt-oss-20b-MXFP4_MOE": "MXFP4_MOE",
    "X-Q6_K_L": "Q6_K_L",
    "X-Q4_0_4_4": "Q4_0_4_4",
    "llama-BF16": "BF16",
    "bitnet-TQ1_0": "TQ1_0",
    "X-Q8_0-then-Q4_K_S": "Q4_K_S",
    "Qwen3-8B": None,
    "TinyQ4thing": None,
    "eq8": None,
    "X-F1": None,
}


@pytest.mark.parametrize(("stem", "label"), LABELS.items())
def test_a_label_is_found_in_a_name_as_a_word(stem: str, label: str | None) -> None:
    assert label_in(stem) == label


BITS = {"Q4_K_M": 4.5, "UD-Q4_K_XL": 4.5, "UD-IQ1_S": 1.5625, "UD-Q8_K_XL": 8.5, "Q4": 4.5}
BITS |= {"Q8_0_L": 8.5, "Q4_0_4_4": 4.5, "IQ3_XS": 3.4375, "MXFP4_MOE": 4.25, "F16": 16}


@pytest.mark.parametrize(("label", "bits"), BITS.items())
def test_a_label_says_the_bits_of_its_main_storage_type(label: str, bits: float) -> None:
    assert Offer(label, ("m.gguf",), 1).nominal_bits_per_weight == bits


def test_a_label_of_no_known_type_says_no_bits() -> None:
    for label in ("Q7_X", None):
        assert Offer(label, ("m.gguf",), 1).nominal_bits_per_weight is None


def listed(*paths: str) -> list[RepositoryFile]:
    return [RepositoryFile(path, 100 + n) for n, path in enumerate(paths)]


def test_the_files_of_a_split_model_are_one_offer() -> None:
    files = listed(
        "UD-Q4_K_XL/M-UD-Q4_K_XL-00001-of-00002.gguf",
        "UD-Q4_K_XL/M-UD-Q4_K_XL-00002-of-00002.gguf",
        "M-Q8_0-00001-of-00003.gguf",
        "M-Q8_0-00003-of-00003.gguf",
        "Q6_K/M-00001-of-00001.gguf",
    )
    offers = sort_files(files)
    by_label = {offer.label: offer for offer in offers.models}
    assert set(by_label) == {"UD-Q4_K_XL", "Q8_0", "Q6_K"}
    assert by_label["UD-Q4_K_XL"].paths == (files[0].path, files[1].path)
    assert by_label["UD-Q4_K_XL"].size_bytes == 201
    assert (by_label["Q8_0"].missing, by_label["Q6_K"].missing) == (1, 0)
    assert {offer.label for offer in offers.complete} == {"UD-Q4_K_XL", "Q6_K"}
    assert by_label["UD-Q4_K_XL"].file_type is None
    assert by_label["Q8_0"].file_type == "Q8_0"


def test_the_same_names_in_two_folders_are_two_offers() -> None:
    offers = sort_files(listed("a/M-00001-of-00002.gguf", "b/M-00002-of-00002.gguf"))
    assert [offer.missing for offer in offers.models] == [1, 1]


def test_what_goes_with_a_model_is_no_model() -> None:
    offers = sort_files(
        listed(
            *("mmproj-M-F16.gguf", "M.mmproj-Q8_0.gguf", "M-lora-f16.gguf", "adapter.gguf"),
            *("imatrix.gguf", "M.imatrix.gguf", "imatrix.dat", "README.md", "M-Q4_K_M.gguf"),
            "my-lora-merged-Q4_K_M.gguf",
        )
    )
    assert {offer.paths[0] for offer in offers.models} == {
        "M-Q4_K_M.gguf",
        "my-lora-merged-Q4_K_M.gguf",
    }
    assert [file.path for file in offers.projectors] == ["mmproj-M-F16.gguf", "M.mmproj-Q8_0.gguf"]
    assert [file.path for file in offers.adapters] == ["M-lora-f16.gguf", "adapter.gguf"]


def test_a_size_that_is_not_known_for_one_file_is_not_known_for_the_set() -> None:
    files = [
        RepositoryFile("M-00001-of-00002.gguf", 5),
        RepositoryFile("M-00002-of-00002.gguf", None),
    ]
    (offer,) = sort_files(files).models
    assert offer.size_bytes is None
