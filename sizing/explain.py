"""Answers in words, one plain sentence or figure a fact, for command line and page alike."""

from __future__ import annotations

from whatfits.sizing.document import Document, Facts, Lines, Table, Verbatim
from whatfits.sizing.runtimes import find_runtime
from whatfits.sizing.speed.slowdown import slower_words
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_count, format_tokens, size_text

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.document import Block, Tone
    from whatfits.sizing.estimate import Memory, Plan, RateRange, Remedy, Speed, Verdict
    from whatfits.sizing.machine import Machine, Pool

__all__ = [
    "READING_TOKENS_PER_S",
    "TONES",
    "context_cell",
    "free_text",
    "longest_words",
    "machine_sentence",
    "plan_document",
    "rate_cell",
    "rate_text",
    "remedy_text",
    "short_rate",
    "spilled_sentence",
    "verdict_sentence",
]

# 238 words a minute (Brysbaert 2019, silent reading of English) at 4 tokens to 3 words.
READING_TOKENS_PER_S: Final = 238 * 4 / 3 / 60
_WORDS: Final = {
    "fits": "Fits",
    "tight": "Tight",
    "slow": "Fits, but slow",
    "no": "Does not fit",
    "unknown": "Cannot be told",
}
TONES: Final[dict[str, Tone]] = {
    "fits": "good",
    "tight": "warn",
    "slow": "warn",
    "no": "bad",
    "unknown": "warn",
}


def verdict_sentence(plan: Plan) -> str:
    """Return the verdict in words, with the numbers it rests on."""
    memory = plan.memory
    need = f"{format_bytes(memory.total_bytes)}{_range_text(memory)}"
    context = format_tokens(plan.workload.context_tokens or 0)
    what = f"{plan.model.name} {plan.model.file_type or ''}".strip()
    return (
        f"{_WORDS[plan.verdict]}: {what} with {context} tokens of context takes {need}; "
        f"{_reason(plan)}."
    )


def spilled_sentence(plan: Plan) -> str:
    """Return what lies in a slower memory and how much slower it writes for that."""
    spilled = plan.verdict_reason.partition(";")[0]
    slower = slower_words(None if plan.speed is None else plan.speed.times_slower)
    return f"{spilled}, {slower}" if slower else spilled


def _reason(plan: Plan) -> str:
    if plan.verdict != "slow":
        return plan.verdict_reason
    _, sign, rest = plan.verdict_reason.partition(";")
    return f"{spilled_sentence(plan)}{sign}{rest}"


def _range_text(memory: Memory) -> str:
    if memory.low_bytes == memory.high_bytes:
        return ""
    low, high = format_bytes(memory.low_bytes), format_bytes(memory.high_bytes)
    return "" if low == high else f" ({low} to {high})"


def machine_sentence(machine: Machine) -> str:
    """Return the machine's accelerators and memory in one line."""
    parts = []
    for device in machine.accelerators:
        pool = machine.pool(device.pool)
        size = "size unknown" if pool.total_bytes is None else format_bytes(pool.total_bytes)
        parts.append(f"{device.name} ({size}{'' if pool.kind == 'vram' else ', shared'})")
    for pool in machine.pools:
        if pool.kind == "ram":
            total = pool.total_bytes
            known = "RAM of unknown size" if total is None else f"{format_bytes(total)} RAM"
            parts.append(known)
    return " + ".join(parts) or "nothing is known of this machine"


def short_rate(rate: RateRange | None) -> str:
    """Return a rate as a short range for a table: `31-42`."""
    if rate is None:
        return "?"
    low, high = _number(rate.low), _number(rate.high)
    return low if low == high else f"{low}-{high}"


def context_cell(verdict: Verdict, largest_tokens: int | None) -> str:
    """Return the longest context that surely runs, for a table."""
    if largest_tokens is None:
        return "none surely" if verdict == "tight" else "none"
    return format_tokens(largest_tokens)


def rate_cell(verdict: Verdict, rate: RateRange | None, *, writes: bool = True) -> str:
    """Return a rate of writing for a table; a dash for what does not run, or writes nothing."""
    return "-" if verdict == "no" or not writes else short_rate(rate)


