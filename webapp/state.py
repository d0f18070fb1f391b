"""What the inputs together ask for: the arguments of one call of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.units import parse_tokens
from whatfits.sizing.values import dataclass
from whatfits.sizing.workload import PlacementRequest, Workload
from whatfits.webapp.choices import is_card
from whatfits.webapp.input_list import AUTO, CONTEXTS, HERE, INPUTS, NONE, SHARES, input_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Question",
    "machine_of_inputs",
    "other_machine_of",
    "question_of",
    "remedy_state",
]

_KEY_OF: Final = {
    "model": "model",
    "machine": "machine",
    "file_type": "quant",
    "context_tokens": "context",
    "kv_type_k": "kv",
    "parallel": "users",
    "model_draft": "draft",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What the inputs ask: the arguments of one call of the library.

    Attributes:
        model: name of the model.
        machine: `HERE`, or a machine expression.
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
        InvalidRequestError: some cards have a share and others none.
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
            tensor_split=_split_of([values[key] for key in SHARES]),
        ),
        reserve_mib=values["reserve"],
        idle=bool(values["idle"]),
    )


def machine_of_inputs(state: Mapping[str, Any]) -> str:
    """Return the machine as one expression."""
    return _machine_of({item.key: state.get(item.key, item.default) for item in INPUTS})


def other_machine_of(state: Mapping[str, Any]) -> str:
    """Return the second machine as one expression; a card gets the RAM of the first."""
    values = {item.key: state.get(item.key, item.default) for item in INPUTS}
    return _machine_of({**values, "machine": values["other"], "cards": 1})


def _machine_of(values: Mapping[str, Any]) -> str:
    """Return the machine as one expression: a card of the list gets its number and RAM."""
    name: str = (values["machine"] or HERE).strip()
    if not is_card(name):
        return name
    count = values["cards"] or 1
    return f"{f'{count}x ' if count > 1 else ''}{name} + {values['ram']}"


def _unless_default(key: str, values: Mapping[str, Any]) -> int | None:
    """Return a number that somebody chose; None leaves it to the runtime, whose default it is."""
    value: int | None = values[key]
    return None if value == input_of(key).default else value


def _split_of(shares: Sequence[int | None]) -> tuple[float, ...] | None:
    """Return the shares of the cards in their order; None where nobody chose any."""
    given = [share for share in shares if share is not None]
    if not given:
        return None
    if shares[: len(given)] != given:
        raise InvalidRequestError(
            what="shares of the cards",
            got="a card without one before a card with one",
            allowed="a number for every card (0 leaves one out), or none at all",
        )
    if not any(given):
        raise InvalidRequestError(
            what="shares of the cards", got="0 for every card", allowed="one above 0 at least"
        )
    return tuple(float(share) for share in given)


def remedy_state(change: Mapping[str, Any]) -> dict[str, Any]:
    """Return which inputs a remedy sets; empty when they cannot carry all of it."""
    state: dict[str, Any] = {}
    parts = (change, change.get("workload", {}), change.get("placement", {}))
    for name, value in (item for part in parts for item in part.items()):
        # the first two are taken apart; one input is both types
        if name in ("workload", "placement", "kv_type_v"):
            continue
        if name == "tensor_split" and len(value) <= len(SHARES):
            state |= {key: int(share) for key, share in zip(SHARES, value, strict=False)}
            continue
        key = _KEY_OF.get(name)
        if key is None:
            return {}
        state[key] = _shown(key, value)
        allowed = input_of(key).allowed
        if allowed and state[key] not in allowed:
            return {}
    return state


def _shown(key: str, value: object) -> object:
    """Return a value of a request as its input has it."""
    if key == "draft":
        return NONE if value is None else value
    if key != "context":
        return value
    return next((text for text in CONTEXTS if parse_tokens(text) == value), value)
