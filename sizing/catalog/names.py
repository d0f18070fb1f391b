"""How names are compared: `Llama 3.1 8B Instruct`, `llama3.1:8b` and `llama-3.1-8b` are one name.

A name is cut into words and numbers. Separators, letter case and the border between two words mean
nothing; a number is never cut or joined, and keeps its unit (`8b`, `12gb`). So names that differ in
one number never compare equal.
"""

from __future__ import annotations

import re

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "device_tokens",
    "driver_tokens",
    "is_number",
    "is_size",
    "key_of",
    "memory_gib_of",
    "model_tokens",
    "short_device_tokens",
    "without_active_size",
    "without_noise",
    "without_vendor",
]

# 8x7b | a3b, e4b (active or effective size) | 3.1, 8b, 135m, 1t, 4k | words and odd characters
# A dot at either end stays with its number: what is left of `3.2` after a slip is no `3`.
_MODEL_TOKEN: Final = re.compile(
    r"\d+x\d+(?:\.\d+)?b(?![a-z])"
    r"|(?<![a-z0-9.])[ae]\d+(?:\.\d+)?[bm](?![a-z])"
    r"|\.*\d+(?:\.+\d+)*(?:[bmtk](?![a-z])|\.*)"
    r"|[^\W\d_]+"
    r"|[^\s\w\-:/().,]"
)
# From here on texts, which `re` compiles when they are first used: most commands name no device.
# 12gb, 12 GB, 12gib, 1tb | 4090 | words and odd characters
_DEVICE_WORD: Final = (
    r"\d+(?:\.\d+)?[\s_-]*[gt]i?b(?![a-z0-9])"
    r"|(?<![a-z0-9.])\d+(?:\.\d+)?g(?![a-z0-9])"  # 24g, but not the A10G
    r"|\d+(?:\.\d+)?|[^\W\d_]+|[^\s\w\-:/().,+]"
)
_BRACKETS: Final = r"\([^()]*\)"
_SIZE: Final = r"(?:\d+x|e)?\d+(?:\.\d+)?[bmt]"
_ACTIVE_SIZE: Final = r"a\d+(?:\.\d+)?[bm]"
_MEMORY: Final = r"(\d+(?:\.\d+)?)[\s_-]*(g|t)(?:i?b)?"

# Words that say how a model was tuned or packed: they change no byte.
_NOISE: Final = frozenset({"instruct", "it", "chat", "base", "pt", "hf", "gguf", "latest"})
_MODEL_VENDORS: Final = frozenset(
    {"meta", "google", "microsoft", "nvidia", "openai", "ibm", "alibaba", "mistralai", "moonshotai"}
)
# Words that vendors and drivers add to a device's name.
_DEVICE_NOISE: Final = frozenset(
    {
        *(
            "nvidia",
            "geforce",
            "amd",
            "ati",
            "radeon",
            "intel",
            "apple",
            "graphics",
            "gpu",
            "graphic",
        ),
        *("generation", "gen", "corporation", "inc", "card", "edition", "workstation", "oam"),
    }
)
# "MacBook Pro" before a chip: `mac-m4-max-64gb`, `macbook pro m3 max`, with inches and year.
_MACHINE_WORDS: Final = (
    r"(?i)^\s*(?:apple\s+)?(?:mac(?:book)?|imac|mbp|mba)(?:[\s_-]*(?:pro|air|mini|studio))?"
    r"(?:[\s,(_-]+(?:(?:1[1-6]|2[0-7])(?:\.\d)?(?:[\s-]*(?:inch(?:es)?|in|[\"”″]))?|20[12]\d))*"
    r"[\s,)_-]*(?=m\d)"
)
_LAPTOP_WORDS: Final = {"mobile": "laptop", "notebook": "laptop"}
# lspci: `VGA compatible controller [0300]: NVIDIA Corporation AD107M [GeForce RTX 4060 Max-Q /
# Mobile] [10de:28e0] (rev a1)`. What it is sold as stands in the brackets that hold no numbers.
_SOLD_AS: Final = r"\[(?!(?:[0-9a-f]{4}:)?[0-9a-f]{4}\])([^\[\]]+)\]"
_LSPCI_LAPTOP: Final = r"max-q\s*/\s*mobile"
# First words that people leave out: `4090` for `rtx 4090`, `b580` for `arc b580`.
_SERIES: Final = frozenset({"rtx", "gtx", "rx", "arc", "tesla", "instinct", "ai", "pro"})


