"""vLLM over nodes: tensor parallel within a node, layers in stages across nodes.

Ranks within a node share each layer where their number divides the model; what is left of it, and
the nodes, are stages. Every node gives equally many devices. Layers are shared out equally as vLLM
does it, or by what is free where that holds more cache.
Source: vllm-project/vllm 0.33.0 docs/serving/parallelism_scaling.md; for what crosses a stage's
end, two tensors of one row a token in 16 bits, vllm/model_executor/models (IntermediateTensors).
"""

from __future__ import annotations

from whatfits.sizing.errors import BadInputError
from whatfits.sizing.fleets.joined import joined_machine
from whatfits.sizing.fleets.network import Traffic, with_crossings
from whatfits.sizing.fleets.plans import NOT_ALONE, FleetPlan, shares_of
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.quants.layouts.parts import HALF
from whatfits.sizing.runtimes.vllm_parallel import Cut, why_not_ranks
from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
from whatfits.sizing.runtimes.vllm_speed import vllm_speed
from whatfits.sizing.runtimes.vllm_verdict import judged
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.verdict import VERDICT_ORDER
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.fleets.inventory import Node
    from whatfits.sizing.fleets.network import Network
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_bill import DeviceBill
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings
    from whatfits.sizing.runtimes.vllm_verdict import Judged
    from whatfits.sizing.workload import Workload

__all__ = ["VllmSplit", "split_vllm"]

_TENSORS: Final = 2  # hidden states and residual


class VllmSplit(NamedTuple):
    """A model cut over nodes under vLLM.

    Attributes:
        plan: the answer, as yet without commands.
        machine: the nodes as one.
        settings: what vLLM is started with.
        found: the verdict and its bill.
    """

    plan: FleetPlan
    machine: Machine
    settings: VllmSettings
    found: Judged

    @property
    def devices_each(self) -> int:
        """How many devices each node gives."""
        return len(self.settings.devices) // len(self.plan.nodes)


def split_vllm(
    spec: ModelSpec, nodes: Sequence[Node], workload: Workload, network: Network | None
) -> VllmSplit | None:
    """Return a model cut over all of these nodes; None where vLLM does not run on them together."""
    each = min(len(usable_accelerators(node.machine)) for node in nodes)
    if not each:
        return None
    machine = joined_machine(nodes, devices_each=each)
    try:
        settings = resolve_vllm(spec, machine, workload, PlacementRequest(split_mode="layer"))
    except BadInputError:  # another back end, too old a device, more stages than layers
        return None
    if len(settings.devices) != each * len(nodes):  # one kind of several there are
        return None
    cut = _cut(spec, each=each, nodes=len(nodes))
    found = _cut_well(spec, machine, replace(settings, cut=cut))
    settings = found.settings
    traffic = _traffic(spec, len(nodes))
    plan = FleetPlan(
        strategy="pipeline",
        runtime="vllm",
        nodes=tuple(node.node for node in nodes),
        file_type=spec.file_type,
        verdict=found.verdict,
        verdict_reason=found.reason,
        reasons=tuple(_reasons(settings.cut, each=each, nodes=len(nodes))),
        workload=settings.filled(workload),
        ranks=settings.cut.ranks,
        stages=settings.cut.stages,
        memory=found.memory,
        shares=shares_of(found.memory, nodes, _layers(settings.cut, spec, len(nodes))),
        largest_context_tokens=found.largest_context_tokens,
        speed=_speed(spec, machine, settings, workload, (traffic, network)),
        traffic=traffic,
    )
    return VllmSplit(plan, machine, settings, found)


def _traffic(spec: ModelSpec, n_nodes: int) -> Traffic:
    """Return what goes from node to node, and the token that comes back to the first."""
    row_bytes = _TENSORS * spec.hparams.n_embd * HALF
    return Traffic(token_bytes=(n_nodes - 1) * row_bytes, step_bytes=0, messages=n_nodes)


