"""The steps of Learn: a few sentences each, and what they come to on the visitor's machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import streamlit as st

from whatfits.sizing.catalog.quality import loss_text
from whatfits.sizing.explain import free_text, rate_text
from whatfits.sizing.glossary.terms import find_term
from whatfits.sizing.headline import headline, speed_sentences
from whatfits.sizing.mac_limit import mac_limit
from whatfits.sizing.planning import BestPlan
from whatfits.sizing.pool_bills import pool_bills
from whatfits.sizing.quants.labels import explain_label
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, find_runtime
from whatfits.sizing.starting import LEVELS, pick
from whatfits.sizing.units import GB, format_bytes
from whatfits.sizing.values import dataclass
from whatfits.sizing.workload import PlacementRequest, Workload
from whatfits.webapp.engine import answered
from whatfits.webapp.inputs import dropped
from whatfits.webapp.memory_chart import memory_alt
from whatfits.webapp.state import Question
from whatfits.webapp.theme import show_memory
from whatfits.webapp.words import inert, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine

__all__ = ["STEPS", "Step"]

_LABEL: Final = "Q4_K_M"
_LADDER: Final = ("F16", "Q8_0", "Q4_K_M", "Q2_K")
# what is said of a Mac with 24 GB, to be held against the arithmetic
_SMALL_MAC: Final = "m4-pro 24gb"
_SMALL_MAC_CLAIMS: Final = (
    ("llama-3.1-8b", "llama.cpp", "BF16"),
    ("llama-3.1-8b", "mlx", "bf16"),
    ("qwen3-30b-a3b", "llama.cpp", "Q4_K_M"),
    ("qwen3-30b-a3b", "mlx", "4bit"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        title: what it is about.
        show: puts its words and its figure on the page.
    """

    title: str
    show: Callable[[Question, Machine], None]


def _term(name: str, machine: Machine) -> None:
    term = find_term(name)
    st.markdown(inert(term.meaning))
    if term.here is not None:
        for sentence in term.here(machine):
            st.markdown(inert(sentence))


def _layers(_question: Question, machine: Machine) -> None:
    st.markdown(inert(find_term("runtime and app").meaning))
    picks = [pick(machine, level) for level in LEVELS]
    st.markdown(
        "\n".join(
            f"- **{inert(one.level)}**: begin with {inert(one.runtime_label)}. "
            f"Runtime: {inert(one.engine)}. App: {inert(one.app)}."
            for one in picks
        )
    )


def _memory(question: Question, machine: Machine) -> None:
    _term("4-bit rule", machine)
    plan = answered(replace(question, runtime=DEFAULT_RUNTIME), dropped())
    bills = pool_bills(plan)
    show_memory(bills)
    st.markdown(inert(memory_alt(bills)))


def _what_fits(question: Question, _machine: Machine) -> None:
    plan = answered(replace(question, runtime=DEFAULT_RUNTIME), dropped())
    model = f"{plan.model.name} {plan.model.file_type or ''}".strip()
    st.markdown(f"**{inert(model)}**: {inert(headline(plan))}")
    st.page_link("screens/runs.py", label="Every model that runs on this machine")


def _quantisation(question: Question, machine: Machine) -> None:
    st.markdown(inert(find_term("quantisation").meaning))
    parts = explain_label(_LABEL)
    st.markdown(
        f"A label, read: **{inert(_LABEL)}** is {parts.bits} bits, {inert(parts.method)}, "
        f"{inert(parts.variant)}."
    )
    rows = []
    for name in _LADDER:
        plan = answered(replace(question, file_type=name, runtime=DEFAULT_RUNTIME), dropped())
        rows.append(
            (
                name,
                format_bytes(plan.memory.weights_bytes),
                plan.verdict,
                loss_text(name),
            )
        )
    columns = ("quant", "weights", f"on {machine.name}", "perplexity above 16 bits")
    st.markdown(table(columns, rows, right=("weights", "perplexity above 16 bits")))


def _runtimes(question: Question, _machine: Machine) -> None:
    st.markdown(
        "GGUF is llama.cpp's file format, which Ollama, LM Studio and Jan read too. vLLM keeps the "
        "cache in pages and batches continuously, so that one model serves many; MLX is Apple's."
    )
    plan = answered(replace(question, runtime=DEFAULT_RUNTIME), dropped())
    if not isinstance(plan, BestPlan):
        return
    rows = [
        (
            find_runtime(one.runtime).label,
            one.verdict or "does not run it here",
            "" if one.high_bytes is None else format_bytes(one.high_bytes),
        )
        for one in plan.runtimes
    ]
    st.markdown(table(["runtime", "verdict", "at most"], rows, right=["at most"]))


def _mac(_question: Question, machine: Machine) -> None:
    st.markdown(inert(find_term("unified memory").meaning))
    limit = mac_limit(machine)
    if limit is not None:
        st.markdown(inert(limit.sentence))
        if limit.command is not None:
            st.code(limit.command, language="bash", wrap_lines=True)
    st.markdown(
        "It is often said that a Mac with 24 GB holds an 8B model at 16 bits, or a mixture of "
        "experts of 30B at 4 bits, in under 18 GB. Worked out with 8,192 tokens of context:"
    )
    rows = [_claim(*claim) for claim in _SMALL_MAC_CLAIMS]
    columns = ["model", "runtime", "quant", "verdict", "takes, at most", "the GPU may take"]
    st.markdown(table([*columns, "makes it fit"], rows, right=columns[4:]))


def _claim(model: str, runtime: str, file_type: str) -> tuple[str, ...]:
    plan = answered(
        Question(
            model=model,
            machine=_SMALL_MAC,
            file_type=file_type,
            runtime=runtime,
            workload=Workload(context_tokens=8192),
            placement=PlacementRequest(),
            reserve_mib=None,
            idle=False,
        )
    )
    pool = plan.machine.pool(plan.memory.devices[0].pool)
    most = plan.memory.high_bytes
    return (
        model,
        find_runtime(runtime).label,
        file_type,
        plan.verdict,
        f"{format_bytes(most)} = {most / GB:.1f} GB",
        free_text(pool),
        plan.remedies[0].text if plan.remedies else "",
    )


def _local_or_cloud(question: Question, _machine: Machine) -> None:
    rows = [
        ("privacy", "nothing leaves the machine", "every prompt does"),
        ("offline", "works", "does not"),
        ("cost", "hardware first, then power", "nothing at first, then every request"),
        ("capability", "what fits", "the largest models there are"),
    ]
    st.markdown(table(["", "on your machine", "in the cloud"], rows))
    st.markdown(
        "The two go together: easy questions to the small model here, hard ones to a strong one."
    )
    plan = answered(replace(question, runtime=DEFAULT_RUNTIME), dropped())
    st.markdown(inert(_local_speed(plan)))


def _local_speed(plan: Plan) -> str:
    if plan.speed is None or plan.speed.decode_tokens_per_s is None:
        return speed_sentences(plan)[0]
    rate = rate_text(plan.speed.decode_tokens_per_s, "tokens/s")
    return f"{plan.model.name} writes {rate} here ({plan.speed.provenance})."


STEPS: Final = (
    Step("1. A runtime and an app", _layers),
    Step("2. Memory, and the 4-bit rule", _memory),
    Step("3. What fits", _what_fits),
    Step("4. Quantisation and its labels", _quantisation),
    Step("5. Runtimes and serving", _runtimes),
    Step("6. On a Mac", _mac),
    Step("7. Local or cloud", _local_or_cloud),
)
