"""The second context of speculative decoding: a draft model, or the model's own extra layers.

llama-server makes it from the main context's settings: as many cells and sequences, the same
batches and switches; cache types of its own, one row of logits a sequence, all layers on the
accelerators unless told otherwise, nothing placed by name.
Source: llama.cpp (0c1e57098) common/speculative.cpp (common_base_params_to_speculative,
common_speculative_init_from_params), src/llama-context.cpp:output_reserve,
src/llama-model.cpp:create_memory.
"""

from __future__ import annotations

from whatfits.sizing.buffers import allocated_bytes
from whatfits.sizing.compute import compute_stages, input_copies
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.flash_attention import all_can_fuse
from whatfits.sizing.kv_cache import cache_tensors
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.model_shares import ModelShares
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.share import Part, Share
from whatfits.sizing.speculation import prediction_layer
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.weights import tensor_targets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["DraftModel", "PredictionLayers", "draft_workload"]

# Plans of llama.cpp on the CPU, 16 models under four settings and more, lay between 0.68 and 1.03
# of the stage. Real loads of qwen3.8-27b on accelerators (tests/recorded/field_memory/loads.json)
# lay between 0.74 and 1.02, and on the host within 0.1 % of the inputs; but with four layers on the
# host an older build (b9849) took 137 MiB more there for the main context than is known why.
_LEAST: Final = 0.5
_MOST: Final = 1.25
_MOST_HOST: Final = 0.5  # of the stage, where that is more than the inputs
# Architectures with a graph for their prediction layers. Source: src/models (DECODER_MTP).
_PREDICTING: Final = frozenset(
    {
        "bailingmoe3",
        "cohere2moe",
        "deepseek2",
        "deepseek32",
        "deepseek4",
        "glm-dsa",
        "glm4moe",
        "glm5-next",
        "hy_v3",
        "mimo2",
        "nemotron_h_moe",
        "qwen35",
        "qwen35moe",
        "qwen3next",
        "step35",
    }
)
_SAMPLED_ROWS: Final = 3  # what a sampler on the back end hands out: logits, odds, candidates


def draft_workload(workload: Workload, settings: Settings) -> Workload:
    """Return what the second context is asked for, given what the first one got."""
    return replace(
        workload,
        program="server",
        context_tokens=settings.context_tokens,
        parallel=settings.sequences,
        kv_type_k=workload.kv_type_k_draft,
        kv_type_v=workload.kv_type_v_draft,
        outputs_max=settings.sequences,
        model_draft=None,
        spec_type=None,
    )


class DraftModel:
    """A model of its own that drafts."""

    def __init__(self, draft: ModelSpec, workload: Workload, request: PlacementRequest) -> None:
        """Group the draft's tensors once."""
        self._draft = draft
        self._workload = workload
        self._request = request
        self._shares = ModelShares(draft)

    def part(
        self, settings: Settings, placement: Placement, machine: Machine, taken: Sequence[Share]
    ) -> Part:
        """Return what the draft takes; `taken` is what the main model took before it.

        Raises:
            InvalidRequestError: the draft cannot run under these settings.
        """
        draft = self._draft
        workload = draft_workload(self._workload, settings)
        own = resolve_settings(
            draft,
            workload,
            flash_supported=all_can_fuse(
                draft,
                placement.accelerators,
                kv_types=(workload.kv_type_k, workload.kv_type_v),
            ),
        )
        request = replace(
            self._request,
            gpu_layers=self._request.gpu_layers_draft,
            cpu_moe_layers=None,
            overrides=(),
            devices=tuple(device.id for device in placement.accelerators),
        )
        left = _machine_after(machine, placement, taken)
        placed = resolve_placement(draft, request, left)
        weights = self._shares.weights(placed)
        shares = self._shares.of(own, placed, weights)
        return Part("draft", draft.name, tuple(shares), weights.mapped_bytes)


def _machine_after(machine: Machine, placement: Placement, taken: Sequence[Share]) -> Machine:
    """Return the machine as the second model finds it: layers are split by free memory."""
    used: dict[str, int] = {}
    for device, share in zip(placement.accelerators, taken, strict=False):
        used[device.pool] = used.get(device.pool, 0) + share.total_bytes
    pools = tuple(
        pool
        if pool.used_bytes is None
        else replace(pool, used_bytes=pool.used_bytes + used.get(pool.id, 0))
        for pool in machine.pools
    )
    return replace(machine, pools=pools)


