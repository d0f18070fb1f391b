"""The sources of an answer's numbers lead to where they can be read."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from whatfits.sizing import check
from whatfits.sizing.basis.source_links import source_links

FORMS = [
    ("llama.cpp (0c1e57098) llama-context.cpp", "ggml-org/llama.cpp/tree/0c1e57098"),
    ("seen (vllm-project/vllm issue 10517: 23.58 GiB)", "vllm-project/vllm/issues/10517"),
    ("cards (ggml-org/llama.cpp pull 15860); more", "ggml-org/llama.cpp/pull/15860"),
    ("vllm-project/vllm 0.33.0 vllm/v1/worker/utils.py", "vllm-project/vllm/tree/v0.33.0"),
    ("Lightning-AI/litgpt (2026-06-29) litgpt/config.py", "Lightning-AI/litgpt"),
]


@pytest.mark.parametrize(("source", "path"), FORMS)
def test_each_form_of_a_source_has_its_address(source: str, path: str) -> None:
    (link,) = source_links(source)
    assert link.url == f"https://github.com/{path}"
    assert link.name in source


def test_several_sources_are_linked_in_their_order_and_once() -> None:
    told = "; ".join(source for source, _ in (*FORMS[::-1], FORMS[0]))
    links = [link.url.removeprefix("https://github.com/") for link in source_links(told)]
    assert links == [path for _, path in FORMS[::-1]]


@pytest.mark.parametrize(
    "source", ["the machine as given", "docs/accuracy.md", "total: CUDA showed 24,150 MiB", ""]
)
def test_what_is_no_public_source_has_no_address(source: str) -> None:
    assert source_links(source) == ()


def test_the_terms_of_memory_have_links_to_code_of_their_runtime() -> None:
    for runtime, host in (("llama.cpp", "ggml-org"), ("vllm", "vllm-project")):
        found = check("qwen3-8b", machine="rtx-4090 + 32gb", runtime=runtime)
        for basis in found.basis:
            if basis.key in ("memory.kv_cache_bytes", "memory.compute_bytes"):
                links = source_links(basis.source)
                assert any(urlsplit(link.url).path.startswith(f"/{host}/") for link in links)
