"""The grammar of machine expressions: `2x rtx-3090 + 64gb`, `rx 7900 xtx + 32gb ddr5-6000`.

expression = part { ( "+" | "&" | "and" ) part }
part       = [ count ] ( device | cpu [ size ] | ram ) | device "x" count
count      = n "x" | n | "dual" | "two" …, brackets around it or not
ram        = size [ "laptop" | "pc" | … ] [ type "-" rate [ n "channels" ] ]
             as 64gb, 1tb, 2x 32gb, 32gb ddr5-6000, 768gb ddr5-4800 12 channels
cpu        = one whose memory channels are known, as ryzen 9 7950x, raspberry pi 5
"""

from __future__ import annotations

import re

from whatfits.sizing.catalog.memory_rates import ram_types
from whatfits.sizing.errors import UnknownMachineError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "EXAMPLES",
    "DevicePart",
    "RamPart",
    "parse_expression",
    "with_memory",
    "without_machine",
    "without_size",
]

EXAMPLES: Final = "'rtx-4090', '2x rtx-3090 + 64gb', 'm4 max 64gb', '64gb' (no GPU)"
_LONGEST: Final = 200
_MOST_DEVICES: Final = 64
_MOST_RAM_BYTES: Final = 64 * 1024 * GIB
_RATES: Final = range(800, 12_801)
_BARE_SIZES: Final = frozenset(
    map(str, (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512))
)
_USUAL_CHANNELS: Final = 2
_CHANNELS: Final = range(1, 25)  # two sockets of twelve
# A channel takes two modules, of at most 64 GiB where they are unbuffered, as PCs have them.
_MOST_MODULES_USUAL: Final = 4
_MOST_RAM_BYTES_USUAL: Final = 4 * 64 * GIB

