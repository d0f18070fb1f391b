"""How llama.cpp's fitting step fills devices with layers.

Devices are filled from the last to the first, a mixture's layers without their experts; then, from
the first device on, layers get their experts back until it is full, and one more layer is tried in
part. Each count is closed in on by false position, every guess a plan of its own.
Source: llama.cpp (0c1e57098) common/fit.cpp.
"""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

    from whatfits.sizing.workload import PlacementRequest

__all__ = ["LayerFill"]

_HOST: Final = "CPU"
# what of a layer goes elsewhere: attention alone stays, attention and `up`, all but `down`, all but
# the experts
_ATTENTION, _UP, _GATE, _DENSE = "attention", "up", "gate", "dense"
_ELSEWHERE: Final = {
    _ATTENTION: r"blk\.{}\.ffn_(gate|up|gate_up|down).*",
    _UP: r"blk\.{}\.ffn_(gate|gate_up|down).*",
    _GATE: r"blk\.{}\.ffn_down.*",
    _DENSE: r"blk\.{}\.ffn_(up|down|gate_up|gate)_(ch|)exps",
}


@dataclass(frozen=True, slots=True)
class _Held:
    """The layers of one device.

    Attributes:
        layers: all, the output layer counted.
        partial: of these, the last ones that lie there without some of their tensors.
        kept: what the first partial layer keeps; all others keep everything but experts.
        overflow: where the rest of that layer lies.
    """

    layers: int = 0
    partial: int = 0
    kept: str = _DENSE
    overflow: str = _HOST

    @property
    def full(self) -> int:
        """Layers that lie there whole."""
        return self.layers - self.partial


_Split = tuple[_Held, ...]


class _State(NamedTuple):
    """A split, what it takes of each device, and the first device with layers without experts."""

    split: _Split
    used: Sequence[int]
    start: int = 0


