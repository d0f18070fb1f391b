"""What happens when a name is nobody's own: a unique partial match, or an error with suggestions.

Only missed names come here, so this may cost more than a hit.
"""

from __future__ import annotations

from itertools import pairwise

from whatfits.sizing.catalog.names import (
    device_tokens,
    is_number,
    is_size,
    key_of,
    memory_gib_of,
    model_tokens,
    without_noise,
    without_vendor,
)
from whatfits.sizing.errors import UnknownMachineError, UnknownModelError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Final

__all__ = ["ambiguous_device", "near_device", "near_model"]

_MOST_SUGGESTIONS: Final = 5
_LONGEST_NAME: Final = 200
_SIZE_TOLERANCE: Final = 0.05
_UNITS: Final = {"m": 10**6, "b": 10**9, "t": 10**12}
# Words of a model's name that may be left out, where no second model has the rest of the name.
_NEEDLESS_WORDS: Final = frozenset({"distill", "qwen", "llama", "vision"})
# Words of a device's name that say nothing the rest does not say.
_SERIES_WORDS: Final = frozenset(
    {"jetson", "titan", "tesla", "quadro", "instinct", "arc", "rtx", "gtx", "rx", "dgx"}
)
_APOSTROPHES: Final = frozenset({"'", "’"})
_DIGITS_OF_A_MODEL: Final = 4


def near_model(text: str, table: Sequence[Sequence[Any]]) -> int:
    """Return the only model whose name holds everything that was typed, and no other number.

    Args:
        text: what was typed.
        table: one row a model: id, parameters, forms of its name in words and numbers.

    Raises:
        UnknownModelError: there is none, or several, or the size was left out.
    """
    repository = text.strip().rpartition("/")[2] if len(text) <= _LONGEST_NAME else ""
    tokens = model_tokens(repository)
    typed = without_vendor(without_noise(tokens)) or tokens
    names = [row[0] for row in table]
    # With a publisher's name in it, only the exact name will do; a size alone names nothing.
    if "/" not in text and not all(is_number(token) for token in typed):
        holding: list[int] = []
        complete: list[int] = []
        whole: list[int] = []
        for number, (_, params, forms) in enumerate(table):
            rests = [rest for form in forms if (rest := _rest(typed, form, params)) is not None]
            holding += [number] if rests else []
            complete += [number] if any(_needless(rest) for rest in rests) else []
            whole += [number] if [] in rests else []
        for found in (whole, complete if complete == holding else []):
            if len(found) == 1:
                return found[0]
        if holding:
            raise _several_models(text, [names[number] for number in holding])
    near = _did_you_mean(key_of(typed), ((name, key_of(model_tokens(name))) for name in names))
    raise UnknownModelError(
        what="unknown model",
        got=text,
        allowed="a name from 'whatfits list', the path of a GGUF file or a checkpoint, "
        "or hf:org/repo",
        next_step=near,
    )


def _several_models(text: str, choices: list[str]) -> UnknownModelError:
    if len(choices) == 1:
        return UnknownModelError(
            what="unknown model",
            got=text,
            allowed="a name with its size and version",
            next_step=f"did you mean {choices[0]}?",
        )
    return UnknownModelError(
        what="ambiguous model",
        got=text,
        allowed=_shown(choices),
        next_step="name one in full, with its size",
    )


def _shown(choices: Sequence[str]) -> str:
    more = len(choices) - _MOST_SUGGESTIONS
    shown = ", ".join(choices[:_MOST_SUGGESTIONS])
    return f"{shown} and {more} more" if more > 0 else shown


def _rest(typed: list[str], form: list[str], params: int | None) -> list[str] | None:
    """Return what of a name was not typed; None when something typed is not in the name.

    A size that the name does not hold is accepted where the name holds none and the model has
    about that many parameters (`phi4 14b`).
    """
    rest = list(form)
    sized = any(is_size(token) for token in form)
    for token in typed:
        if token in rest:
            rest.remove(token)
        elif sized or not _about(token, params):
            return None
    return rest


def _about(token: str, params: int | None) -> bool:
    if params is None or not is_size(token) or not token[:-1].replace(".", "", 1).isdigit():
        return False
    size = float(token[:-1]) * _UNITS[token[-1]]
    return abs(size - params) <= _SIZE_TOLERANCE * params


def _needless(rest: list[str]) -> bool:
    return all(token in _NEEDLESS_WORDS for token in rest)


