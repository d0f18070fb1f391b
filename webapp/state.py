"""Every input of the pages, described once, and what the inputs together ask for.

A key is also the name in the address, and a value is what stands in it: links that people have
sent each other rest on both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.quants.default_type import LADDER
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, RUNTIMES
from whatfits.sizing.units import parse_tokens
from whatfits.sizing.values import dataclass
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AUTO",
    "CONTEXTS",
    "HERE",
    "INPUTS",
    "NONE",
    "RAM_SIZES",
    "Input",
    "Question",
    "input_of",
    "other_machine_of",
    "question_of",
    "remedy_state",
]

AUTO: Final = "auto"
HERE: Final = "this computer"
NONE: Final = "none"
CONTEXTS: Final = (*(f"{2**power}k" for power in range(10)), "1m")
RAM_SIZES: Final = tuple(f"{2**power}gb" for power in range(3, 11))
_MIB_PER_GIB: Final = 1024
_KV_TYPES: Final = ("f16", "q8_0", "q5_1", "q4_0", "bf16", "f32")


@dataclass(frozen=True, slots=True)
class Input:
    """One input.

    Attributes:
        key: its name in the session and in the address.
        label: what stands beside it.
        default: its value when nobody chose; left out of the address.
        help: what it means, in a sentence or two.
        allowed: the values to choose from; empty where the catalog or a range says.
        most: largest number; None where there is none to give.
    """

    key: str
    label: str
    default: Any
    help: str
    allowed: tuple[Any, ...] = ()
    most: int | None = None


INPUTS: Final = (
    Input(
        "model",
        "Model",
        "llama-3.1-8b",
        "A model of the catalog: type a part of its name. Or paste hf:owner/name.",
    ),
    Input(
        "machine",
        "Machine",
        HERE,
        "This computer, one of the list, or written out: 2x rtx-3090 + 64gb, m4 max 64gb, 32gb.",
    ),
    Input("cards", "How many cards", 1, "Graphics cards of that kind in one machine.", most=16),
    Input("ram", "RAM beside it", "32gb", "The memory of the PC around the card.", RAM_SIZES),
    Input(
        "other",
        "Another machine",
        "rtx-3090",
        "A second machine to hold against the first, for the same model.",
    ),
    Input(
        "use",
        "Kind of model",
        "any",
        "Text, text with images or sound, or embeddings for search.",
        ("any", "llm", "vlm", "embedding"),
    ),
    Input(
        "licence",
        "Licence",
        "any",
        "Open: Apache 2.0 or MIT. Others have conditions of their own.",
        ("any", "open"),
    ),
    Input(
        "sort",
        "Order",
        "size",
        "Within the same verdict: most parameters first, newest first, or least memory first.",
        ("size", "released", "memory", "name"),
    ),
    Input(
        "quant",
        "Quantisation",
        AUTO,
        "How coarsely each weight is stored: smaller file, slightly worse answers. "
        "Automatic takes the best that fits.",
        (AUTO, *LADDER),
    ),
    Input(
        "context",
        "Context",
        "8k",
        "How much text it keeps in mind, in tokens of about three quarters of a word. "
        "It costs memory, used or not.",
        CONTEXTS,
    ),
    Input(
        "runtime",
        "Runtime",
        DEFAULT_RUNTIME,
        "The program that does the work. Each takes memory in its own way.",
        tuple(entry.id for entry in RUNTIMES),
    ),
    Input(
        "kv",
        "Precision of the cache",
        "f16",
        "How exactly the notes on what was read are kept. q8_0 halves them at a slight loss.",
        _KV_TYPES,
    ),
    Input(
        "users",
        "Users at once",
        1,
        "Conversations at the same time. llama.cpp shares the context out among them; "
        "Ollama and vLLM give it to each.",
        most=256,
    ),
    Input(
        "flash",
        "Flash attention",
        AUTO,
        "Attention without the table of scores in memory. Automatic: where the device can.",
        (AUTO, "on", "off"),
    ),
    Input(
        "ubatch",
        "Micro-batch",
        512,
        "Tokens of a prompt read in one step: more is quicker and takes a larger compute buffer.",
        (64, 128, 256, 512, 1024, 2048, 4096),
    ),
    Input(
        "prompt",
        "Prompt length",
        512,
        "The prompt that speeds are told for, in tokens.",
        most=2**20,
    ),
    Input(
        "draft",
        "Draft model",
        NONE,
        "A small model of the same vocabulary that guesses ahead; it takes memory of its own.",
    ),
    Input(
        "layers",
        "Layers on the GPU",
        None,
        "Empty: as many as fit. 0: all on the CPU.",
        most=1000,
    ),
    Input(
        "experts",
        "Layers with experts on the CPU",
        None,
        "For mixtures of experts: so many layers keep theirs in RAM. Empty: as few as needed.",
        most=1000,
    ),
    Input(
        "split",
        "Split over the GPUs",
        "",
        "Shares in the order of the cards, as 3,1. Empty: by free memory.",
    ),
    Input(
        "reserve",
        "Kept for the system (MiB)",
        None,
        "Memory to leave alone. Empty: the usual reserve of the system.",
        most=_MIB_PER_GIB * _MIB_PER_GIB,
    ),
    Input(
        "idle",
        "As after a restart",
        False,
        "This computer without what other programs hold now.",
    ),
)
_BY_KEY: Final = {item.key: item for item in INPUTS}
_KEY_OF: Final = {
    "model": "model",
    "file_type": "quant",
    "context_tokens": "context",
    "kv_type_k": "kv",
    "parallel": "users",
}


def input_of(key: str) -> Input:
    """Return the input of that key.

    Raises:
        KeyError: there is none.
    """
    return _BY_KEY[key]


@dataclass(frozen=True, slots=True)
class Question:
    """What the inputs ask: the arguments of one call of the library.

    Attributes:
        model: name of the model.
        machine: `here`, or a machine expression.
        file_type: quantisation; None for the best that fits.
        runtime: whose rules to use.
        workload: context, sequences, cache types.
        placement: where layers go.
        reserve_mib: what to keep free of the host's memory; None for the usual.
        idle: without what other programs hold.
    """

    model: str
    machine: str
    file_type: str | None
    runtime: str
    workload: Workload
    placement: PlacementRequest
    reserve_mib: int | None
    idle: bool


def question_of(state: Mapping[str, Any]) -> Question:
    """Return what a session's values ask; keys that are missing have their defaults.

    Raises:
        InvalidRequestError: the split is not a list of numbers.
    """
    values = {item.key: state.get(item.key, item.default) for item in INPUTS}
    kv = values["kv"] or "f16"
    return Question(
        model=(values["model"] or "").strip(),
        machine=_machine_of(values),
        file_type=None if values["quant"] in (AUTO, None) else values["quant"],
        runtime=values["runtime"] or DEFAULT_RUNTIME,
        workload=Workload(
            context_tokens=parse_tokens(values["context"]),
            parallel=_unless_default("users", values),
            kv_type_k=None if kv == "f16" else kv,
            kv_type_v=None if kv == "f16" else kv,
            micro_batch=_unless_default("ubatch", values),
            flash_attention=values["flash"] or AUTO,
            prompt_tokens=_unless_default("prompt", values),
            model_draft=None if values["draft"] in (NONE, None) else values["draft"],
        ),
        placement=PlacementRequest(
            gpu_layers=values["layers"],
            cpu_moe_layers=values["experts"],
            tensor_split=_split_of(values["split"]),
        ),
        reserve_mib=values["reserve"],
        idle=bool(values["idle"]),
    )


def other_machine_of(state: Mapping[str, Any]) -> str:
    """Return the second machine as one expression; a card gets the RAM of the first."""
    values = {item.key: state.get(item.key, item.default) for item in INPUTS}
    return _machine_of({**values, "machine": values["other"], "cards": 1})


def _machine_of(values: Mapping[str, Any]) -> str:
    """Return the machine as one expression: a card of the list gets its number and RAM."""
    from whatfits.webapp.choices import is_card  # noqa: PLC0415 - it names the keys of this file

    name: str = (values["machine"] or HERE).strip()
    if not is_card(name):
        return name
    count = values["cards"] or 1
    return f"{f'{count}x ' if count > 1 else ''}{name} + {values['ram']}"


def _unless_default(key: str, values: Mapping[str, Any]) -> int | None:
    """Return a number that somebody chose; None leaves it to the runtime, whose default it is."""
    value: int | None = values[key]
    return None if value == _BY_KEY[key].default else value


def _split_of(text: str | None) -> tuple[float, ...] | None:
    if not text or not text.strip():
        return None
    from whatfits.sizing.requests import placement_from_object  # noqa: PLC0415 - reads numbers

    return placement_from_object({"tensor_split": text}).tensor_split


def remedy_state(change: Mapping[str, Any]) -> dict[str, Any]:
    """Return which inputs a remedy sets; empty when they cannot carry all of it."""
    state: dict[str, Any] = {}
    for name, value in (*change.items(), *change.get("workload", {}).items()):
        if name in ("workload", "kv_type_v"):  # the one is taken apart; one input is both types
            continue
        key = _KEY_OF.get(name)
        if key is None:
            return {}
        state[key] = _shown(key, value)
        allowed = _BY_KEY[key].allowed
        if allowed and state[key] not in allowed:
            return {}
    return state


def _shown(key: str, value: object) -> object:
    """Return a value of a request as its input has it."""
    if key != "context":
        return value
    return next((text for text in CONTEXTS if parse_tokens(text) == value), value)