# The plus of "Ryzen AI Max+ 395" belongs to the name.
_PLUS: Final = re.compile(r"(?<!max)\+|&|\band\b", re.IGNORECASE)
_NUMBERS: Final = {"one": 1, "two": 2, "three": 3, "four": 4, "six": 6, "eight": 8}
_MANIFOLD: Final = {"single": 1, "dual": 2, "triple": 3, "quad": 4, "hexa": 6, "octa": 8}
_WORDS: Final = _NUMBERS | _MANIFOLD
_COUNT: Final = re.compile(
    r"(\d+)\s*[x×*]\s+(?=\S)|(\d+)\s*[x×*](?=[a-z0-9])"
    rf"|(\d{{1,2}})\s+(?=[a-z]|\d{{4}}(?![\d.]))|({'|'.join(_WORDS)})(?:[\s-]socket)?[\s-]+(?=\S)",
    re.IGNORECASE,
)
# "rtx 3090 x2", "rtx 3090 2x"; without a space only where a name cannot go on: the x of "7900xtx"
# and of "evo-x2" belongs to it.
_COUNT_BEHIND: Final = re.compile(
    r"(?:\s+[x×*]\s*|\*\s*)(\d+)$|(?:(?<=\d)|(?<=\dti)|(?<=gb))[x×]\s*(\d{1,2})$"
    r"|\s+(\d{1,2})[x×]$",
    re.IGNORECASE,
)
_BRACKETED_COUNT: Final = re.compile(r"\((\s*(?:[x×*]\s*\d+|\d+\s*[x×*])\s*)\)", re.IGNORECASE)
# "raspberry pi 5 (8gb)", "mac mini (m4, 24 GB)": as shops write it
_BRACKETED_SIZE: Final = re.compile(
    r"\(((?:[^()]{1,60}[,\s])?\s*\d+\s*[gt]i?b\s*)\)", re.IGNORECASE
)
# "rtx 4090 pc": said of the machine around a device, unless its name goes on so
_AROUND: Final = re.compile(
    r"(?:\s+gaming)?\s+(?:pc|desktop|computer|server|workstation|rig|machine|build|system)$",
    re.IGNORECASE,
)
# 8700g and 12700t are processors: of so many digits a size needs its b, but for sizes of servers
_OF_SERVERS: Final = r"(?!(?:1024|1536|2048|3072|4096|6144|8192)g)"
_NO_PROCESSOR: Final = rf"(?!{_OF_SERVERS}\d{{4,}}g(?![a-z])|\d{{3,}}t(?![a-z]))"
_SIZE_BEHIND: Final = re.compile(
    rf"(?<=\S)\s+{_NO_PROCESSOR}\d+(?:\.\d+)?\s*[gt](?:i?b|igs?)?$", re.IGNORECASE
)
_FIRST_IN_NAMES: Final = 1000  # 7900xtx, 5800x3d: such a number tells what it is, not how many
_RAM: Final = re.compile(
    rf"{_NO_PROCESSOR}"
    r"(?P<size>\d+(?:\.\d+)?)\s*(?P<unit>[gt])(?:i?b|igs?)?(?:\s*(?:of\s+)?(?:ram|memory))?"
    r"(?:\s+(?:laptop|notebook|pc|desktop|computer|server|workstation|rig))?"
    r"(?:\s+(?P<type>(?:lp)?ddr\dx?)(?:[\s@-]*(?P<rate>\d+)(?:\s*(?:mt/s|mhz))?)?"
    rf"(?:[\s,]+(?P<channels>\d+|{'|'.join(_MANIFOLD)})[\s-]*channels?)?)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class DevicePart:
    """`count` devices of the name `text`."""

    count: int
    text: str


@dataclass(frozen=True, slots=True)
class RamPart:
    """RAM as installed; the type and rate of its channels when they were given."""

    total_bytes: int
    type: str | None = None
    mt_per_s: int | None = None
    channels: int = _USUAL_CHANNELS


def parse_expression(text: str) -> tuple[tuple[DevicePart, ...], RamPart | None]:
    """Return the devices and the RAM of a machine expression.

    Raises:
        UnknownMachineError: it is empty, too long, or not of the form above.
    """
    if not text.strip() or len(text) > _LONGEST:
        raise _refused(text, allowed=EXAMPLES)
    devices: list[DevicePart] = []
    ram: RamPart | None = None
    for part in _PLUS.split(text):
        count, rest = _counted(part.strip())
        if not rest:
            raise _refused(text, allowed=f"a device or RAM on each side of '+', as {EXAMPLES}")
        if not 1 <= count <= _MOST_DEVICES:
            raise _refused(text, allowed=f"1 to {_MOST_DEVICES} of a device, as '2x rtx-3090'")
        if rest in _BARE_SIZES:
            raise _refused(text, allowed=f"RAM with its unit, as '{rest}gb'")
        match = _RAM.fullmatch(rest)
        if match is None:
            devices.append(DevicePart(count, rest))
        elif ram is not None:
            raise _refused(text, allowed="one size of RAM, as 'rtx-4090 + 64gb'")
        else:
            ram = _ram(text, match, count)
    if sum(part.count for part in devices) > _MOST_DEVICES:
        raise _refused(text, allowed=f"at most {_MOST_DEVICES} devices")
    return tuple(devices), ram


def with_memory(text: str, device: str, memory_gib: int) -> str:
    """Return an expression with so much memory written behind each part that names `device`."""
    parts = (part.strip() for part in _PLUS.split(text))
    return " + ".join(_sized(part, device, memory_gib) for part in parts)


def _sized(part: str, device: str, memory_gib: int) -> str:
    count, name = _counted(part)
    if name != device:
        if without_machine(name) != device:
            return part
        return _sized(f"{count}x {device}" if count > 1 else device, device, memory_gib)
    # a count behind the name would come between it and its memory
    return f"{part if part.endswith(name) else f'{count}x {name}'} {memory_gib}gb"


def without_size(text: str) -> tuple[str, RamPart | None]:
    """Return a name and the RAM written behind it, as `raspberry pi 5 8gb` or `… 8 GB`."""
    behind = _SIZE_BEHIND.search(text)
    match = None if behind is None else _RAM.fullmatch(text[behind.start() :].strip())
    if behind is None or match is None:
        return text, None
    return text[: behind.start()], _ram(text, match, 1)


def without_machine(text: str) -> str:
    """Return a name without a last word for the machine around a device, as `h100 server`."""
    return _AROUND.sub("", text)


def _counted(part: str) -> tuple[int, str]:
    if _RAM.fullmatch(part):
        return 1, part  # "64 gb" is no count of a "gb"
    part = _BRACKETED_SIZE.sub(r" \1 ", _BRACKETED_COUNT.sub(r" \1 ", part)).strip()
    match, behind = _COUNT.match(part), _COUNT_BEHIND.search(part)
    count = 0 if match is None else _number(next(filter(None, match.groups())))
    if behind is not None and not 1 <= count <= _MOST_DEVICES:
        return _number(next(filter(None, behind.groups()))), part[: behind.start()]  # "3090 x2"
    in_name = match is None or count >= _FIRST_IN_NAMES
    return (1, part) if match is None or in_name else (count, part[match.end() :])


def _number(text: str) -> int:
    """Return digits or a word as a number; 0 for one too long to be a count.

    Such a number is refused by its value, whatever Python's limit on digits.
    """
    if text.isdecimal():
        return int(text) if len(text) <= 4 else 0  # noqa: PLR2004
    return _WORDS[text.casefold()]


def _ram(text: str, match: re.Match[str], count: int) -> RamPart:
    size = float(match["size"]) * (1024 if match["unit"].casefold() == "t" else 1)
    total = round(size * GIB) * count if size <= _MOST_RAM_BYTES // GIB else 0
    if not 0 < total <= _MOST_RAM_BYTES:
        raise _refused(text, allowed="RAM of up to 64 TiB, as '64gb'")
    if match["type"] is None:
        return RamPart(total)
    if match["type"].upper() not in ram_types():
        raise _refused(text, allowed=f"{', '.join(ram_types())} with a rate, as 'ddr5-6000'")
    rate = int(match["rate"]) if match["rate"] and len(match["rate"]) <= 5 else 0  # noqa: PLR2004
    if rate not in _RATES:
        raise _refused(
            text,
            allowed="a rate in MT/s with the kind of RAM, as '32gb ddr5-6000'",
            next_step="or leave both out",
        )
    return RamPart(total, match["type"].upper(), rate, _channels(text, match, total, modules=count))


def _channels(text: str, match: re.Match[str], total_bytes: int, *, modules: int) -> int:
    """Return the channels that were given, else two, which is what a PC has."""
    given = match["channels"]
    if given is not None:
        channels = _number(given)
        if channels not in _CHANNELS:
            raise _refused(text, allowed=f"1 to {_CHANNELS[-1]} channels")
        return channels
    if modules > _MOST_MODULES_USUAL or total_bytes > _MOST_RAM_BYTES_USUAL:
        typed = f"{modules}x {match[0]}" if modules > 1 else match[0]
        raise _refused(
            text,
            allowed="the number of channels with more RAM than two of them take, as "
            f"'{typed} 8 channels'",
            next_step="or leave the rate out",
        )
    return _USUAL_CHANNELS


def _refused(text: str, *, allowed: str, next_step: str = "") -> UnknownMachineError:
    return UnknownMachineError(what="machine", got=text, allowed=allowed, next_step=next_step)
