"""exo over Macs: each has a stretch of layers in proportion to its free memory, run by MLX.

A share is sized as MLX sizes a model of those layers alone; embedding and output count on every
Mac. A token's row goes round the ring once, in 16 bits.
Source: exo-explore/exo README.md (ring memory-weighted partitioning, MLX engine, automatic
discovery, port 52415), docs/api.md.
"""

from __future__ import annotations

from math import ceil

from whatfits.sizing.errors import BadInputError
from whatfits.sizing.fleets.inventory import at_node, free_bytes
from whatfits.sizing.fleets.joined import joined_machine
from whatfits.sizing.fleets.network import Traffic, in_turns, with_crossings
from whatfits.sizing.fleets.plans import NOT_ALONE, FleetPlan, shares_of, together
from whatfits.sizing.quants.layouts.parts import HALF
from whatfits.sizing.runtimes.mlx import try_mlx
from whatfits.sizing.runtimes.mlx_speed import mlx_speed
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
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.mlx_settings import MlxSettings
    from whatfits.sizing.runtimes.mlx_trial import MlxTrial
    from whatfits.sizing.workload import Workload

__all__ = ["layers_by_memory", "split_exo"]

_NOTE: Final = (
    "exo chooses the layers of each Mac itself, by the memory that is free when it starts: the "
    "shares may differ from these."
)


def split_exo(
    spec: ModelSpec, nodes: Sequence[Node], workload: Workload, network: Network | None
) -> FleetPlan | None:
    """Return a model cut over all of these Macs; None where MLX does not run on one of them."""
    held = layers_by_memory(spec.n_layers, [free_bytes(node.machine) for node in nodes])
    if held is None or not spec.tensors:
        return None
    try:
        trials = [
            try_mlx(_share(spec, layers), node.machine, workload, PlacementRequest())
            for node, layers in zip(nodes, held, strict=True)
        ]
    except BadInputError:
        return None
    if not all(trial.placement.accelerators for trial in trials):
        return None
    worst = max(range(len(trials)), key=lambda i: VERDICT_ORDER[trials[i].judgement.verdict])
    judgement, settings = trials[worst].judgement, trials[0].settings
    memory = together([trial.memory for trial in trials], nodes)
    traffic = Traffic(
        token_bytes=len(nodes) * spec.hparams.n_embd * HALF, step_bytes=0, messages=len(nodes)
    )
    return FleetPlan(
        strategy="pipeline",
        runtime="exo",
        nodes=tuple(node.node for node in nodes),
        file_type=spec.file_type,
        verdict=judgement.verdict,
        verdict_reason=f"{nodes[worst].node}: {judgement.reason}",
        reasons=(
            f"{len(nodes)} Macs have layers each: {NOT_ALONE}",
            "each has layers in proportion to the memory that is free on it",
        ),
        workload=settings.filled(workload),
        ranks=1,
        stages=len(nodes),
        memory=memory,
        shares=shares_of(memory, nodes, [len(layers) for layers in held]),
        largest_context_tokens=None,
        speed=_speed(
            spec,
            nodes,
            _placement(nodes, trials, held),
            workload,
            settings=settings,
            way=(traffic, network),
        ),
        traffic=traffic,
        notes=(_NOTE,),
    )


def _speed(
    spec: ModelSpec,
    nodes: Sequence[Node],
    placement: Placement,
    workload: Workload,
    *,
    settings: MlxSettings,
    way: tuple[Traffic, Network | None],
) -> Speed | None:
    """Return how fast the Macs are one after the other, with the way between them."""
    prompt = workload.prompt_tokens
    alone = mlx_speed(
        spec,
        workload,
        placement,
        settings=settings,
        machine=joined_machine(nodes),
    )
    in_turn = in_turns(alone, prompt_tokens=prompt, batch_tokens=settings.step_tokens)
    return with_crossings(in_turn, *way, prompt_tokens=prompt)


def layers_by_memory(n_layers: int, rooms_bytes: Sequence[int]) -> tuple[range, ...] | None:
    """Return a stretch of layers for each room, in proportion; None where one gets none.

    Ends are rounded, as in exo's partitioning of a ring by memory.
    """
    total = sum(rooms_bytes)
    if not total:
        return None
    ends = [round(n_layers * sum(rooms_bytes[: i + 1]) / total) for i in range(len(rooms_bytes))]
    held = tuple(range(start, end) for start, end in zip([0, *ends], ends, strict=False))
    return held if all(held) else None


def _share(spec: ModelSpec, layers: range) -> ModelSpec:
    """Return the model with these layers alone."""
    tensors = tuple(t for t in spec.tensors if t.role != "layer" or t.layer in layers)
    share = replace(spec, tensors=tensors, layers=spec.layers[layers.start : layers.stop])
    known = spec.weights
    if known is None:
        return share
    part = share.tensor_bytes / spec.tensor_bytes
    weights = replace(
        known,
        low_bytes=int(known.low_bytes * part),
        mid_bytes=round(known.mid_bytes * part),
        high_bytes=ceil(known.high_bytes * part),
    )
    return replace(share, weights=weights)


def _placement(
    nodes: Sequence[Node], trials: Sequence[MlxTrial], held: Sequence[range]
) -> Placement:
    """Return the layers on the Macs' GPUs, one after the other."""
    layers = [index for index, layers in enumerate(held) for _ in layers]
    placed = trials[0].placement
    names = [
        replace(trial.placement.accelerators[0], id=at_node(node.node, "metal"))
        for node, trial in zip(nodes, trials, strict=True)
    ]
    return replace(
        placed,
        accelerators=tuple(names),
        layer_device=tuple(layers),
        output_device=layers[-1],
        gpu_layers=len(layers) + 1,
    )
