"""Where each program keeps its models, on each system: pure, so every system is asked on any."""

from __future__ import annotations

import pytest

from whatfits.sizing.sources.stores import hugging_face, jan, llama_cpp, lm_studio, ollama
from whatfits.sizing.sources.stores.surroundings import Surroundings

LINUX = Surroundings({"HOME": "/home/u"}, "linux")
MAC = Surroundings({"HOME": "/Users/u"}, "darwin")
WINDOWS = Surroundings(
    {
        "USERPROFILE": r"C:\Users\u",
        "LOCALAPPDATA": r"C:\Users\u\AppData\Local",
        "APPDATA": r"C:\Users\u\AppData\Roaming",
    },
    "win32",
)
NOWHERE = Surroundings({}, "linux")


def with_variables(surroundings: Surroundings, **variables: str) -> Surroundings:
    return Surroundings({**surroundings.environment, **variables}, surroundings.platform)


@pytest.mark.parametrize(
    ("surroundings", "first"),
    [
        (LINUX, "/home/u/.ollama/models"),
        (MAC, "/Users/u/.ollama/models"),
        (WINDOWS, r"C:\Users\u\.ollama\models"),
        (with_variables(LINUX, OLLAMA_MODELS="/big/models"), "/big/models"),
        (with_variables(LINUX, OLLAMA_MODELS=""), "/home/u/.ollama/models"),
    ],
)
def test_ollama(surroundings: Surroundings, first: str) -> None:
    found = ollama.folders(surroundings)
    assert found[0] == first
    service = "/usr/share/ollama/.ollama/models"
    assert (service in found) == (surroundings.platform == "linux")


@pytest.mark.parametrize(
    ("surroundings", "expected"),
    [
        (LINUX, "/home/u/.cache/llama.cpp"),
        (with_variables(LINUX, XDG_CACHE_HOME="/x"), "/x/llama.cpp"),
        (MAC, "/Users/u/Library/Caches/llama.cpp"),
        (WINDOWS, r"C:\Users\u\AppData\Local\llama.cpp"),
        (with_variables(MAC, LLAMA_CACHE="/c"), "/c"),
    ],
)
def test_llama_cpp(surroundings: Surroundings, expected: str) -> None:
    assert llama_cpp.folders(surroundings) == (expected,)


@pytest.mark.parametrize(
    ("surroundings", "expected"),
    [
        (LINUX, "/home/u/.cache/huggingface/hub"),
        (MAC, "/Users/u/.cache/huggingface/hub"),
        (WINDOWS, r"C:\Users\u\.cache\huggingface\hub"),
        (with_variables(LINUX, XDG_CACHE_HOME="/x"), "/x/huggingface/hub"),
        (with_variables(LINUX, XDG_CACHE_HOME="/x", HF_HOME="/h"), "/h/hub"),
        (with_variables(LINUX, HF_HOME="/h", HUGGINGFACE_HUB_CACHE="/old"), "/old"),
        (with_variables(LINUX, HUGGINGFACE_HUB_CACHE="/old", HF_HUB_CACHE="/new"), "/new"),
        (with_variables(LINUX, HF_HUB_CACHE="~/hub"), "/home/u/hub"),
    ],
)
def test_hugging_face(surroundings: Surroundings, expected: str) -> None:
    assert hugging_face.folders(surroundings) == (expected,)


@pytest.mark.parametrize(
    ("surroundings", "expected"),
    [
        (LINUX, ("/home/u/.local/share/Jan/data", "/home/u/.config/Jan/data")),
        (MAC, ("/Users/u/Library/Application Support/Jan/data",)),
        (WINDOWS, (r"C:\Users\u\AppData\Roaming\Jan\data",)),
        (with_variables(MAC, JAN_DATA_FOLDER="/j"), ("/j",)),
    ],
)
def test_jan(surroundings: Surroundings, expected: tuple[str, ...]) -> None:
    assert jan.data_folders(surroundings, {}) == expected


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        (b'{"data_folder": "/big/jan", "quick_ask": false}', "/big/jan"),
        (b'{"data_folder": "./data"}', "/home/u/.local/share/Jan/data"),
        (b'{"data_folder": 7}', "/home/u/.local/share/Jan/data"),
        (b"not JSON", "/home/u/.local/share/Jan/data"),
        (b'["data_folder"]', "/home/u/.local/share/Jan/data"),
    ],
)
def test_jan_follows_its_settings(settings: bytes, first: str) -> None:
    assert jan.data_folders(LINUX, {"settings.json": settings})[0] == first


@pytest.mark.parametrize(
    ("surroundings", "expected"),
    [
        (LINUX, ("/home/u/.cache/lm-studio", "/home/u/.lmstudio")),
        (WINDOWS, (r"C:\Users\u\.cache\lm-studio", r"C:\Users\u\.lmstudio")),
    ],
)
def test_lm_studio(surroundings: Surroundings, expected: tuple[str, ...]) -> None:
    assert lm_studio.homes(surroundings) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (None, "/h/models"),
        (b'{"downloadsFolder": "/big/models", "language": "en"}', "/big/models"),
        (b'{"downloadsFolder": "models"}', "/h/models"),
        (b'{"downloadsFolder": null}', "/h/models"),
        (b'{"downloadsFolder": "/a\\u0000b"}', "/h/models"),
        (b"{", "/h/models"),
        (b"[" * 100_000, "/h/models"),
    ],
)
def test_lm_studio_follows_its_settings(settings: bytes | None, expected: str) -> None:
    assert lm_studio.models_folder(settings, "/h", LINUX) == expected


def test_lm_studio_on_windows_follows_its_settings() -> None:
    settings = rb'{"downloadsFolder": "E:\\models"}'
    assert lm_studio.models_folder(settings, r"C:\h", WINDOWS) == r"E:\models"
    assert lm_studio.models_folder(b'{"downloadsFolder": "/m"}', r"C:\h", WINDOWS) == r"C:\h\models"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"/srv/lmstudio\n", "/srv/lmstudio"),
        (b"", None),
        (b"relative/home", None),
        (b"/a\0b", None),
    ],
)
def test_lm_studio_follows_its_pointer(text: bytes, expected: str | None) -> None:
    assert lm_studio.pointed_home(text, LINUX) == expected


def test_without_a_home_there_is_nowhere_to_look() -> None:
    assert llama_cpp.folders(NOWHERE) == ()
    assert hugging_face.folders(NOWHERE) == ()
    assert jan.data_folders(NOWHERE, {}) == ()
    assert lm_studio.homes(NOWHERE) == ()
    assert all(folder in ollama.SERVICE_FOLDERS for folder in ollama.folders(NOWHERE))


def test_a_variable_with_a_zero_byte_is_no_folder() -> None:
    odd = with_variables(MAC, OLLAMA_MODELS="/a\0b")
    assert ollama.folders(odd) == ("/Users/u/.ollama/models",)
