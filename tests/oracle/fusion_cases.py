"""Where llama.cpp keeps fused attention on one GPU when it may choose, and where it gives it up.

test_graph_fusion.py asks llama.cpp itself.
"""

from __future__ import annotations

from whatfits.bench.run_settings import RunSettings

KEPT = {
    "few sequences": ("llama-3.2-1b", RunSettings(8192, gpu_layers=8, parallel=8)),
    "all layers on the device": ("llama-3.2-1b", RunSettings(65536, parallel=32)),
    "caches of other layers, one device": ("gemma-4-e2b", RunSettings(8192, parallel=4)),
    "cache on the host": ("llama-3.2-1b", RunSettings(8192, gpu_layers=8, kv_offload=False)),
    "output matrix on the host": ("llama-3.2-1b", RunSettings(8192, host_overrides=("attn_out",))),
}
GIVEN_UP = {
    "many sequences": ("llama-3.2-1b", RunSettings(65536, gpu_layers=8, parallel=32)),
    "caches of other layers": ("gemma-4-e2b", RunSettings(8192, gpu_layers=17, parallel=4)),
    "cache and output matrix on the host": (
        "llama-3.2-1b",
        RunSettings(8192, host_overrides=("attn_out",), kv_offload=False),
    ),
}
