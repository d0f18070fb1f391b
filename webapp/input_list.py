"""Every input of the pages, described once.

A key is also the name in the address, and a value is what stands in it: links that people have
sent each other rest on both.
"""

from __future__ import annotations

from typing import Final

from whatfits.sizing.catalog.lookup import MODEL_KINDS
from whatfits.sizing.quants.default_type import LADDER
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, RUNTIMES
from whatfits.sizing.runtimes.mlx_types import USUAL_TYPES
from whatfits.sizing.runtimes.vllm_file_types import CHECKPOINT_TYPES
from whatfits.webapp.cost_inputs import COST_INPUTS
from whatfits.webapp.one_input import Input
from whatfits.webapp.serving_inputs import SERVING_INPUTS

__all__ = [
    "AUTO",
    "CONTEXTS",
    "HERE",
    "INPUTS",
    "NONE",
    "RAM_SIZES",
    "SHARES",
    "Input",
    "input_of",
    "quants_of",
]

AUTO: Final = "auto"
HERE: Final = "this computer"
NONE: Final = "none"
CONTEXTS: Final = (*(f"{2**power}k" for power in range(10)), "1m")
RAM_SIZES: Final = tuple(f"{2**power}gb" for power in range(3, 11))
MOST_CARDS: Final = 16
SHARES: Final = tuple(f"share{number}" for number in range(1, MOST_CARDS + 1))
_MIB_PER_GIB: Final = 1024
# what a runtime loads that is no GGUF
_QUANTS: Final = {"vllm": CHECKPOINT_TYPES, "mlx": USUAL_TYPES}
_KV_TYPES: Final = ("f16", "q8_0", "q5_1", "q4_0", "bf16", "f32")

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
    Input(
        "cards",
        "How many cards",
        1,
        "Graphics cards of that kind in one machine.",
        most=MOST_CARDS,
        least=1,
    ),
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
        ("any", *MODEL_KINDS),
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
        "Automatic takes the best that fits; to serve and to reckon costs, the usual balance.",
        (AUTO, *dict.fromkeys((*LADDER, *CHECKPOINT_TYPES, *USUAL_TYPES))),
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
        least=1,
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
        "Tokens of a prompt read in one step: more is quicker and takes a larger compute buffer. "
        "512 leaves it to the program: what embeds has to read an input at once.",
        (64, 128, 256, 512, 1024, 2048, 4096),
    ),
    Input(
        "prompt",
        "Prompt length",
        512,
        "The prompt that speeds are told for, in tokens.",
        most=2**20,
        least=1,
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
    *(
        Input(
            key,
            "Share of the layers",
            None,
            "In proportion to the other cards. Empty for every card: by free memory.",
            most=1000,
        )
        for key in SHARES
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
    *SERVING_INPUTS,
    *COST_INPUTS,
)
_BY_KEY: Final = {item.key: item for item in INPUTS}


def quants_of(runtime: str) -> tuple[str, ...]:
    """Return the quantisations that a runtime loads, after the choice of none."""
    return (AUTO, *_QUANTS.get(runtime, LADDER))


def input_of(key: str) -> Input:
    """Return the input of that key.

    Raises:
        KeyError: there is none.
    """
    return _BY_KEY[key]
