"""Which runtime and which app to begin with: by comfort, by machine, by what is there already.

The rules are few and are said with each pick. What of a level's programs runs already comes before
what is only installed, and that before what would have to be installed; else their order counts.
"""

from __future__ import annotations

import re

from whatfits.sizing.programs import OsName, Program, find_program
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

    from whatfits.sizing.machine import Device, Machine

__all__ = ["LAYERS", "LEVELS", "InstallLine", "Level", "Pick", "pick"]

Level = Literal["beginner", "comfortable", "expert"]
LEVELS: Final[tuple[Level, ...]] = ("beginner", "comfortable", "expert")
LAYERS: Final = (
    ("Runtime", "does the work: it loads the model and answers requests (llama.cpp, vLLM, MLX)"),
    ("App", "a chat window and a model browser on top of a runtime (LM Studio, Jan, Ollama's app)"),
)
_SYSTEMS: Final[tuple[OsName, ...]] = ("linux", "macos", "windows")
_OF_MACS: Final = frozenset({"cpu", "metal"})  # what the devices of one can be
# LM Studio serves four sequences unless told otherwise: up to there one cache for all is usual.
_FEW_USERS: Final = 4
_CAPABILITY: Final = re.compile(r"cc([0-9]+)\.([0-9]+)")
_LEAST_CAPABILITY: Final = (7, 0)
_ROCM_TARGETS: Final = ("gfx90a", "gfx942", "gfx950", "gfx110", "gfx1150", "gfx1151", "gfx120")
_WHOLE_TARGETS: Final = 6  # from here on a target is named in full


@dataclass(frozen=True, slots=True)
class InstallLine:
    """How a program is installed on one operating system: `os`, and the line."""

    os: str
    line: str


@dataclass(frozen=True, slots=True)
class Pick:
    """What to begin with at one level of comfort.

    Attributes:
        level: `beginner` (a desktop app), `comfortable` (a simple command), `expert` (the engine).
        runtime: id of the program that does the work, or bundles what does.
        runtime_label: its name for people.
        engine: what does the work in it.
        app: where one chats.
        state: `running`, `installed`, `to install`, or `unknown` for a machine that is not here.
        rules: why this one, one sentence each.
        install: one line a system, for this machine's system where it is known.
        start: what to type to serve a model.
        base_url: where it then answers.
        needs_key: whether it wants an API key.
        others: ids of the programs that would do as well at this level.
    """

    level: Level
    runtime: str
    runtime_label: str
    engine: str
    app: str
    state: Literal["running", "installed", "to install", "unknown"]
    rules: tuple[str, ...]
    install: tuple[InstallLine, ...]
    start: tuple[str, ...]
    base_url: str
    needs_key: bool
    others: tuple[str, ...]


def pick(
    machine: Machine,
    level: Level,
    *,
    users: int = 1,
    installed: Collection[str] | None = None,
    running: Collection[str] = (),
) -> Pick:
    """Return what to begin with.

    Args:
        machine: where it shall run.
        level: how much of a hurdle it may be.
        users: people at once.
        installed: ids of what is there; None when nobody looked.
        running: ids of what answers.
    """
    device = next(iter(machine.accelerators), None)
    candidates, rules = _candidates(machine, device, level, users)
    here = frozenset(installed or ())
    live = [name for name in candidates if name in running]
    there = [name for name in candidates if name in here]
    chosen = find_program((live or there or list(candidates))[0])
    state: Literal["running", "installed", "to install", "unknown"]
    if installed is None:
        state = "unknown"
    else:
        state = "running" if live else "installed" if there else "to install"
    if chosen.id != candidates[0]:
        rules = (*rules, f"{chosen.label} is {state} here, so it comes before what is not.")
    return Pick(
        level=level,
        runtime=chosen.id,
        runtime_label=chosen.label,
        engine=chosen.engine,
        app=chosen.window,
        state=state,
        rules=rules,
        install=_install(chosen, machine, device),
        start=chosen.start,
        base_url=chosen.base_url,
        needs_key=chosen.needs_key,
        others=tuple(name for name in candidates if name != chosen.id),
    )


def _candidates(
    machine: Machine, device: Device | None, level: Level, users: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ids that suit a level, the first choice first, and the rules they came by."""
    kind = "cpu" if device is None else device.kind
    many = users > _FEW_USERS
    if level == "beginner":
        rules = ["A desktop app bundles both layers: one download, a window, a model browser."]
        if kind == "metal":
            rules.append("On Apple silicon LM Studio runs MLX models as well as GGUF.")
        return ("lm-studio", "jan"), (*rules, *_many(many))
    if level == "comfortable":
        rule = (
            "One command downloads a model, loads it and answers; it chooses the settings itself."
        )
        return ("ollama",), (rule, *_many(many))
    if many and device is not None and _runs_vllm(machine, device):
        rule = (
            f"More than {_FEW_USERS} users at once on this kind of GPU: vLLM serves them from one "
            "paged cache."
        )
        return ("vllm",), (rule,)
    if kind == "metal":
        rule = "On Apple silicon: MLX, Apple's own engine, beside llama.cpp for GGUF files."
        return ("mlx", "llama.cpp"), (rule,)
    return ("llama.cpp",), (_ENGINE_RULES.get(kind, _ANY_RULE),)


_ANY_RULE: Final = "The engine that the apps stand on runs on every kind of device: llama.cpp."
_ENGINE_RULES: Final = {
    "cuda": "On NVIDIA cards: llama.cpp in its CUDA build; vLLM once many share the machine.",
    "rocm": "On AMD GPUs: llama.cpp in its Vulkan build, which needs no ROCm; ROCm is the other.",
    "vulkan": "On this GPU: llama.cpp in its Vulkan build.",
    "sycl": "On Intel GPUs: llama.cpp in its Vulkan build; SYCL is the other.",
    "cpu": "Without a GPU: llama.cpp, whose CPU build needs nothing else.",
}


def _many(many: bool) -> tuple[str, ...]:
    if not many:
        return ()
    return (f"For more than {_FEW_USERS} users at once see the level 'expert'.",)


def _runs_vllm(machine: Machine, device: Device) -> bool:
    """Return whether vLLM's documents list this GPU; an unknown generation is not promised.

    Source: vLLM documents, Installation: Linux; compute capability 7.0; the gfx targets.
    """
    if machine.os not in (None, "linux"):
        return False
    if device.kind == "cuda":
        found = [_CAPABILITY.fullmatch(feature) for feature in device.features]
        known = [(int(match[1]), int(match[2])) for match in found if match]
        return any(capability >= _LEAST_CAPABILITY for capability in known)
    if device.kind != "rocm":
        return False
    return any(
        feature == target or (len(target) == _WHOLE_TARGETS and feature.startswith(target))
        for feature in device.features
        for target in _ROCM_TARGETS
    )


def _install(program: Program, machine: Machine, device: Device | None) -> tuple[InstallLine, ...]:
    """Return the line for the machine's system, or one for each when that is not known."""
    kind = "cpu" if device is None else device.kind
    systems: list[OsName] = [name for name in _SYSTEMS if machine.os in (name, None)]
    if machine.os is None and kind not in _OF_MACS:
        systems.remove("macos")
    lines = ((name, program.install_line(name, kind)) for name in systems or _SYSTEMS)
    return tuple(InstallLine(name, line) for name, line in lines if line is not None)