class PredictionLayers:
    """The model's own next-token-prediction layers, loaded and run in a context of their own."""

    def __init__(self, model: ModelSpec, workload: Workload) -> None:
        """Keep the layers.

        Raises:
            InvalidRequestError: the model has none, or they are not in its tensor table.
        """
        if not model.prediction_tensors or model.architecture not in _PREDICTING:
            raise InvalidRequestError(
                what="spec_type",
                got="draft-mtp",
                allowed="a model whose file holds next-token-prediction layers llama.cpp can run",
                next_step=f"{model.name} has none; give a draft model instead",
            )
        self._model = model
        self._workload = workload
        self._layer = prediction_layer(model)

    def part(self, settings: Settings, placement: Placement) -> Part:
        """Return what loading and running them adds."""
        model = self._model
        own = resolve_settings(
            model,
            draft_workload(self._workload, settings),
            flash_supported=settings.flash_attention,
        )
        count = len(placement.accelerators)
        weights = [0] * (count + 1)
        for tensor in model.prediction_tensors:
            for target in tensor_targets(
                tensor.role, tensor.layer, tensor.name, placement, type_name=tensor.type
            ):
                place = count if target is None else target
                kind = "cpu" if target is None else placement.accelerators[target].kind
                weights[place] += allocated_bytes(
                    tensor.type, tensor.shape[0], tensor.n_bytes, device_kind=kind
                )
        caches = self._caches(own, placement)
        here, inputs = _compute(model, self._layer, own, copies=input_copies(placement))
        kept = self._snapshots(settings, placement)
        home = placement.layer_device[-1]
        outputs = _output_range(model, settings)
        shares = []
        for index in range(count + 1):
            on_host = index == count
            runs_here = home == index or (on_host and home is None)
            compute = here if runs_here else inputs if on_host else 0
            certain = weights[index] + caches[index]
            most = round(compute * _MOST)
            if on_host and not runs_here:
                most = max(most, round(here * _MOST_HOST))
            low_out, high_out = outputs if on_host else (0, 0)
            shares.append(
                Share(
                    weights_bytes=weights[index],
                    kv_cache_bytes=caches[index],
                    compute_bytes=kept[index] + compute,
                    output_bytes=high_out,
                    low_bytes=certain + low_out + round(compute * _LEAST),
                    high_bytes=certain + high_out + most + kept[index],
                )
            )
        return Part("mtp", model.name, tuple(shares))

    def _snapshots(self, settings: Settings, placement: Placement) -> list[int]:
        """Return by how much the main context's working memory may grow, by device.

        The operation that updates a recurrent state also hands out the earlier ones, for every
        sequence: its result is that much larger. What is free at the peak may hold it, so this is
        the most, and nothing the least.
        """
        sizes = [0] * (len(placement.accelerators) + 1)
        rows = settings.state_snapshots * settings.sequences
        for layer, target in zip(self._model.layers, placement.layer_device, strict=False):
            if layer.recurrent is not None:
                place = -1 if target is None else target
                sizes[place] = max(sizes[place], 4 * layer.recurrent.state_elements * rows)
        return sizes

    def _caches(self, settings: Settings, placement: Placement) -> list[int]:
        """Return the cache of the prediction layers by device: attention over the whole context."""
        sizes = [0] * (len(placement.accelerators) + 1)
        widest = self._layer.n_head_kv * self._layer.value_length
        for target in placement.layer_device[self._model.n_layers :]:
            on_host = target is None or not placement.kv_offload
            kind = "cpu" if on_host or target is None else placement.accelerators[target].kind
            size = sum(
                allocated_bytes(t.type, t.row_elements, t.n_bytes, device_kind=kind)
                for t in cache_tensors(self._layer, settings, widest_value=widest)
            )
            sizes[-1 if on_host or target is None else target] += size
        return sizes


def _compute(
    model: ModelSpec, layer: LayerSpec, settings: Settings, *, copies: int
) -> tuple[int, int]:
    """Return the working memory of the extra context: where its layer runs, and on the host.

    The first is the largest stage of its one layer, and the copies of its inputs. The host holds
    the inputs, hidden rows of the main context among them, and the rows of the embedding.
    """
    stages = compute_stages(replace(model, layers=(layer,)), settings)
    inputs = stages.inputs + stages.hidden
    return stages.peak + (copies - 1) * inputs, copies * inputs + stages.hidden


def _output_range(model: ModelSpec, settings: Settings) -> tuple[int, int]:
    """Return what hidden rows and logits take on the host, without and with sampling on a device.

    The main context hands out a hidden row for every token of its batch, the extra one a row and
    logits a sequence.
    """
    hparams = model.hparams
    width = hparams.n_embd_out or hparams.n_embd
    rows = settings.sequences
    main = 4 * width * settings.batch_tokens
    low = main + 4 * rows * (hparams.n_vocab + width)
    return low, low + 4 * rows * (_SAMPLED_ROWS * hparams.n_vocab + 1)
