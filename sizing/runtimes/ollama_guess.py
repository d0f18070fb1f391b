"""What Ollama decides by a guess of its own: which cards, how large a batch, whether to map.

The guess knows no sliding windows, no latent caches, no states and no quantised cache; that is why
it is not this engine's answer, and why what follows from it is modelled as it is.
Source: ollama/ollama (main of 2026-08-21) server/sched.go, llm/llama_server.go, ml/device.go.
"""

from __future__ import annotations

from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import OnOff

__all__ = [
    "BATCH_STEPS",
    "automatic_batch",
    "available_bytes",
    "chosen_cards",
    "guessed_bytes",
    "has_mmap",
]

_DEFAULT_BATCH, _MEDIUM_BATCH, _LARGE_BATCH = 512, 1024, 2048
_CONSTRAINED_BATCH: Final = 256
_MEDIUM_CONTEXT, _LARGE_CONTEXT = 4096, 32_768
BATCH_STEPS: Final = (_MEDIUM_CONTEXT, _LARGE_CONTEXT)
"""Tokens above which the batch may be another."""

_SMALL_CARD_BYTES: Final = 8 * GIB
_ONE_CARD_PERCENT: Final = 80
# a larger batch needs room: percent of what is free that the guess may take, and bytes on top of it
_HEADROOM_PERCENT: Final = {_MEDIUM_BATCH: 75, _LARGE_BATCH: 60}
_SURCHARGE_BYTES: Final = {_MEDIUM_BATCH: 768 * MIB, _LARGE_BATCH: 2 * GIB}
_LOWER: Final = {_LARGE_BATCH: _MEDIUM_BATCH, _MEDIUM_BATCH: _DEFAULT_BATCH}
_F16_BYTES: Final = 2
_LEAST_HOST_BYTES: Final = 8_000_000_000  # of RAM that stay free beside a mapped model, or a tenth
_HOST_SHARE: Final = 10


def guessed_bytes(spec: ModelSpec, *, tokens: int) -> int:
    """Return what Ollama takes a model to need: its file, and a full 16-bit cache in each layer."""
    heads = [layer.n_head for layer in spec.layers if layer.n_head]
    shared = [layer.n_head_kv for layer in spec.layers if layer.n_head_kv]
    size = spec.file_bytes or spec.tensor_bytes
    if not heads or not shared:
        return size
    head_length = spec.hparams.n_embd // max(heads)
    return size + 2 * len(spec.layers) * min(shared) * head_length * tokens * _F16_BYTES


def chosen_cards(
    machine: Machine, guess_bytes: int, *, devices: tuple[str, ...] | None
) -> tuple[Device, ...]:
    """Return the cards it uses: the emptiest alone if the guess takes at most 80 % of it."""
    usable = [
        device for device in usable_accelerators(machine) if devices is None or device.id in devices
    ]
    by_room = sorted(usable, key=lambda d: machine.pool(d.pool).free_bytes or 0, reverse=True)
    if by_room:
        free = machine.pool(by_room[0].pool).free_bytes or 0
        if guess_bytes * 100 <= free * _ONE_CARD_PERCENT:
            return (by_room[0],)
    return tuple(usable)


def available_bytes(machine: Machine, cards: Sequence[Device]) -> int:
    """Return what is free on cards together; on the host without any."""
    if not cards:
        host = machine.host
        return 0 if host is None else machine.pool(host.pool).whole.free_bytes or 0
    return sum(machine.pool(card.pool).free_bytes or 0 for card in cards)


def automatic_batch(
    spec: ModelSpec,
    *,
    tokens: int,
    guess_bytes: int,
    available_bytes: int,
    cards: Sequence[Device],
    flash_attention: OnOff,
    machine: Machine,
) -> int:
    """Return num_batch when nobody sets it; the micro-batch is the same."""
    if spec.embeds:
        return min(_LARGE_BATCH, tokens)
    cuda = [card for card in cards if card.kind == "cuda"]
    if flash_attention == "off" and cuda:
        small = any(_room(machine, card) <= _SMALL_CARD_BYTES for card in cuda)
        return _CONSTRAINED_BATCH if small and tokens > _MEDIUM_CONTEXT else _DEFAULT_BATCH
    batch = _DEFAULT_BATCH
    if tokens > _MEDIUM_CONTEXT:
        batch = _LARGE_BATCH if tokens > _LARGE_CONTEXT else _MEDIUM_BATCH
    while batch > _DEFAULT_BATCH and not _has_room(batch, guess_bytes, available_bytes):
        batch = _LOWER[batch]
    return batch


def _has_room(batch: int, guess_bytes: int, available_bytes: int) -> bool:
    if not guess_bytes or not available_bytes:
        return True
    most = available_bytes * _ONE_CARD_PERCENT // 100
    headroom = available_bytes * _HEADROOM_PERCENT[batch] // 100
    return guess_bytes <= min(most, headroom) and _SURCHARGE_BYTES[batch] <= most - guess_bytes


def _room(machine: Machine, card: Device) -> int:
    pool = machine.pool(card.pool)
    sizes = [size for size in (pool.free_bytes, pool.total_bytes) if size]
    return min(sizes, default=0)


def has_mmap(spec: ModelSpec, machine: Machine, cards: Sequence[Device]) -> bool:
    """Return whether the file stays mapped when nobody sets use_mmap.

    Not without a card, not with CUDA on Windows, and on Linux not beside a discrete card when RAM
    is scarce; integrated cards read the file directly.
    """
    if not cards:
        return False
    kinds = {machine.pool(card.pool).kind for card in cards}
    if machine.os == "windows" and any(card.kind == "cuda" for card in cards):
        return False
    if machine.os != "linux":
        return True
    if "unified" in kinds:
        return False
    host = machine.host
    pool = None if host is None else machine.pool(host.pool)
    if pool is None or pool.free_bytes is None or pool.total_bytes is None:
        return True
    kept = max(_LEAST_HOST_BYTES, pool.total_bytes // _HOST_SHARE)
    return pool.free_bytes >= (spec.file_bytes or spec.tensor_bytes) + kept
