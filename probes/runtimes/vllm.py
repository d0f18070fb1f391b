"""vLLM: a Python package; a server tells itself by who owns its models.

Source: vllm-project/vllm 0.33.0 vllm/entrypoints/openai (/version, /v1/models),
vllm/v1/metrics/loggers.py (vllm:cache_config_info in /metrics).
"""

from __future__ import annotations

import re
import sys

from whatfits.probes.runtimes.answers import OK, count, entries, json_object, text
from whatfits.probes.runtimes.installed import environment_version
from whatfits.probes.runtimes.report import InstalledRuntime, LoadedModel
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.runtimes.answers import Answers
    from whatfits.probes.runtimes.listeners import Listener
    from whatfits.probes.runtimes.surroundings import Surroundings

__all__ = [
    "FACTS",
    "ID",
    "LABEL",
    "PORTS",
    "TELL_TALES",
    "is_it",
    "parse_cache_config",
    "parse_loaded",
    "read_installed",
    "server_version",
]

ID: Final = "vllm"
LABEL: Final = "vLLM"
PORTS: Final = (8000,)
TELL_TALES: Final = ("/v1/models", "/version")
FACTS: Final = ("/metrics",)
_CACHE_LINE: Final = re.compile(r"^vllm:cache_config_info\{(.*)\} ", re.MULTILINE)
_CACHE_LABEL: Final = re.compile(r'([a-z_]{1,60})="([^"\\]{0,200})"')


def read_installed(here: Surroundings) -> InstalledRuntime | None:
    """Return the package of this Python, else the program of another."""
    version = here.package_version("vllm")
    if version is not None:
        return InstalledRuntime(ID, LABEL, "runtime", version, sys.prefix, "this Python's packages")
    program = here.program("vllm")
    if program is None:
        return None
    version = environment_version(here, program, "vllm")
    return InstalledRuntime(ID, LABEL, "runtime", version, program, "the packages beside it")


def is_it(answers: Answers, _listener: Listener | None) -> bool:
    """Return whether it is vLLM: its models say that they are its own."""
    models = entries(json_object(answers, "/v1/models").get("data"))
    return any(model.get("owned_by") == "vllm" for model in models)


def server_version(answers: Answers) -> str | None:
    """Return the version of the server."""
    return text(json_object(answers, "/version").get("version"))


def parse_loaded(
    answers: Answers, _listener: Listener | None = None
) -> tuple[LoadedModel, ...] | None:
    """Return the model with its longest request, and the settings of its cache."""
    metrics = answers.get("/metrics")
    cache: tuple[tuple[str, str], ...] = ()
    if metrics is not None and metrics.status == OK:
        cache = parse_cache_config(metrics.body.decode("utf-8", "replace"))
    found = []
    for model in entries(json_object(answers, "/v1/models").get("data")):
        name = text(model.get("id"))
        if name is None or model.get("parent") is not None:  # an adapter of another
            continue
        found.append(
            LoadedModel(
                name=name,
                path=text(model.get("root")),
                context_tokens=count(model.get("max_model_len")),
                cache=cache,
            )
        )
    return tuple(found)


def parse_cache_config(metrics: str) -> tuple[tuple[str, str], ...]:
    """Return the labels of the cache's settings; empty when there are none."""
    line = _CACHE_LINE.search(metrics)
    return tuple(_CACHE_LABEL.findall(line[1])) if line else ()
