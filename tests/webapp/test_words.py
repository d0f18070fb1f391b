from __future__ import annotations

import re

import pytest

from whatfits.sizing.errors import InvalidRequestError
from whatfits.webapp.input_list import input_of
from whatfits.webapp.words import advice, inert, linked_table, refused, table

JOINER = "\N{WORD JOINER}"
MARKS = set("`*_[]<>#|~$:&!")
HOSTILE = [
    "![x](http://evil.example/a.png)",
    "[click](javascript:alert(1))",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "http://evil.example",
    "www.evil.example",
    "$\\href{javascript:x}{y}$",
    ":red[warning] :material/bolt: :smile:",
    "a | b | c",
    "# title\n- list\n1. one",
    "**bold** _it_ ~~no~~ `code`",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_every_mark_of_markdown_is_escaped(text: str) -> None:
    shown = inert(text)
    for at, character in enumerate(shown):
        if character in MARKS:
            assert shown[at - 1] == "\\", shown
    assert "\n" not in shown
    assert all(character.isprintable() or character == JOINER for character in shown)
    assert re.search(r"https?\\?:\\?/|www\\?\.", shown) is None


def test_plain_words_are_left_alone() -> None:
    assert inert("Llama 3 8B, 12 GiB") == "Llama 3 8B, 12 GiB"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("take --runtime llama.cpp, or mlx for one user", "take llama.cpp, or mlx for one user"),
        ("raise --context or shorten them", "raise Context or shorten them"),
        ("name one with --file-type, as BF16", "name one with Quantisation, as BF16"),
        ("newer ones with --prices", "newer ones with whatfits cost --prices"),
        ("*--runtime mlx*", "*mlx*"),
        ("(--file-type Q6_K).", "(Quantisation Q6_K)."),
        # longer names, flags of other programs and commands in quotes are not ours to rename
        ("llama.cpp's --context-shift, --no-context", "llama.cpp's --context-shift, --no-context"),
        ("give it --max-model-len auto", "give it --max-model-len auto"),
        ("or 'whatfits check --runtime mlx'", "or 'whatfits check --runtime mlx'"),
        ("'whatfits plan --context 8k', --context", "'whatfits plan --context 8k', Context"),
    ],
)
def test_an_option_of_the_command_line_is_called_as_its_field_on_the_page(
    told: str, shown: str
) -> None:
    assert advice(told) == inert(shown)


@pytest.mark.parametrize("got", ["--context", "my --runtime model", "--file-type"])
def test_what_was_typed_is_shown_as_it_was_typed(got: str) -> None:
    error = InvalidRequestError(what="name", got=got, next_step="raise --context")
    assert refused(error) == inert(f"name {got!r}; raise Context")


def test_a_field_is_called_as_it_is_labelled() -> None:
    assert advice("--ubatch") == inert(input_of("ubatch").label)


def test_a_table_cannot_be_broken_by_a_cell() -> None:
    lines = table(["a", "b"], [["x | y", "1"], ["z", "2\n3"]], right=["b"]).splitlines()
    assert lines[1] == "| :--- | ---: |"
    assert len(lines) == 4
    assert lines[2] == "| x \\| y | 1 |"


def test_only_the_first_cell_of_a_row_leads_somewhere() -> None:
    found = linked_table(["m", "n"], [["a-b", "a-b"]], ["./?model=a-b"]).splitlines()
    assert found[2] == "| [a\\-b](./?model=a-b) | a\\-b |"