class LayerFill:
    """One search; `used` returns the planned bytes of each device for a placement."""

    def __init__(
        self,
        used: Callable[[PlacementRequest], Sequence[int]],
        *,
        base: PlacementRequest,
        targets: Sequence[int],
        device_ids: Sequence[str],
        n_layers: int,
        has_experts: bool,
    ) -> None:
        """`targets` are the most bytes each device may hold."""
        self._used = used
        self._base = base
        self._targets = targets
        self._ids = device_ids
        self._n_layers = n_layers
        self._has_experts = has_experts
        self._last = len(device_ids) - 1

    def placement(self, *, experts_too: bool) -> PlacementRequest:
        """Return the placement; `experts_too` when all but the experts is known to fit."""
        state = self._dense_back_to_front()
        if self._has_experts and experts_too:
            state = self._experts_front_to_back(state)
        return self._request(state.split)

    def _request(self, split: _Split) -> PlacementRequest:
        """Return a split as the settings that llama.cpp takes."""
        on_devices = sum(held.layers for held in split)
        at = self._n_layers + 1 - on_devices
        overrides = []
        for held in split:
            at += held.full
            for layer in range(at, at + held.partial):
                first = layer == at
                pattern = _ELSEWHERE[held.kept if first else _DENSE].format(layer)
                overrides.append((pattern, held.overflow if first else _HOST))
            at += held.partial
        shares = tuple(float(held.layers) for held in split) if self._last else None
        return replace(
            self._base, gpu_layers=on_devices, tensor_split=shares, overrides=tuple(overrides)
        )

    def _state(self, split: _Split, start: int = 0) -> _State:
        return _State(split, self._used(self._request(split)), start)

    def _closed_in(
        self,
        device: int,
        low: _State,
        high: _State,
        *,
        count: Callable[[_Held], int],
        grown: Callable[[_State, int], _State],
    ) -> _State:
        """Return the state that fills a device most, between one that fits and one that may."""
        target = self._targets[device]
        if high.used[device] <= target:
            return high
        while (left := count(high.split[device]) - count(low.split[device])) > 1:
            room = high.used[device] - low.used[device]
            step = left - 1
            if room > 0:
                # whole numbers cut towards zero; below zero the program's counter wraps to the end
                most = left * (target - low.used[device])
                share = most // room if most >= 0 else -(-most // room)
                step = left - 1 if share < 0 else min(max(share, 1), left - 1)
            tried = grown(low, step)
            if tried.used[device] <= target:
                low = tried
            else:
                high = tried
        return low

    def _dense_back_to_front(self) -> _State:
        """Give each device, the last one first, as many of the remaining layers as it holds."""
        state = self._state((_Held(),) * (self._last + 1))
        for device in range(self._last, -1, -1):
            left = self._n_layers + 1 - sum(held.layers for held in state.split[device + 1 :])
            if left <= 0:
                continue

            def grown(low: _State, more: int, device: int = device) -> _State:
                return self._state(self._with_layers(low.split, device, more))

            state = self._closed_in(
                device, state, grown(state, left), count=lambda held: held.layers, grown=grown
            )
        return state

    def _with_layers(self, split: _Split, device: int, more: int) -> _Split:
        """Return a split with more layers on a device, a mixture's without experts."""
        held = split[device]
        partial = held.partial
        if self._has_experts:
            # the first layer of the last device is the output layer, which is never partial
            partial += more - 1 if device == self._last and not partial else more
        return _changed(split, device, layers=held.layers + more, partial=partial)

    def _experts_front_to_back(self, dense: _State) -> _State:
        """Make layers whole, from the first device on, then try one more in part."""
        start = self._last
        while start and dense.split[start - 1].layers:
            start -= 1
        state = dense._replace(start=start)
        device = 0
        while device <= state.start <= self._last:

            def grown(low: _State, more: int, device: int = device) -> _State:
                return self._state(*self._made_whole(low, device, more))

            most = self._state(self._all_whole(state, device), self._last)
            state = self._closed_in(device, state, most, count=lambda held: held.full, grown=grown)
            state = self._one_more_in_part(state, device)
            device += 1
        return state

    def _all_whole(self, state: _State, device: int) -> _Split:
        """Return a split with all layers from the first partial device on whole on one device."""
        split = state.split
        for other in range(state.start, self._last + 1):
            moved = split[other].layers - (other == self._last)
            split = _changed(split, device, layers=split[device].layers + moved)
            split = _changed(split, other, layers=split[other].layers - moved, partial=0)
        return split

    def _made_whole(self, state: _State, device: int, more: int) -> tuple[_Split, int]:
        """Return a split with so many partial layers whole on a device, taken from the front."""
        split, start = state.split, state.start
        while start <= self._last:
            part = min(more, split[start].partial)
            more -= part
            held = split[start]
            split = _changed(split, start, layers=held.layers - part, partial=held.partial - part)
            split = _changed(split, device, layers=split[device].layers + part)
            if split[start].partial:
                break
            start += 1
        return split, start

    def _one_more_in_part(self, state: _State, device: int) -> _State:
        """Return the state with one more layer that keeps as much on a device as fits there."""
        if state.start > self._last:
            return state
        giver = state.split[state.start]
        if not giver.partial or giver.layers <= (device == self._last):
            return state
        split = _changed(
            state.split, state.start, layers=giver.layers - 1, partial=giver.partial - 1
        )
        start = state.start + (not split[state.start].partial)
        held = split[device]
        overflow = _HOST if device == self._last else self._ids[device + 1]

        def keeping(kept: str) -> _State:
            return self._state(
                _changed(
                    split,
                    device,
                    layers=held.layers + 1,
                    partial=held.partial + 1,
                    kept=kept,
                    overflow=overflow,
                ),
                start,
            )

        up = keeping(_UP)
        if not self._has_room(up, device):
            attention = keeping(_ATTENTION)
            return attention if self._has_room(attention, device) else state
        gate = keeping(_GATE)
        return gate if self._has_room(gate, device) else up

    def _has_room(self, state: _State, device: int) -> bool:
        """Return whether a device and the one it overflows to stay below what they may hold."""
        ends = zip(state.used, self._targets, strict=True)
        return all(used < most for used, most in list(ends)[device : device + 2])


def _changed(split: _Split, device: int, **values: Any) -> _Split:  # noqa: ANN401 - fields of _Held
    """Return a split with other values for one device."""
    return (*split[:device], replace(split[device], **values), *split[device + 1 :])
