"""Which file of a repository is meant: the one named, the usual one, or the nearest to it."""

from __future__ import annotations

import pytest

from whatfits.sizing.errors import InvalidRequestError, UnknownFileTypeError
from whatfits.sizing.sources.hub.choice import Choice, choose
from whatfits.sizing.sources.hub.listing import RepositoryFile
from whatfits.sizing.sources.hub.names import parse_hub_name
from whatfits.sizing.sources.hub.offers import Offer, sort_files

USUAL = ("M-Q8_0.gguf", "M-Q6_K.gguf", "M-Q4_K_M.gguf", "M-Q4_K_S.gguf", "M-UD-Q2_K_XL.gguf")


def offers(*paths: str) -> tuple[Offer, ...]:
    """Offers whose first file is the largest."""
    sizes = range(100 * len(paths), 0, -100)
    return sort_files(
        [RepositoryFile(path, size) for path, size in zip(paths, sizes, strict=True)]
    ).models


def chosen(
    *paths: str, name: str = "hf:o/r", file_type: str | None = None, native: str | None = None
) -> Choice:
    return choose(offers(*paths), parse_hub_name(name), file_type=file_type, native=native)


def test_unset_it_is_the_usual_file_type() -> None:
    found = chosen(*USUAL)
    assert found.offer.paths == ("M-Q4_K_M.gguf",)
    assert found.planned_type is None
    assert found.notes == ("No file type was asked for: Q4_K_M, the usual balance.",)


def test_unset_it_is_the_native_quantisation_where_there_is_one() -> None:
    files = ("gpt-oss-20b-F16.gguf", "gpt-oss-20b-Q4_K_M.gguf", "gpt-oss-20b-mxfp4.gguf")
    assert chosen(*files, native="mxfp4").offer.label == "MXFP4_MOE"
    assert chosen(*files).offer.label == "Q4_K_M"


@pytest.mark.parametrize(
    ("labels", "nearest"),
    [
        (("Q8_0", "Q6_K", "Q5_K_M"), "Q5_K_M"),
        (("Q8_0", "Q4_K_S", "Q3_K_M"), "Q4_K_S"),
        (("UD-Q4_K_XL", "Q4_K_S", "IQ4_XS"), "UD-Q4_K_XL"),
        (("F16", "Q4_0"), "Q4_0"),
        (("F16", "Q3_K_M", "Q2_K"), "Q3_K_M"),
        (("fp16", "q4"), "Q4"),
    ],
)
def test_without_the_usual_one_it_is_the_nearest_and_that_is_said(
    labels: tuple[str, ...], nearest: str
) -> None:
    found = chosen(*(f"M-{label}.gguf" for label in labels))
    assert found.offer.label == nearest
    (note,) = found.notes
    assert "no Q4_K_M" in note
    assert nearest in note


def test_an_only_file_needs_no_choice() -> None:
    assert chosen("ggml-model.gguf") == Choice(offers("ggml-model.gguf")[0])


@pytest.mark.parametrize(
    "part",
    ["Q6_K", "q6_k", "q6k", "6bit", "M-Q6_K.gguf"],
)
def test_a_file_type_or_a_file_names_one(part: str) -> None:
    found = chosen(*USUAL, name=f"hf:o/r:{part}")
    assert found == Choice(offers(*USUAL)[1])


@pytest.mark.parametrize("part", ["UD-Q2_K_XL", "ud-q2_k_xl", "Q2_K_XL"])
def test_a_mix_without_published_rules_is_named_by_its_label(part: str) -> None:
    assert chosen(*USUAL, name=f"hf:o/r:{part}").offer.label == "UD-Q2_K_XL"


def test_the_stock_type_is_not_taken_for_the_mix_of_the_same_letters() -> None:
    files = ("M-UD-Q4_K_M.gguf", "M-Q4_K_M.gguf")
    assert chosen(*files, name="hf:o/r:Q4_K_M").offer.paths == ("M-Q4_K_M.gguf",)
    assert chosen(*files, name="hf:o/r:UD-Q4_K_M").offer.paths == ("M-UD-Q4_K_M.gguf",)
    assert chosen(*files).offer.paths == ("M-Q4_K_M.gguf",)


def test_a_file_in_a_folder_is_named_with_or_without_it() -> None:
    files = ("Q8_0/M-Q8_0-00001-of-00002.gguf", "Q8_0/M-Q8_0-00002-of-00002.gguf", "M-Q4_K_M.gguf")
    for part in (files[0], files[1], "M-Q8_0-00002-of-00002.gguf", "Q8_0"):
        assert chosen(*files, name=f"hf:o/r:{part}").offer.paths == files[:2]


def test_a_file_type_asked_for_chooses_the_file() -> None:
    assert chosen(*USUAL, file_type="q8_0") == Choice(offers(*USUAL)[0])


def test_a_file_type_that_is_not_offered_is_planned_from_the_largest() -> None:
    found = chosen(*USUAL, file_type="Q3_K_M")
    assert (found.offer.label, found.planned_type) == ("Q8_0", "Q3_K_M")
    assert found.notes == (
        "The repository offers no Q3_K_M; the largest that it has is taken instead.",
    )


def test_a_named_file_is_planned_under_another_type() -> None:
    found = chosen(*USUAL, name="hf:o/r:M-Q8_0.gguf", file_type="Q3_K_M")
    assert (found.offer.label, found.planned_type) == ("Q8_0", "Q3_K_M")


@pytest.mark.parametrize("name", ["hf:o/r", "hf:o/r:Q4_K_M"])
def test_what_cannot_be_told_apart_is_listed(name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        chosen("A-Q4_K_M.gguf", "B-Q4_K_M.gguf", "B-Q8_0.gguf", name=name)
    message = str(caught.value)
    assert "2 models of the repository answer to" in message
    assert "A-Q4_K_M.gguf, B-Q4_K_M.gguf" in message
    assert "as hf:o/r:A-Q4_K_M.gguf" in message


@pytest.mark.parametrize("file_type", [None, "Q3_K_M"])
def test_files_without_a_label_are_listed_too(file_type: str | None) -> None:
    with pytest.raises(InvalidRequestError, match="name one of the files"):
        chosen("a.gguf", "b.gguf", file_type=file_type)


def test_what_is_not_offered_is_refused_with_what_is_and_what_comes_near() -> None:
    with pytest.raises(UnknownFileTypeError) as caught:
        chosen(*USUAL, name="hf:o/r@v1:Q5_K_M")
    message = str(caught.value)
    assert message.startswith("o/r offers no 'Q5_K_M'; allowed: Q8_0, Q6_K, Q4_K_M, Q4_K_S")
    assert "did you mean 'hf:o/r@v1:Q" in message


@pytest.mark.parametrize("part", ["other-Q4_K_M", "Q4_K_M.gguf", "Q4_K_M-00001-of-00002", "M"])
def test_a_name_that_only_holds_a_file_type_is_none(part: str) -> None:
    with pytest.raises(UnknownFileTypeError, match="offers no"):
        chosen(*USUAL, name=f"hf:o/r:{part}")


def test_a_misspelt_file_is_told_from_its_neighbours() -> None:
    with pytest.raises(UnknownFileTypeError, match=r"did you mean 'hf:o/r:M-Q8_0\.gguf'"):
        chosen(*USUAL, name="hf:o/r:M-Q8_O.gguf")


def test_a_file_type_that_nobody_has_is_refused() -> None:
    with pytest.raises(UnknownFileTypeError, match="did you mean 'Q4_K_M'"):
        chosen(*USUAL, file_type="Q4_KM_X")
