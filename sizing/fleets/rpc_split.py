"""llama.cpp over nodes: servers on the others offer their devices to the program on one.

The program places layers on all devices as on its own; activations go through it from one server
to the next. Each token moves its row in 32 bits at every change of node, twice from one server to
another, and each server gets the mask of what the token sees; the logits come back where the
output lies on a server. Calls follow each other: one there and one back for each server.
Source: ggml-org/llama.cpp tools/rpc/README.md, ggml/src/ggml-rpc (copies between servers go through
the client), pull 9296. What the protocol adds is in no figure here.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from itertools import pairwise

from whatfits.sizing.errors import BadInputError
from whatfits.sizing.fleets.inventory import free_bytes, node_of
from whatfits.sizing.fleets.joined import rpc_machine
from whatfits.sizing.fleets.network import Traffic, in_turns, with_crossings
from whatfits.sizing.fleets.plans import NOT_ALONE, FleetPlan, shares_of
from whatfits.sizing.llama_answer import resolved_workload
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.speed import DEFAULT_PROMPT_TOKENS, estimate_speed
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from whatfits.sizing.estimate import Speed, Verdict
    from whatfits.sizing.fleets.inventory import Node
    from whatfits.sizing.fleets.network import Network
    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import Workload

__all__ = ["RpcSplit", "split_rpc"]

_F32: Final = 4
_NOT_COUNTED: Final = (
    "The servers' own processes, and what llama.cpp's protocol sends besides activations, are not "
    "counted."
)
_TEXT_ALONE: Final = "What the model comes with beside its text part is not loaded."
_INSECURE: Final = (
    "rpc-server has no password and no encryption: let nobody else reach its port (its own "
    "documentation says so)."
)


class RpcSplit(NamedTuple):
    """A model cut over nodes under llama.cpp.

    Attributes:
        plan: the answer, as yet without commands.
        machine: the nodes as the program on the first sees them.
        trial: where everything goes.
    """

    plan: FleetPlan
    machine: Machine
    trial: Trial


def split_rpc(
    spec: ModelSpec,
    nodes: Sequence[Node],
    workload: Workload,
    network: Network | None,
    *,
    spills: bool = False,
) -> RpcSplit | None:
    """Return a model cut over all of these nodes; None where llama.cpp has no such setting.

    The program runs where most memory is free. `spills` lets layers stay with its processor where
    the devices do not hold them all; without an accelerator of its own they always may.
    """
    main = max(nodes, key=lambda n: (bool(usable_accelerators(n.machine)), free_bytes(n.machine)))
    workers = [node for node in nodes if node is not main]
    machine, real = rpc_machine(main, workers)
    try:
        # every node takes part: which are asked at all is chosen by the caller
        trials = Trials(spec, machine, workload, PlacementRequest(), may_leave_out=False)
        spills = spills or not usable_accelerators(main.machine)
        trial = trials.best() if spills else trials.entirely()
    except BadInputError:
        return None
    verdict, reason = _unreachable(workers) or _judged(trial, real)
    traffic = _traffic(spec, trial, main.node, workload.prompt_tokens)
    order = (*workers, main)
    plan = FleetPlan(
        strategy="pipeline",
        runtime="llama.cpp",
        nodes=tuple(node.node for node in order),
        file_type=spec.file_type,
        verdict=verdict,
        verdict_reason=reason,
        reasons=(
            f"{len(nodes)} nodes have layers each: {NOT_ALONE}",
            f"the program runs on {main.node}, where most memory is free; it has the last layers",
        ),
        workload=resolved_workload(workload, trial),
        ranks=1,
        stages=len(set(trial.placement.layer_device)),
        memory=trial.memory,
        shares=shares_of(trial.memory, order, [_layers(trial, node.node) for node in order]),
        largest_context_tokens=trials.largest_context(trial) if verdict == "fits" else None,
        speed=_speed(spec, trial, real, workload, (traffic, network)),
        traffic=traffic,
        notes=(_NOT_COUNTED, _INSECURE, *((_TEXT_ALONE,) if spec.companions else ())),
    )
    return RpcSplit(plan, machine, trial)


def _unreachable(workers: Sequence[Node]) -> tuple[Verdict, str] | None:
    """Return what is in the way where a server can only be called by an address of IPv6.

    Source: ggml/src/ggml-rpc/transport.cpp: sockets of IPv4 alone.
    """
    for node in workers:
        if isinstance(node.ip, IPv6Address):
            return "no", (
                f"llama.cpp's RPC speaks IPv4 alone, and {node.node} is at {node.ip}: give it an "
                "address of IPv4, or a name that has one"
            )
    return None


def _judged(trial: Trial, real: Mapping[str, Device]) -> tuple[Verdict, str]:
    """Return the verdict; slow where a server computes on its processor and others do not."""
    found = trial.judgement
    used = [real[device.id] for device in trial.placement.accelerators]
    kinds = {device.kind == "cpu" for device in used}
    if found.verdict == "fits" and kinds == {True, False}:
        slow = next(device for device in used if device.kind == "cpu")
        return "slow", f"some layers are on the processor of {node_of(slow.id)}; {found.reason}"
    return found.verdict, found.reason


def _speed(
    spec: ModelSpec,
    trial: Trial,
    real: Mapping[str, Device],
    workload: Workload,
    way: tuple[Traffic, Network | None],
) -> Speed | None:
    """Return how fast the devices are that the servers offer, one after the other."""
    settings, prompt = trial.settings, workload.prompt_tokens
    devices = tuple(real[device.id] for device in trial.placement.accelerators)
    placed = replace(trial.placement, accelerators=devices)
    alone = in_turns(
        estimate_speed(spec, settings, placed, prompt_tokens=prompt),
        prompt_tokens=prompt,
        batch_tokens=settings.micro_batch_tokens,
    )
    return with_crossings(alone, *way, prompt_tokens=prompt, sequences=settings.sequences)


def _layers(trial: Trial, node: str) -> int:
    return sum(_home(trial, device) == node for device in trial.placement.layer_device)


def _home(trial: Trial, device: int | None) -> str:
    placement = trial.placement
    return node_of((placement.host if device is None else placement.accelerators[device]).id)


def _traffic(spec: ModelSpec, trial: Trial, main: str, prompt_tokens: int | None) -> Traffic:
    """Return what crosses the network for one token at the depth of the prompt."""
    placement = trial.placement
    path = [main, *(_home(trial, device) for device in placement.layer_device)]
    path.append(_home(trial, placement.output_device))
    crossings = 0
    for before, after in pairwise(path):
        if before != after:
            crossings += 1 if main in (before, after) else 2
    servers = {home for home in path if home != main}
    depth = min(prompt_tokens or DEFAULT_PROMPT_TOKENS, trial.settings.sequence_tokens)
    return Traffic(
        token_bytes=_F32 * (crossings * spec.hparams.n_embd + len(servers) * depth),
        step_bytes=_F32 * spec.hparams.n_vocab if path[-1] != main else 0,
        messages=2 * len(servers),
    )
