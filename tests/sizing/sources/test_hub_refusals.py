"""What a repository or the Hub refuses is said in one line, with a way out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from checkpoints import LLAMA
from fake_hub import COMMIT, TOKEN, Repository, as_json, refusal
from hub_models import API, FILE, REPO, STEM, notes, refusal_of

from whatfits.sizing.errors import UnknownFileTypeError, UnknownModelError, UnreadableFileError

if TYPE_CHECKING:
    from hub_models import Serve


def test_a_part_that_is_neither_file_nor_file_type_is_refused(serve: Serve) -> None:
    serve(Repository("acme/Tiny", {"config.json": json.dumps(LLAMA).encode()}))
    message = refusal_of("hf:acme/Tiny:nothing", UnknownModelError, file_type="Q8_0")
    assert "no file or file type 'nothing'" in message
    assert "hf:acme/Tiny" in message


def test_pickles_are_refused_with_the_reason_and_the_way_out(serve: Serve) -> None:
    serve(Repository("acme/Old", {"pytorch_model.bin": 5_000, "README.md": b"x"}))
    for name in ("hf:acme/Old", "hf:acme/Old:pytorch_model.bin"):
        message = refusal_of(name, UnreadableFileError)
        assert "runs code when it is opened" in message
        assert "use the GGUF or the safetensors files" in message


def test_a_configuration_beside_pickles_answers_and_says_that_they_stay_closed(
    serve: Serve,
) -> None:
    config = json.dumps(LLAMA).encode()
    hub = serve(Repository("acme/Old", {"pytorch_model.bin": 5_000, "config.json": config}))
    assert "runs code when it is opened" in notes("hf:acme/Old")
    assert not any("pytorch_model.bin" in seen.target for seen in hub.seen)


def test_an_adapter_in_safetensors_is_no_model(serve: Serve) -> None:
    content = {"adapter_config.json": b"{}", "adapter_model.safetensors": 5_000}
    serve(Repository("acme/Lora", content))
    assert "an adapter (LoRA), not a model" in refusal_of("hf:acme/Lora", UnreadableFileError)


def test_a_repository_without_a_model_is_refused(serve: Serve) -> None:
    parts = {"model_index.json": b"{}", "unet/config.json": b"{}", "tokenizer.json": b"{}"}
    serve(
        Repository("acme/Empty", {"README.md": b"x"}),
        Repository("acme/None", {}),
        Repository("acme/Image", parts),
    )
    for name in ("hf:acme/Empty", "hf:acme/None", "hf:acme/Image"):
        assert "no GGUF, no safetensors and no config.json" in refusal_of(name)


def test_a_projector_or_an_adapter_is_no_model(serve: Serve, usual: Repository) -> None:
    beside = {"mmproj-F16.gguf": 500, f"{STEM}-lora-f16.gguf": 400}
    serve(Repository(REPO, {**usual.content, **beside}), Repository("acme/Lora", {"lora.gguf": 9}))
    assert "add the file with --mmproj" in refusal_of(f"hf:{REPO}:mmproj-F16.gguf")
    assert "add the file with --lora" in refusal_of(f"hf:{REPO}:{STEM}-lora-f16.gguf")
    assert "is an adapter (LoRA)" in refusal_of("hf:acme/Lora")
    said = notes(f"hf:{REPO}")
    assert "projectors for images or sound (mmproj-F16.gguf)" in said
    assert f"name one with --mmproj, as hf:{REPO}:mmproj-F16.gguf." in said


def test_what_only_looks_like_a_gguf_is_named(serve: Serve) -> None:
    page = {"m-Q4_K_M.gguf": b"<!DOCTYPE html><html>" + b" " * 100}
    serve(Repository(REPO, page))
    message = refusal_of(f"hf:{REPO}", UnreadableFileError)
    assert "a web page, not the model" in message
    assert f"'hf:{REPO}:m-Q4_K_M.gguf'" in message


def test_a_file_type_that_is_not_there_is_refused_with_those_that_are(
    serve: Serve, usual: Repository
) -> None:
    serve(usual)
    message = refusal_of(f"hf:{REPO}:Q6_K", UnknownFileTypeError)
    assert "allowed: F16, Q8_0, Q4_K_M, Q3_K_M" in message


REFUSALS = {
    "gated": (FILE, 401, "GatedRepo", "Access to model is restricted", "is gated"),
    "gated, not let in": (FILE, 403, "GatedRepo", "You are not in the list", "is gated"),
    "missing or private": (API, 401, "RepoNotFound", "Repository not found", "or a private one"),
    "missing": (API, 404, "RepoNotFound", "Repository not found", "no such repository"),
    "unlabelled": (API, 401, None, "Invalid username or password.", "no such repository"),
    "no revision": (API, 404, "RevisionNotFound", "Invalid rev id", "has no revision 'main'"),
    "gone": (FILE, 404, "EntryNotFound", "Entry not found", "a file has gone"),
    "bad token": (API, 401, None, "Invalid credentials in Authorization header", "'hf auth login'"),
    "disabled": (API, 403, None, "Access to this resource is disabled.", "has disabled"),
    "forbidden": (API, 403, None, "Forbidden", "may not read"),
    "too many": (API, 429, None, "Too many requests", "try again in five minutes"),
    "in trouble": (API, 503, None, "Service unavailable", "status 503"),
    "teapot": (API, 418, None, "no", "status 418"),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_refusal_is_one_line_with_a_way_out(
    serve: Serve,
    usual: Repository,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, int, str | None, str, str],
    token: str | None,
) -> None:
    path, status, code, message, expected = case
    hub = serve(usual)
    hub.hub.files[path] = refusal(status, code, message)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    said = refusal_of(f"hf:{REPO}")
    assert expected in said
    assert TOKEN not in said
    if "gated" in expected:
        assert f"{hub.endpoint}/{REPO}" in said
        assert ("your token has no access" if token else "set HF_TOKEN") in said


def test_what_the_catalog_knows_is_said_when_the_hub_refuses(serve: Serve) -> None:
    name = "meta-llama/Llama-3.1-8B-Instruct"
    content = {"config.json": b"{}", "model.safetensors": 5}
    hub = serve(Repository(name, content, gated="manual"))
    hub.hub.files[f"/{name}/resolve/{COMMIT}/config.json"] = refusal(401, "GatedRepo")
    assert "whatfits check llama-3.1-8b" in refusal_of(f"hf:{name}", UnreadableFileError)


def test_a_misspelt_name_is_told_from_those_the_catalog_knows(serve: Serve) -> None:
    serve()
    message = refusal_of("hf:meta-llama/Lama-3.1-8B-Instruct", UnknownModelError)
    assert "did you mean 'hf:meta-llama/Llama-3.1-8B-Instruct'?" in message


def test_a_listing_that_is_none_is_malformed(serve: Serve, usual: Repository) -> None:
    hub = serve(usual)
    for answer in (as_json([]), lambda handler: handler.answer(200, b"<html>")):
        hub.hub.files[API] = answer
        assert "Hugging Face listing" in refusal_of(f"hf:{REPO}")
