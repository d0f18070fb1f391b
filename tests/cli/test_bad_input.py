"""Bad input of every kind: one line, exit code 2, a JSON error object with `--json`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CARD = ("--machine", "rtx-4090 + 64gb")
MODEL = ("check", "llama-3.1-8b")
COST = ("cost", "llama-3.1-8b", *CARD)
CASES: dict[str, tuple[str, ...]] = {
    "unknown command": ("chek", "llama-3.1-8b"),
    "empty command option": ("--bogus",),
    "unknown option": (*MODEL, "--contxt", "5"),
    "no model": ("check",),
    "too many models": (*MODEL, "another"),
    "empty model": ("check", ""),
    "blank model": ("check", "   "),
    "unknown model": ("check", "lama-3.1-8b"),
    "ambiguous model": ("check", "gemma"),
    "address that is not public": ("check", "https://127.0.0.1/model.gguf"),
    "address in the clear": ("check", "http://example.com/model.gguf"),
    "address of another scheme": ("check", "ftp://example.com/model.gguf"),
    "address in a bucket": ("check", "s3://bucket/model.gguf"),
    "registry that is not public": ("check", "ollama:127.0.0.1/library/llama3"),
    "unknown file type": (*MODEL, "--file-type", "Q9_X"),
    "empty file type": (*MODEL, "--file-type", ""),
    "negative context": (*MODEL, "-c", "-5"),
    "zero context": (*MODEL, "-c", "0"),
    "huge context": (*MODEL, "-c", "99999999999999999999"),
    "infinite context": (*MODEL, "-c", "1e999"),
    "context of letters": (*MODEL, "-c", "lots"),
    "empty context": (*MODEL, "-c", ""),
    "no sequences": (*MODEL, "-np", "0"),
    "too many sequences": (*MODEL, "-np", "1000000"),
    "no micro-batch": (*MODEL, "-ub", "0"),
    "negative rows": (*MODEL, "--outputs-max", "-3"),
    "no prompt": (*MODEL, "--prompt", "0"),
    "unknown KV type": (*MODEL, "--kv-type", "q9_9"),
    "quantised values without flash attention": (*MODEL, "--kv-type", "q8_0", "-fa", "off"),
    "flash attention neither on nor off": (*MODEL, "-fa", "maybe"),
    "layers that are no number": (*MODEL, *CARD, "-ngl", "all of them"),
    "split of letters": (*MODEL, *CARD, "-ts", "a,b"),
    "split over more cards than there are": (*MODEL, *CARD, "-ts", "1,2,3"),
    "negative split": (*MODEL, *CARD, "-ts=-1"),
    "split that is no number": (*MODEL, *CARD, "-ts", "nan"),
    "override without device": (*MODEL, *CARD, "-ot", "ffn"),
    "override that is no expression": (*MODEL, *CARD, "-ot", "(=CPU"),
    "override to nowhere": (*MODEL, *CARD, "-ot", "ffn=nowhere"),
    "unknown device": (*MODEL, *CARD, "--device", "cuda7"),
    "negative expert layers": (*MODEL, *CARD, "--n-cpu-moe", "-1"),
    "unknown runtime": (*MODEL, "--runtime", "abacus"),
    "unknown machine": (*MODEL, "--machine", "rtx 9999"),
    "empty machine": (*MODEL, "--machine", ""),
    "machine without memory": (*MODEL, "--machine", "0gb"),
    "machine beyond reason": (*MODEL, "--machine", "99999999999999999999gb"),
    "no card": (*MODEL, "--machine", "0x rtx-4090"),
    "more cards than a machine takes": (*MODEL, "--machine", "9999x rtx-4090"),
    "machine file that is not there": (*MODEL, "--machine", "./nothing.json"),
    "machine file with an endless name": (*MODEL, "--machine", "/" + "x" * 5000),
    "machine file with a null": (*MODEL, "--machine", "/a\0b.json"),
    "model file with a null": ("check", "/a\0b.gguf"),
    "model file with an endless name": ("check", "/" + "x" * 5000),
    "reserve in an unknown pool": (*MODEL, *CARD, "--reserve", "vram9=1GiB"),
    "reserve that is no size": (*MODEL, *CARD, "--reserve", "some"),
    "reserve without its unit": (*MODEL, *CARD, "--reserve", "24"),
    "reserve with a comma for a point": (*MODEL, *CARD, "--reserve", "1,5GiB"),
    "context with a comma for a point": (*MODEL, *CARD, "-c", "1,5k"),
    "tokens with a comma for a point": ("cost", *MODEL[1:], *CARD, "--tokens-in", "1,5M"),
    "list of unknown file type": ("list", "--machine", "8gb", "--file-type", "Q9_X"),
    "list of unknown kind": ("list", "--machine", "8gb", "--kind", "poem"),
    "list of negative length": ("list", "--machine", "8gb", "--limit", "-3"),
    "list with negative context": ("list", "--machine", "8gb", "-c", "-5"),
    "cost of no model": ("cost", *CARD),
    "cost with tokens of letters": (*COST, "--tokens-in", "many"),
    "cost with negative tokens": (*COST, "--tokens-out", "-5"),
    "cost of no tokens": (*COST, "--tokens-in", "0", "--tokens-out", "0"),
    "cost with more cached than there is": (*COST, "--cached-share", "1.5"),
    "cost of a day of 25 hours": (*COST, "--hours-on", "25"),
    "cost of a week of 8 days": (*COST, "--days-a-week", "8"),
    "cost with a price that is no number": (*COST, "--buy-price", "nan"),
    "cost with an endless price": (*COST, "--kwh-price", "1e999"),
    "cost of no life": (*COST, "--life-years", "0"),
    "cost in an unknown region": (*COST, "--region", "atlantis"),
    "cost against an unknown model": (*COST, "--against", "no-such-model"),
    "cost against an empty name": (*COST, "--against", ""),
    "cost with a spread of everything": (*COST, "--price-spread", "1"),
    "cost with an unknown router": (*COST, "--router", "abacus"),
    "cost with prices that are not there": (*COST, "--prices", "./nothing.toml"),
    "cost with prices with a null": (*COST, "--prices", "/a\0b.toml"),
    "quants of an unknown model": ("quants", "no-such-model"),
    "hardware of an unknown machine": ("hardware", "--machine", "rtx 9999"),
    "explain nothing": ("explain",),
    "explain an empty word": ("explain", ""),
    "explain an unknown word": ("explain", "xyzzy", "--machine", "8gb"),
    "schema of something": ("schema", "something"),
    "home with an unknown machine": ("--machine", "rtx 9999"),
}


@pytest.mark.parametrize("arguments", CASES.values(), ids=CASES)
def test_bad_input_is_one_line_and_exit_code_two(
    say: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    said = say(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("whatfits: ")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert "_value" not in said.err


@pytest.mark.parametrize("arguments", CASES.values(), ids=CASES)
def test_bad_input_with_json_is_an_error_object(
    say: Callable[..., Any],
    is_valid: Callable[[str, object], None],
    arguments: tuple[str, ...],
) -> None:
    said = say(*arguments, "--json")
    assert (said.code, said.err) == (2, "")
    is_valid("error", said.json)
    assert said.json["error"]["message"]


def _files(folder: Path) -> dict[str, Path]:
    """Return paths that hold no model, each for another reason."""
    named = {
        "empty": b"",
        "text": b"hello, I am no model at all\n",
        "truncated": b"GGUF\x03\0\0\0",
        "truncated later": b"GGUF\x03\0\0\0" + (5).to_bytes(8, "little") * 2 + b"\x07",
        "old version": b"GGUF\x01\0\0\0" + bytes(16),
        "hostile count": b"GGUF\x03\0\0\0" + b"\xff" * 16,
    }
    paths = {}
    for name, data in named.items():
        paths[name] = folder / f"{name.replace(' ', '-')}.gguf"
        paths[name].write_bytes(data)
    paths["empty folder"] = folder / "folder"
    paths["empty folder"].mkdir()
    paths["missing"] = folder / "missing.gguf"
    paths["no file but a device"] = folder / os.devnull
    return paths


@pytest.mark.parametrize(
    "name",
    [
        *("empty", "text", "truncated", "truncated later", "old version", "hostile count"),
        *("empty folder", "missing", "no file but a device"),
    ],
)
def test_a_file_that_is_no_model_is_refused_in_one_line(
    say: Callable[..., Any], is_valid: Callable[[str, object], None], tmp_path: Path, name: str
) -> None:
    path = str(_files(tmp_path)[name])
    said = say("check", path, *CARD)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    answer = say("check", path, *CARD, "--json")
    is_valid("error", answer.json)
    code = answer.json["error"]["code"]
    assert code in ("malformed_file", "unreadable_file", "unsupported_architecture")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_a_file_without_permission_is_refused(say: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "secret.gguf"
    path.write_bytes(b"GGUF")
    path.chmod(0)
    said = say("check", str(path), *CARD)
    assert said.code == 2
    assert "permission" in said.err


@pytest.mark.parametrize(
    ("machine", "code"),
    [
        ("nope", "unreadable_file"),
        ("[]", "unreadable_file"),
        ("{}", "invalid_request"),
        ('{"pools": 3, "devices": []}', "invalid_request"),
        ('{"pools": [], "devices": [], "colour": "red"}', "invalid_request"),
        (
            '{"pools": [], "devices": [{"id": "cpu", "kind": "cpu", "name": "x", "pool": "y"}]}',
            None,
        ),
    ],
)
def test_a_machine_file_that_describes_none_is_refused(
    say: Callable[..., Any], tmp_path: Path, machine: str, code: str | None
) -> None:
    path = tmp_path / "machine.json"
    path.write_text(machine)
    said = say(*MODEL, "--machine", str(path), "--json")
    assert said.code == 2
    assert said.json["error"]["code"] == (code or "invalid_request")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("check", "lama-3.1-8b"), "llama-3.1-8b"),
        (("check", "qwen3-8bb"), "qwen3-8b"),
        (("chek", "x"), "did you mean 'check'"),
        ((*MODEL, "--contxt", "5"), "did you mean '--context'"),
        ((*MODEL, "--gpu", "rtx-4090", "--ram", "64gb"), "--machine 'rtx-4090 + 64gb'"),
        (("list", "--vram=8gb"), "--machine 'rtx-4090 + 64gb'"),
        ((*MODEL, "--file-type", "Q4_K_X"), "Q4_K"),
        (("llama-3.1-8b",), "whatfits check llama-3.1-8b"),
        (("explain", "flash atention", "--machine", "8gb"), "flash attention"),
        ((*MODEL, "--machine", "rtx 3060"), "12 GB"),
    ],
)
def test_a_near_miss_is_told_what_was_meant(
    say: Callable[..., Any], arguments: tuple[str, ...], hint: str
) -> None:
    said = say(*arguments)
    assert said.code == 2
    assert hint in said.err


@pytest.mark.parametrize("name", ["\x1b[31mred\x1b[0m", "a\nb", "a\rb", "x\u202ey", "[/red]", "\a"])
@pytest.mark.parametrize("command", ["check", "explain", "quants"])
def test_control_characters_in_a_name_reach_no_terminal(
    say: Callable[..., Any], command: str, name: str
) -> None:
    said = say(command, name)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert said.err.rstrip("\n").isprintable()


def test_a_reserve_of_memory_whose_size_is_not_known_is_refused(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "machine.json"
    path.write_text(
        '{"pools": [{"id": "ram", "kind": "ram", "total_bytes": null}],'
        ' "devices": [{"id": "cpu", "kind": "cpu", "name": "x", "pool": "ram"}]}'
    )
    said = say(*MODEL, "--machine", str(path), "--reserve", "1GiB")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "size is known" in said.err


RAM_OF = (
    '{"pools": [{"id": "ram", "kind": "ram", "total_bytes": %s}],'
    ' "devices": [{"id": "cpu", "kind": "cpu", "name": "x", "pool": "ram"}]}'
)


@pytest.mark.parametrize("wrong", ["true", '"64"', "6.5", "[8]"])
def test_memory_in_a_machine_file_is_a_whole_number(
    say: Callable[..., Any], tmp_path: Path, wrong: str
) -> None:
    path = tmp_path / "machine.json"
    path.write_text(RAM_OF % wrong)
    said = say(*MODEL, "--machine", str(path))
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "machine.pools.0.total_bytes" in said.err


def test_a_whole_number_in_a_machine_file_may_be_written_with_an_exponent(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "machine.json"
    path.write_text(RAM_OF % "6.4e10")
    pools = say(*MODEL, "--machine", str(path), "--json").json["machine"]["pools"]
    assert [pool["total_bytes"] for pool in pools] == [64 * 10**9]


def test_an_unknown_machine_may_be_given_as_a_file_instead(say: Callable[..., Any]) -> None:
    unknown = say(*MODEL, "--machine", "zzz 9000")
    assert "or a machine file as 'whatfits hardware --json' writes it" in unknown.err
    near = say(*MODEL, "--machine", "rtx 309")
    assert "did you mean" in near.err
    assert "file" not in near.err
