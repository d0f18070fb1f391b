"""Which layers keep a recurrent state, and how large it is.

Source: llama.cpp (0c1e57098) src/llama-hparams.cpp n_embd_r and n_embd_s, src/models/*.cpp
load_arch_hparams, src/llama-model.cpp create_memory (layer filters), src/llama-arch.cpp
(recurrent and hybrid architectures).
"""

from __future__ import annotations

from whatfits.sizing.architectures.metadata import MAX_HEADS
from whatfits.sizing.model import RecurrentState
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.architectures.metadata import Metadata

__all__ = [
    "RECURRENT",
    "WITH_STATE",
    "has_attention_and_state",
    "history_elements",
    "recurrent_layers",
    "recurrent_state",
]

RECURRENT: Final = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
# Attention where the layer has key/value heads, a state where it has none.
_STATE_WITHOUT_KV_HEADS: Final = frozenset(
    {
        "bailingmoe3",
        "glm5-next",
        "granitehybrid",
        "jamba",
        "kimi-k3",
        "kimi-linear",
        "lfm2",
        "lfm2moe",
        "plamo2",
    }
)
_STATE_WITHOUT_KV_HEADS_OR_FEED_FORWARD: Final = frozenset({"nemotron_h", "nemotron_h_moe"})
# Every n-th layer has attention unless the file lists the recurrent ones.
_ATTENTION_INTERVAL: Final = {
    "minimax-01": 8,
    "qwen35": 4,
    "qwen35moe": 4,
    "qwen3next": 4,
    "qwen4exp": 4,
}
_STATE_AND_ATTENTION: Final = frozenset({"falcon-h1"})
WITH_STATE: Final = (
    RECURRENT
    | _STATE_WITHOUT_KV_HEADS
    | _STATE_WITHOUT_KV_HEADS_OR_FEED_FORWARD
    | _STATE_AND_ATTENTION
    | frozenset(_ATTENTION_INTERVAL)
)
# Architectures that take the group count of a state-space layer into account.
_GROUPED: Final = WITH_STATE - {"jamba", "mamba"}
_LINEAR_ATTENTION: Final = frozenset({"minimax-01"})


def recurrent_layers(
    metadata: Metadata,
    *,
    n_layers: int,
    n_layers_all: int,
    heads_kv: Sequence[int],
    feed_forward: Sequence[int],
) -> tuple[bool, ...]:
    """Return one flag a layer of `n_layers_all`: it keeps a recurrent state.

    Raises:
        MalformedFileError: the list or the interval in the file is of the wrong kind.
    """
    architecture = metadata.architecture
    if architecture in RECURRENT or architecture in _STATE_AND_ATTENTION:
        return tuple(il < n_layers for il in range(n_layers_all))
    if architecture in _STATE_WITHOUT_KV_HEADS:
        return tuple(il < n_layers and heads_kv[il] == 0 for il in range(n_layers_all))
    if architecture in _STATE_WITHOUT_KV_HEADS_OR_FEED_FORWARD:
        return tuple(
            il < n_layers and heads_kv[il] == 0 and feed_forward[il] == 0
            for il in range(n_layers_all)
        )
    default = _ATTENTION_INTERVAL.get(architecture)
    if default is None:
        return (False,) * n_layers_all
    listed = metadata.flags("attention.recurrent_layers", n_layers_all)
    if listed is not None:
        return tuple(flag and il < n_layers for il, flag in enumerate(listed))
    interval = metadata.optional("full_attention_interval", low=1) or default
    return tuple(il < n_layers and (il + 1) % interval != 0 for il in range(n_layers_all))


def has_attention_and_state(architecture: str) -> bool:
    """Return whether each layer of an architecture keeps both a cache and a state."""
    return architecture in _STATE_AND_ATTENTION


def recurrent_state(metadata: Metadata, *, n_embd: int, n_head: int) -> RecurrentState:
    """Return the state of one recurrent layer; `n_head` is that of the first layer.

    Raises:
        MalformedFileError: a size that the architecture needs is missing or out of range.
    """
    architecture = metadata.architecture
    if architecture in RECURRENT and architecture not in ("mamba", "mamba2"):
        head = metadata.integer("wkv.head_size")
        shifts = metadata.optional("token_shift_count", low=1, high=64) or 2
        return RecurrentState(shifts * n_embd, n_embd * head)
    if architecture in ("lfm2", "lfm2moe"):
        cached = metadata.integer("shortconv.l_cache", high=MAX_HEADS)
        return RecurrentState(n_embd * (cached - 1), 0)
    if architecture in ("bailingmoe3", "glm5-next", "kimi-k3", "kimi-linear"):
        head = metadata.integer("kda.head_dim")
        kernel = metadata.integer("ssm.conv_kernel", low=0, high=MAX_HEADS) or 4
        return RecurrentState(3 * (kernel - 1) * n_head * head, head * head * n_head)
    if architecture in _LINEAR_ATTENTION:
        head = metadata.optional("attention.key_length", low=1) or n_embd // n_head
        return RecurrentState(0, head * head * n_head)
    inner = metadata.integer("ssm.inner_size")
    state = metadata.integer("ssm.state_size")
    kernel = metadata.integer("ssm.conv_kernel", high=MAX_HEADS)
    groups = metadata.integer("ssm.group_count", low=0) if architecture in _GROUPED else 0
    return RecurrentState((kernel - 1) * (inner + 2 * groups * state), state * inner)


def history_elements(metadata: Metadata, *, n_embd: int) -> tuple[tuple[int, ...], int]:
    """Return (layers, elements each) of the n-gram convolution history some layers keep beside.

    Raises:
        MalformedFileError: a size that goes with the list of layers is missing.
    """
    layers = metadata.integers("ple.layers", low=0, high=2**12)
    if metadata.architecture != "qwen4exp" or not layers:
        return (), 0
    kernel = metadata.integer("ple.conv_kernel", high=MAX_HEADS)
    ngram = metadata.integer("ple.ngram_size", low=2, high=MAX_HEADS)
    streams = metadata.integer("hyper_connection.count", high=MAX_HEADS)
    return layers, (kernel - 1) * ngram * streams * n_embd
