"""A router in front of copies: vLLM's own, LiteLLM, or nginx.

Source: vllm-project/production-stack src/vllm_router/README.md; docs.litellm.ai/docs/proxy/configs
and load_balancing; nginx.org/en/docs/http/ngx_http_upstream_module.html and
ngx_http_proxy_module.html.
"""

from __future__ import annotations

import shlex

from whatfits.sizing.fleets.plans import FleetFile, NodeCommands
from whatfits.sizing.fleets.starting.yaml_text import yaml_text
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.fleets.inventory import Node
    from whatfits.sizing.fleets.starting.yaml_text import Yaml

__all__ = ["SERVER_PORTS", "router_commands", "router_files"]

SERVER_PORTS: Final = {"llama.cpp": 8080, "vllm": 8000, "mlx": 8080}
_ROUTER: Final = "router"


def router_files(model: str, nodes: Sequence[Node], *, runtime: str) -> Iterator[FleetFile]:
    """Yield the configurations of LiteLLM and nginx for copies on these nodes."""
    port = SERVER_PORTS[runtime]
    yield FleetFile(
        "litellm.yaml",
        "one address for all copies: litellm --config litellm.yaml",
        yaml_text(_litellm(model, nodes, port)),
    )
    yield FleetFile(
        "nginx.conf",
        'one address for all copies: nginx -c "$PWD/nginx.conf"',
        _nginx(nodes, port),
    )


def router_commands(model: str, nodes: Sequence[Node], *, runtime: str) -> Iterator[NodeCommands]:
    """Yield the commands that start a router; vLLM's is for vLLM alone."""
    yield NodeCommands(_ROUTER, "LiteLLM", ("litellm --config litellm.yaml",))
    yield NodeCommands(_ROUTER, "nginx", ('nginx -c "$PWD/nginx.conf"',))
    if runtime == "vllm":
        urls = [f"http://{node.address}:{SERVER_PORTS[runtime]}" for node in nodes]
        words = ["vllm-router", "--port", "8001", "--service-discovery", "static"]
        words += ["--static-backends", ",".join(urls)]
        words += ["--static-models", ",".join([model] * len(nodes))]
        words += ["--routing-logic", "roundrobin"]
        yield NodeCommands(_ROUTER, "vLLM production stack", (shlex.join(words),))


def _litellm(model: str, nodes: Sequence[Node], port: int) -> dict[str, Yaml]:
    return {
        "model_list": [
            {
                "model_name": model,
                "litellm_params": {
                    "model": f"openai/{model}",
                    "api_base": f"http://{node.address}:{port}/v1",
                    "api_key": "none",
                },
            }
            for node in nodes
        ],
        "router_settings": {"routing_strategy": "least-busy"},
    }


def _nginx(nodes: Sequence[Node], port: int) -> str:
    servers = "".join(f"        server {node.address}:{port};\n" for node in nodes)
    return (
        "events {}\n"
        "http {\n"
        "    upstream copies {\n"
        "        least_conn;\n"
        f"{servers}"
        "    }\n"
        "    server {\n"
        "        listen 8001;\n"
        "        location / {\n"
        "            proxy_pass http://copies;\n"
        "            proxy_http_version 1.1;\n"
        "            proxy_buffering off;\n"
        "            proxy_read_timeout 600s;\n"
        "        }\n"
        "    }\n"
        "}\n"
    )
