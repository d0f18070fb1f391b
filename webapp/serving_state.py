"""What the inputs ask of a server of many users: the arguments of one call of the library."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whatfits.sizing.serving.profile import Lengths, Limits, LoadProfile
from whatfits.sizing.values import dataclass
from whatfits.webapp.input_list import input_of
from whatfits.webapp.serving_inputs import SERVING_INPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.webapp.state import Question

__all__ = ["ServingQuestion", "serving_question_of"]


@dataclass(frozen=True, slots=True)
class ServingQuestion:
    """What the inputs ask: the arguments of `serve`.

    Attributes:
        base: model, machine, runtime; the context is that of one user.
        users: at the same time.
        load: what they do.
        limits: what they put up with.
    """

    base: Question
    users: int
    load: LoadProfile
    limits: Limits


def serving_question_of(base: Question, state: Mapping[str, Any]) -> ServingQuestion:
    """Return what a session's values ask; keys that are missing have their defaults."""
    values = {item.key: state.get(item.key, item.default) for item in SERVING_INPUTS}
    users, prompt = (_or_default(state, key) for key in ("clients", "prompt"))
    usual = Limits()
    return ServingQuestion(
        base=replace(
            base,
            runtime=values["server"] or input_of("server").default,
            # the engine makes as many sequences as there are users
            workload=replace(base.workload, parallel=None, prompt_tokens=None),
        ),
        users=users,
        load=LoadProfile(
            prompt=Lengths(prompt),
            output=Lengths(_or_default(state, "output")),
            shared_prefix_tokens=values["prefix"] or 0,
            requests_per_hour=values["rate"],
            think_s=float(values["think"] or 0),
        ),
        limits=Limits(
            ttft_p95_s=float(_or_default(state, "ttft")),
            tokens_per_s=values["minspeed"] or usual.tokens_per_s,
        ),
    )


def _or_default(state: Mapping[str, Any], key: str) -> int:
    """Return a number that has to be there: the default where it was cleared."""
    default: int = input_of(key).default
    return state.get(key) or default