def rate_text(rate: RateRange | None, unit: str) -> str:
    """Return a rate or a time as a range: `31 to 42 tokens/s`."""
    if rate is None:
        return "unknown"
    low, high = _number(rate.low), _number(rate.high)
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


def plan_document(plan: Plan) -> Document:
    """Return a plan as a document: verdict, model, memory, context, speed, command, remedies."""
    blocks: list[Block] = [
        Lines((verdict_sentence(plan),), tone=TONES[plan.verdict]),
        Facts(_model_facts(plan)),
        _memory_table(plan),
        Facts(_further_facts(plan)),
    ]
    for runtime, lines in plan.commands.items():
        blocks.append(Verbatim(lines, title=f"Start it ({runtime})"))
    if plan.remedies:
        blocks.append(
            Lines(
                tuple(f"- {remedy_text(remedy)}" for remedy in plan.remedies),
                title="What would help",
            )
        )
    if plan.notes:
        blocks.append(Lines(plan.notes, title="Notes", tone="dim"))
    return Document(tuple(blocks))


def remedy_text(remedy: Remedy) -> str:
    """Return a change, what comes of it, and what it costs."""
    needs = f" in {format_bytes(remedy.needs_bytes)}" if remedy.needs_bytes else ""
    return f"{remedy.text} -> {_WORDS[remedy.verdict].lower()}{needs} ({remedy.cost})"


def _model_facts(plan: Plan) -> tuple[tuple[str, str], ...]:
    model = plan.model
    size = "unknown" if model.parameters is None else format_count(model.parameters)
    if model.active_parameters and model.active_parameters != model.parameters:
        size += f" parameters, {format_count(model.active_parameters)} active"
    else:
        size += " parameters"
    rows = [
        ("Model", f"{model.name}, {size}, {model.architecture}, from {model.source}"),
        ("Machine", f"{plan.machine.name}: {machine_sentence(plan.machine)}"),
        ("Request", _request_text(plan)),
    ]
    placed = _placement_text(plan)
    if placed:
        rows.append(("Placement", placed))
    return tuple(rows)


def _request_text(plan: Plan) -> str:
    workload = plan.workload
    plural = "s" if workload.parallel != 1 else ""
    return (
        f"{plan.runtime} {workload.program}, {format_tokens(workload.context_tokens or 0)} tokens, "
        f"{workload.parallel} sequence{plural}, cache {workload.kv_type_k}/{workload.kv_type_v}"
    )


def _placement_text(plan: Plan) -> str:
    placement = plan.placement
    if not plan.machine.accelerators:
        return ""
    if not placement.devices:
        return "all on the host"
    where = ", ".join(placement.devices)
    if placement.gpu_layers is None:
        return f"all on {where}"
    text = f"{placement.gpu_layers} layers on {where} (output layer counted)"
    if placement.cpu_moe_layers:
        text += f", experts of the first {_counted(placement.cpu_moe_layers, 'layer')} on the host"
    if placement.overrides:
        text += f", {_counted(len(placement.overrides), 'rule')} for tensors by name"
    return text


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


_PARTS: Final = (
    ("weights", "weights_bytes"),
    ("cache", "kv_cache_bytes"),
    ("compute", "compute_bytes"),
    ("output", "output_bytes"),
    ("overhead", "overhead_bytes"),
    ("total", "total_bytes"),
    ("at most", "high_bytes"),
)


def _memory_table(plan: Plan) -> Table:
    """Return the bill with one row a part and one column a device."""
    memory = plan.memory
    columns = ("part", *(f"{row.device} in {row.pool}" for row in memory.devices))
    rows = tuple(
        (label, *(size_text(getattr(row, name)) for row in memory.devices))
        for label, name in _PARTS
    )
    devices = {device.id: device for device in plan.machine.devices}
    pools = [plan.machine.pool(row.pool).of(devices[row.device]) for row in memory.devices]
    free = ("free", *(free_text(pool) for pool in pools))
    return Table(columns, (*rows, free), title="Memory", right=columns[1:])


def free_text(pool: Pool) -> str:
    """Return what is free, from the lower end where total or limit is not known for sure."""
    low, high = size_text(pool.free_low_bytes), size_text(pool.free_bytes)
    return high if low == high else f"{low} to {high}"


