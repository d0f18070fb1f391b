"""The server that a runtime starts for a load, and its users, ready to be simulated."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, find_runtime
from whatfits.sizing.runtimes.vllm_devices import vllm_devices
from whatfits.sizing.serving.batching import ENDS
from whatfits.sizing.serving.curve import Users
from whatfits.sizing.serving.llama_deployment import LlamaDeployments
from whatfits.sizing.serving.outcome import LoadedServer
from whatfits.sizing.serving.vllm_deployment import vllm_deployment
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import Answer
    from whatfits.sizing.serving.deployment import Deployment
    from whatfits.sizing.serving.profile import Limits, LoadProfile
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["SERVE_RUNTIMES", "deployed", "users_of"]

_VLLM: Final = "vllm"
SERVE_RUNTIMES: Final = (DEFAULT_RUNTIME, "ollama", _VLLM)


def deployed(
    answer: Answer,
    spec: ModelSpec,
    *,
    runtime: str,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    users: int,
    load: LoadProfile,
    force: bool,
    engine_version: str | None = None,
) -> Deployment:
    """Return the server that a runtime starts; `engine_version` as in `host_work`.

    Raises:
        InvalidRequestError: it is no server of many users here, or the model writes nothing.
    """
    entry = find_runtime(runtime)
    if runtime not in SERVE_RUNTIMES:
        raise InvalidRequestError(
            what="runtime for serve", got=runtime, allowed=", ".join(SERVE_RUNTIMES)
        )
    if spec.embeds:
        kind = "embeds" if spec.hparams.causal else "is an encoder"
        raise InvalidRequestError(
            what="model for serve", got=spec.name, allowed=f"one that writes: this {kind}"
        )
    if engine_version is not None and entry.id != _VLLM:
        raise InvalidRequestError(
            what="engine version", got=engine_version, allowed="one of vLLM: under --runtime vllm"
        )
    if entry.starts_llama_cpp:
        ways = LlamaDeployments(entry, spec, machine, workload, request, force=force)
        return ways.with_slots_for(users)
    vllm_devices(machine, request, or_mlx="mlx" in SERVE_RUNTIMES)  # named only where it serves

    def planned() -> Plan:
        return answer(
            spec,
            machine=machine,
            workload=workload,
            request=request,
            runtime=runtime,
            force=force,
        )

    return vllm_deployment(
        planned,
        spec,
        machine,
        workload=workload,
        request=request,
        profile=load,
        version=engine_version,
    )


def users_of(deployment: Deployment, load: LoadProfile, limits: Limits, *, seed: int) -> Users:
    """Return the users of a server whose speed is known, to be simulated in any number."""
    if not deployment.caches_prefixes:
        load = replace(load, shared_prefix_tokens=0)
    servers = {
        end: LoadedServer(
            server=server,
            costs=deployment.model.costs(
                end,
                slots=server.slots,
                step_tokens=server.step_tokens,
                prompt_tokens=load.prompt.median_tokens,
                longest_tokens=load.prompt.median_tokens + load.output.median_tokens,
            ),
            profile=load,
            context_tokens=deployment.context_tokens,
            seed=seed,
            least_ttft_s=least_s,
            front_s=front_s,
        )
        for end, server, least_s, front_s in zip(
            ENDS, deployment.servers, deployment.least_ttft_s, deployment.front_s, strict=True
        )
    }
    return Users(servers, limits)