def near_device(text: str, table: Sequence[Sequence[Any]], *, memory_gib: int | None) -> int:
    """Return the only device whose name holds everything that was typed.

    Args:
        text: what was typed.
        table: one row a device: name, memory options, forms of the name without memory.
        memory_gib: memory that was typed, if any.

    Raises:
        UnknownMachineError: there is none, or several.
    """
    typed = [token for token in device_tokens(text) if memory_gib_of(token) is None]
    names = [row[0] for row in table]
    holding, complete = _devices_named(typed, table, memory_gib)
    if not holding and typed[-1:] == ["s"]:
        # 3090s: several of them; but 4070s may be a SUPER
        typed = [token for token in typed[:-1] if token not in _APOSTROPHES]
        holding, complete = _devices_named(typed, table, memory_gib)
        is_super = any("super" in device_tokens(names[number]) for number in holding)
        holding = holding if is_super else complete or holding
    if len(holding) == 1 and complete == holding:
        return holding[0]
    if holding:
        raise ambiguous_device(text, [names[number] for number in holding])
    raise _unknown_device(text, table)


def _devices_named(
    typed: list[str], table: Sequence[Sequence[Any]], memory_gib: int | None
) -> tuple[list[int], list[int]]:
    """Return the devices whose names hold what was typed, and those that hold little else."""
    holding: list[int] = []
    complete: list[int] = []
    for number, (_, options, forms) in enumerate(table if typed else ()):
        if memory_gib is not None and memory_gib not in options:
            continue
        rests = [rest for form in forms if (rest := _rest(typed, form, None)) is not None]
        if rests:
            holding.append(number)
        if any(all(token in _SERIES_WORDS for token in rest) for rest in rests):
            complete.append(number)
    return holding, complete


def ambiguous_device(text: str, choices: Sequence[str]) -> UnknownMachineError:
    """Return the error for a name that several devices could have."""
    if len(choices) == 1:
        return UnknownMachineError(
            what="unknown device",
            got=text,
            allowed="a name with its size and version",
            next_step=f"did you mean '{choices[0]}'?",
        )
    return UnknownMachineError(
        what="ambiguous device",
        got=text,
        allowed=_shown([f"'{name}'" for name in choices]),
        next_step="name one in full, or add its memory, as in 'rtx 3060 12gb'",
    )


def _unknown_device(text: str, table: Sequence[Sequence[Any]]) -> UnknownMachineError:
    from whatfits.sizing.catalog.hints import hint_for  # noqa: PLC0415 - only a missed name

    typed = device_tokens(text)
    near = _question(_sharing_a_number(typed, table)[:_MOST_SUGGESTIONS])
    forms = ((row[0], key_of(device_tokens(row[0]))) for row in table)
    return UnknownMachineError(
        what="unknown device",
        got=text,
        allowed="a device of the catalog, as 'rtx 4090', 'm4 max 64gb', '64gb' for RAM alone",
        next_step=hint_for(text[:_LONGEST_NAME]) or near or _did_you_mean(key_of(typed), forms),
    )


def _sharing_a_number(typed: Sequence[str], table: Sequence[Sequence[Any]]) -> list[str]:
    """Return the devices whose name shares a model number with what was typed, nearest first.

    Such a number is long (`4090`), or follows the same letters (`h100`, `m4`).
    """
    found = []
    for name, _, forms in table:
        ranks = [_nearness(typed, form) for form in forms]
        best = max((rank for rank in ranks if rank is not None), default=None)
        if best is not None:
            found.append((best, name))
    return [name for _, name in sorted(found, key=lambda row: (-row[0][0], -row[0][1], row[1]))]


def _nearness(typed: Sequence[str], form: Sequence[str]) -> tuple[int, int] | None:
    """Return how many tokens are shared, and less the fewer others; None without a number."""
    pairs = set(pairwise(typed)) & set(pairwise(form))
    numbers = {token for token in form if token.isdecimal() and token in typed}
    if not any(len(number) >= _DIGITS_OF_A_MODEL for number in numbers) and not any(
        second in numbers and first.isalpha() for first, second in pairs
    ):
        return None
    shared = sum(token in typed for token in form)
    return shared, shared - len(form)


def _did_you_mean(typed: str, names: Iterable[tuple[str, str]]) -> str:
    """Return up to five names whose form is near to what was typed, as a question; or ''."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a missed name needs it

    forms: dict[str, str] = {}
    for name, form in names:
        forms.setdefault(form, name)
    near = get_close_matches(typed, list(forms), n=_MOST_SUGGESTIONS, cutoff=0.6)
    return _question([forms[form] for form in near])


def _question(names: Sequence[str]) -> str:
    return f"did you mean {', '.join(names)}?" if names else ""