def longest_words(plan: Plan) -> str | None:
    """Return the longest context, and which memory it counts; None where there is none.

    What fits in the fastest memory is not asked how long a context it takes with slower memory
    besides. Whoever adds a card until a model fits would else see the longest context shrink.
    """
    largest, trained = plan.largest_context_tokens, plan.model.context_train_tokens
    if largest is None:
        return None
    where = ""
    pools = {device.pool for device in plan.memory.devices}
    if find_runtime(plan.runtime).starts_llama_cpp and len(pools) > 1:
        if plan.verdict == "slow":
            where = " with slower memory used too"
        elif plan.verdict == "fits" and largest < (trained or largest):
            where = " without slower memory"
    limit = f" (trained for {format_tokens(trained)})" if trained else ""
    return f"{format_tokens(largest)} tokens{where}{limit}"


def _further_facts(plan: Plan) -> tuple[tuple[str, str], ...]:
    rows = []
    largest = longest_words(plan)
    if largest is not None:
        rows.append(("Largest context", largest))
    elif plan.verdict == "unknown":
        rows.append(("Largest context", "unknown"))
    else:
        surely = "surely " if plan.verdict == "tight" else ""
        rows.append(("Largest context", f"none {surely}fits"))
    rows += _speed_facts(plan.speed, runs=plan.verdict != "no")
    if plan.load_from_disk_s is not None:
        seconds = _number(plan.load_from_disk_s)
        rows.append(("Loads in", f"{seconds} s or more, when nothing of the file is cached"))
    if plan.memory.mapped_bytes:
        rows.append(
            (
                "Mapped file",
                f"{format_bytes(plan.memory.mapped_bytes)} of pages the OS can take back",
            )
        )
    for part in plan.memory.parts:
        most = format_bytes(part.high_bytes)
        text = f"{part.name}: {format_bytes(part.total_bytes)}, at most {most}, counted above"
        rows.append((f"Of it {part.kind}", text))
    if plan.memory.growth_limit_bytes:
        size = format_bytes(plan.memory.growth_limit_bytes)
        what = "prompt cache, checkpoints" if plan.workload.ctx_checkpoints else "prompt cache"
        shown = " ".join(command for own in plan.commands.values() for command in own)
        caps = "--cache-ram" in shown
        capped = "; the command caps it at what is left" if caps else ""
        rows.append(("May grow by", f"{size} ({what}{capped})"))
    return tuple(rows)


def _speed_facts(speed: Speed | None, *, runs: bool) -> list[tuple[str, str]]:
    if speed is None or (speed.decode_tokens_per_s or speed.prefill_tokens_per_s) is None:
        reason = speed.reason if speed is not None and speed.reason else "not estimated"
        return [("Speed", f"unknown: {reason}")]
    rows = []
    if speed.decode_tokens_per_s is not None:
        writes = rate_text(speed.decode_tokens_per_s, "tokens/s")
        rows.append(("Writes" if runs else "Would write", f"{writes} ({speed.provenance})"))
    if speed.full_decode_tokens_per_s is not None and speed.full_depth_tokens is not None:
        full = rate_text(speed.full_decode_tokens_per_s, "tokens/s")
        depth = format_tokens(speed.full_depth_tokens)
        rows.append(("Context full", f"{full}, with {depth} tokens in it"))
    if speed.speculative_tokens_per_s is not None:
        drafts = rate_text(speed.speculative_tokens_per_s, "tokens/s")
        rows.append(("With drafts", f"{drafts} (50 to 85 % of them accepted)"))
    if speed.throughput_tokens_per_s is not None:
        rows.append(("Together", rate_text(speed.throughput_tokens_per_s, "tokens/s")))
    if speed.prefill_tokens_per_s is not None:
        reads = rate_text(speed.prefill_tokens_per_s, "tokens/s")
        known = speed.prefill_provenance or speed.provenance
        rows.append(("Reads" if runs else "Would read", f"{reads} ({known})"))
    if speed.reason:
        rows.append(("Speed note", speed.reason))
    return rows