def model_tokens(text: str) -> list[str]:
    """Return the words and numbers of a model's name, in lower case."""
    lowered = text.casefold().replace("×", "x").replace("+", " plus ")
    return _MODEL_TOKEN.findall(lowered)


def device_tokens(text: str) -> list[str]:
    """Return the words and numbers of a device's name without vendor words; memory as `12gb`."""
    lowered = text.casefold().replace("(r)", " ").replace("(tm)", " ")
    sold_as = re.findall(_SOLD_AS, lowered) if "[" in lowered else ()
    if sold_as:
        lowered = re.sub(_LSPCI_LAPTOP, "laptop", sold_as[-1])
    lowered = re.sub(_MACHINE_WORDS, "", lowered)
    tokens = []
    for token in re.findall(_DEVICE_WORD, lowered):
        if token in _DEVICE_NOISE:
            continue
        memory = memory_gib_of(token)
        tokens.append(_LAPTOP_WORDS.get(token, token) if memory is None else f"{memory}gb")
    return tokens


def driver_tokens(text: str) -> list[str]:
    """Return the words and numbers of a name that a driver reports: remarks in brackets dropped."""
    return device_tokens(re.sub(_BRACKETS, " ", text))


def short_device_tokens(tokens: list[str]) -> list[list[str]]:
    """Return the shorter forms of a device's name: without `rtx`, `arc`, `ai pro`, …."""
    forms = []
    rest = tokens
    while len(rest) > 1 and rest[0] in _SERIES:
        # 'pro 6000' must not become a bare '6000': that number belongs to several series.
        if rest[0] == "pro" and is_number(rest[1]):
            break
        rest = rest[1:]
        forms.append(rest)
    return forms


def key_of(tokens: list[str]) -> str:
    """Return the form under which names are compared: words run together, numbers apart."""
    key = ""
    after_word = False
    for token in tokens:
        word = not is_number(token)
        key += token if word and after_word else f" {token}"
        after_word = word
    return key.strip()


def is_number(token: str) -> bool:
    """Return whether a token is a number or a size (`3.1`, `8b`, `a3b`, `8x7b`), not a word."""
    return token[0].isdigit() or (len(token) > 1 and token[1].isdigit())


def is_size(token: str) -> bool:
    """Return whether a token is the size of a model: `8b`, `135m`, `1t`, `8x7b`, `e4b`."""
    return re.fullmatch(_SIZE, token) is not None


def memory_gib_of(token: str) -> int | None:
    """Return the GiB of a memory size (`12gb`, `1tb`); None for any other token."""
    match = re.fullmatch(_MEMORY, token.casefold())
    if match is None:
        return None
    size = float(match[1]) * (1024 if match[2] == "t" else 1)
    return int(size) if size == int(size) else None


def without_noise(tokens: list[str]) -> list[str]:
    """Return the tokens without words of tuning and packing (`instruct`, `it`, `chat`, …)."""
    return [token for token in tokens if token not in _NOISE]


def without_vendor(tokens: list[str]) -> list[str]:
    """Return the tokens without a leading vendor's name."""
    return tokens[1:] if len(tokens) > 1 and tokens[0] in _MODEL_VENDORS else tokens


def without_active_size(tokens: list[str]) -> list[str]:
    """Return the tokens without the active size (`a3b`): `qwen3 30b` for `qwen3 30b a3b`."""
    return [token for token in tokens if re.fullmatch(_ACTIVE_SIZE, token) is None]