def _speed(
    spec: ModelSpec,
    machine: Machine,
    settings: VllmSettings,
    workload: Workload,
    way: tuple[Traffic, Network | None],
) -> Speed | None:
    alone = vllm_speed(
        spec,
        machine,
        settings,
        prompt_tokens=workload.prompt_tokens,
        parallel=workload.parallel,
    )
    return with_crossings(
        alone, *way, prompt_tokens=workload.prompt_tokens, sequences=workload.parallel or 1
    )


def _layers(cut: Cut, spec: ModelSpec, n_nodes: int) -> list[int]:
    """Return how many layers each node has: those of all its stages."""
    counts = [len(held) for held in cut.layers(spec.n_layers)]
    each = cut.stages // n_nodes
    return [sum(counts[node * each : (node + 1) * each]) for node in range(n_nodes)]


def _cut(spec: ModelSpec, *, each: int, nodes: int) -> Cut:
    """Return the most ranks a node that divide the model; the rest of its devices are stages."""
    ranks = next(
        count
        for count in range(each, 0, -1)
        if each % count == 0 and (count == 1 or why_not_ranks(spec, count) is None)
    )
    return Cut(ranks, nodes * each // ranks)


def _cut_well(spec: ModelSpec, machine: Machine, settings: VllmSettings) -> Judged:
    """Return the verdict on layers shared out equally, or by free memory where that is better."""
    equal = judged(spec, machine, settings)
    counts = _counts_by_memory(equal.bill.devices, settings.cut, spec.n_layers)
    if counts is None or counts == tuple(map(len, settings.cut.layers(spec.n_layers))):
        return equal
    uneven = replace(settings, cut=replace(settings.cut, layer_counts=counts))
    other = judged(spec, machine, uneven)
    return other if _goodness(other) > _goodness(equal) else equal


def _goodness(found: Judged) -> tuple[int, int]:
    return -VERDICT_ORDER[found.verdict], found.bill.n_blocks[0]


def _counts_by_memory(
    devices: Sequence[DeviceBill], cut: Cut, n_layers: int
) -> tuple[int, ...] | None:
    """Return layers of each stage in proportion to what its fullest device has left for layers.

    What is not a layer, embedding and output among it, is what the equal shares show beside an
    equal part of all weights. None where some stage has no room for a single layer.
    """
    rooms = []
    least = min(one.weights.mid_bytes for one in devices)
    for stage in range(cut.stages):
        ranks = devices[stage * cut.ranks : (stage + 1) * cut.ranks]
        rooms.append(min(_room_bytes(one, least) for one in ranks))
    if min(rooms) <= 0 or cut.stages > n_layers:
        return None
    shares = [n_layers * room / sum(rooms) for room in rooms]
    counts = [max(1, int(share)) for share in shares]
    while sum(counts) < n_layers:
        stage = max(range(cut.stages), key=lambda i: shares[i] - counts[i])
        counts[stage] += 1
    while sum(counts) > n_layers:
        stage = max(range(cut.stages), key=lambda i: (counts[i] > 1, counts[i] - shares[i]))
        counts[stage] -= 1
    return tuple(counts)


def _room_bytes(one: DeviceBill, least_weights_bytes: int) -> int:
    """Return what a device has for layers and their cache."""
    beside = sum(part.high_bytes for part in (one.activation, one.rest, one.graphs, one.context))
    extra = one.weights.mid_bytes - least_weights_bytes
    return (one.pool.free_low_bytes or 0) - beside - extra


def _reasons(cut: Cut, *, each: int, nodes: int) -> list[str]:
    found = [f"{nodes} nodes have layers each: {NOT_ALONE}"]
    if cut.ranks > 1:
        found.append(f"{cut.ranks} devices of a node share each layer")
    if each > cut.ranks:
        found.append(
            f"a node is {each // cut.ranks} stages: no larger number of its {each} devices "
            "divides the model"
        )
    if cut.layer_counts is not None:
        counts = ", ".join(map(str, cut.layer_counts))
        found.append(f"stages have {counts} layers, by the memory that is free on them")
    return found
