"""llama.cpp over nodes by commands: a server on each worker, then the program.

Source: ggml-org/llama.cpp tools/rpc/README.md and rpc-server.cpp (-H, -p, -c), common/arg.cpp
(--rpc); ggml/src/ggml-rpc/transport.cpp (what a server can bind to).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from whatfits.sizing.fleets.plans import NodeCommands
from whatfits.sizing.llama_program import model_file
from whatfits.sizing.runtimes.cuda_order import BY_BUS_SETTING, must_count_by_bus
from whatfits.sizing.runtimes.llama_cpp_command import llama_server_command
from whatfits.sizing.runtimes.shells import command_line, with_settings
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

    from whatfits.sizing.fleets.inventory import Node
    from whatfits.sizing.fleets.rpc_split import RpcSplit
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import Workload

__all__ = ["rpc_start"]

_PORT: Final = "50052"
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - the plan's notes say to let nobody else reach it
_WAY: Final = "llama.cpp built with -DGGML_RPC=ON"


def rpc_start(
    spec: ModelSpec, split: RpcSplit, workload: Workload, nodes: Mapping[str, Node]
) -> Iterator[NodeCommands]:
    """Yield what to type on each node: servers first, the program last."""
    *workers, main = (nodes[name] for name in split.plan.nodes)
    for node in workers:
        # a server binds to numbers of IPv4 alone and refuses a name
        bound = str(node.ip) if isinstance(node.ip, IPv4Address) else _EVERYWHERE
        os = node.machine.os
        line = command_line(["rpc-server", "-H", bound, "-p", _PORT, "-c"], os=os)
        if must_count_by_bus(node.machine):
            line = with_settings([BY_BUS_SETTING], line, os=os)
        yield NodeCommands(node.node, _WAY, (line,))
    file = model_file(spec)
    line = llama_server_command(spec, file, workload, split.trial, split.machine)
    servers = ",".join(f"{node.address}:{_PORT}" for node in workers)
    yield NodeCommands(
        main.node, _WAY, (f"{line} {command_line(['--rpc', servers], os=main.machine.os)}",)
    )
