"""What is printed to start a split model: llama.cpp takes the first file, importers every one."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest
from fake_hub import Repository
from hub_models import REPO, STEM
from range_server import serving
from test_hub_sets import split

from whatfits.sizing import check
from whatfits.sizing.sources import load
from whatfits.sizing.sources.direct_url import TRUSTED_HOSTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hub_models import Serve

PREFIX = f"{STEM}-Q8_0"
MACHINE = "64gb"
RUNTIMES = ("llama.cpp", "ollama", "lm-studio", "jan")


@pytest.fixture(scope="module")
def parts(files: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("set")
    return list(split(files[f"{STEM}-Q8_0.gguf"], folder, prefix=PREFIX).values())


@pytest.fixture(scope="module")
def merged(parts: list[Path]) -> bytes:
    """As `llama-gguf-split --merge` leaves it, for what is looked at: it says that it is whole."""
    from whatfits.bench.synthetic import write_synthetic_gguf
    from whatfits.sizing.sources.local_file import load_gguf

    header, path = load_gguf(parts[0])[0], parts[0].parent / "merged" / f"{STEM}-Q8_0.gguf"
    path.parent.mkdir()
    metadata = {**header.metadata, "split.no": 0, "split.count": 0}
    write_synthetic_gguf(path, metadata=metadata, tensors=load(str(parts[0])).tensors)
    return path.read_bytes()


def lines(model: str, runtime: str) -> tuple[str, ...]:
    return check(model, runtime=runtime, machine=MACHINE).commands[runtime]


def values(printed: tuple[str, ...], word: str) -> list[str]:
    return [line.removeprefix(f"{word} ") for line in printed if line.startswith(f"{word} ")]


@pytest.mark.parametrize("named", ["first", "second", "folder"])
def test_whatever_was_named_llama_cpp_gets_the_first_file(parts: list[Path], named: str) -> None:
    given = {"first": parts[0], "second": parts[1], "folder": parts[0].parent}[named]
    (line,) = lines(str(given), "llama.cpp")
    words = shlex.split(line)
    assert words[words.index("-m") + 1] == str(parts[0])
    yml = lines(str(given), "jan")
    assert json.loads(yml[2].partition(": ")[2]).endswith(f"/{parts[0].name}")


def test_a_folder_with_one_file_is_that_file_in_a_command(parts: list[Path], merged: bytes) -> None:
    folder = parts[0].parent / "merged"
    (line,) = lines(str(folder), "llama.cpp")
    assert str(folder / f"{STEM}-Q8_0.gguf") in shlex.split(line)
    assert values(lines(str(folder), "ollama"), "FROM") == [str(folder / f"{STEM}-Q8_0.gguf")]
    assert len(merged) == load(str(folder)).file_bytes


def test_ollama_and_lm_studio_are_given_every_file(parts: list[Path]) -> None:
    every = [str(part) for part in parts]
    assert values(lines(every[2], "ollama"), "FROM") == every
    assert values(lines(every[2], "lm-studio"), "lms import") == every


def test_a_planned_file_type_of_a_split_model_is_one_file(parts: list[Path]) -> None:
    plan = check(str(parts[0]), file_type="Q4_K_M", runtime="ollama", machine=MACHINE)
    assert values(plan.commands["ollama"], "FROM") == [f"./{PREFIX}-Q4_K_M.gguf"]


@pytest.mark.parametrize("revision", ["", "@main"])
def test_files_of_a_repository_are_downloaded_before_they_are_imported(
    serve: Serve, parts: list[Path], revision: str
) -> None:
    serve(Repository(REPO, {f"Q8_0/{part.name}": part for part in parts}))
    here = [f"Q8_0/{part.name}" for part in parts]
    at = " --revision main" if revision else ""
    fetch = f"hf download {REPO} {' '.join(here)}{at} --local-dir ."
    for runtime in RUNTIMES[1:]:
        assert lines(f"hf:{REPO}{revision}:Q8_0", runtime)[0] == fetch
    assert values(lines(f"hf:{REPO}{revision}", "ollama"), "FROM") == here
    assert values(lines(f"hf:{REPO}{revision}", "lm-studio"), "lms import") == here
    yml = "\n".join(lines(f"hf:{REPO}{revision}", "jan"))
    assert f'"llamacpp/models/{PREFIX}/{parts[0].name}"' in yml


def test_a_single_file_of_a_repository_is_no_address_in_a_modelfile(
    serve: Serve, files: Mapping[str, Path]
) -> None:
    serve(Repository(REPO, dict(files)))
    printed = lines(f"hf:{REPO}:Q8_0", "ollama")
    assert values(printed, "FROM") == [f"./{STEM}-Q8_0.gguf"]
    assert printed[0] == f"hf download {REPO} {STEM}-Q8_0.gguf --local-dir ."


@pytest.mark.parametrize("end", ["", "#of-the-page", "?download=true"])
def test_any_part_at_an_address_leads_to_the_first(
    parts: list[Path], end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({f"/m/{part.name}": part.read_bytes()[:400_000] for part in parts}) as server:
        monkeypatch.setenv(TRUSTED_HOSTS, server.host)
        named = server.url(f"/m/{parts[1].name}{end}")
        first = server.url(f"/m/{parts[0].name}")
        assert f"--model-url {first} " in lines(named, "llama.cpp")[0]
        printed = lines(named, "ollama")
    every = [first.replace("00001-of", f"0000{n}-of") for n in (1, 2, 3)]
    assert list(printed[:3]) == [f"curl -L -o {url.rpartition('/')[2]} {url}" for url in every]
    assert values(printed, "FROM") == [f"./{part.name}" for part in parts]


def test_a_merged_file_is_whole_wherever_it_lies(
    serve: Serve, merged: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(Repository(REPO, {f"{STEM}-Q8_0.gguf": merged}))
    with serving({"/m.gguf": merged}) as server:
        monkeypatch.setenv(TRUSTED_HOSTS, server.host)
        at = load(server.url("/m.gguf"))
    of = load(f"hf:{REPO}")
    assert at.tensors == of.tensors
    assert not at.parts
    assert not of.parts
    assert not [note for note in (*at.notes, *of.notes) if re.search(r"\bsplit\b|whole", note)]


def test_a_quick_answer_names_the_first_file_too(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whatfits.bench.synthetic import write_synthetic_gguf
    from whatfits.sizing.sources.local_file import load_gguf

    metadata = {**load_gguf(parts[0])[0].metadata, "tokenizer.ggml.tokens": ["a", "b"]}
    first = tmp_path / parts[0].name
    write_synthetic_gguf(first, metadata=metadata, tensors=load(str(parts[0])).tensors[::3])
    served = {f"/{part.name}": part.read_bytes()[:400_000] for part in (first, *parts[1:])}
    with serving(served) as server:
        monkeypatch.setenv(TRUSTED_HOSTS, server.host)
        spec = load(server.url(f"/{parts[2].name}#top"), quick=True)
        assert (spec.name, spec.file) == (PREFIX, server.url(f"/{parts[0].name}"))
    assert [url.rpartition("/")[2] for url in spec.parts] == [part.name for part in parts]
