"""The longest context of a model that spills: told from what was tried, and then tried.

At each context as little as possible moves to the host, so that a search is needed to see whether
one runs. Which are worth it is told from weights and caches, which are exact, and from what trials
took beside them: working memory is close to a straight line in context.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.search.closing_in import last_proven, last_with_room
from whatfits.sizing.search.rooms import rooms_of
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.llama_cpp import Bill
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.workload import PlacementRequest

__all__ = ["SpilledContext"]


class SpilledContext:
    """Contexts of one request whose placement leaves parts of a model to the host."""

    def __init__(
        self,
        model: ModelSpec,
        machine: Machine,
        bill: Bill,
        request: PlacementRequest,
        *,
        best: Callable[[int], Trial],
        attempt: Callable[[PlacementRequest, int], Trial],
        settings: Callable[[int], Settings],
        tried: Callable[[], Collection[Trial]],
        n_layers: int,
        experts_move: bool,
    ) -> None:
        """Say how contexts are tried.

        `best` searches a placement for a context, `attempt` tries one, `settings` returns what it
        is asked with, `tried` all that were tried; `n_layers` counts those that predict further
        tokens too; with `experts_move` experts go to the host before the rest of their layers.
        """
        self._model = model
        self._machine = machine
        self._bill = bill
        self._request = request
        self._best = best
        self._attempt = attempt
        self._settings = settings
        self._tried = tried
        self._experts_move = experts_move
        self._n_layers = n_layers
        self._rests = _Rests(bill, ())

    def most_units(self, known: Trial, *, step: int, most: int) -> int | None:
        """Return the most steps of context that run; None when not even one does.

        `known` is the best placement of some context.
        """
        if self._best(most * step).runs:
            return most
        for trial in list(self._tried()):
            if trial.settings.context_tokens == most * step:  # each kind, at two contexts
                self._attempt(trial.request, known.settings.context_tokens)
        self.learn()
        missed_bytes = 0  # what another split than llama.cpp's own was seen to hold more

        def rough(units: int) -> int:
            return self._rough_room(units * step) + missed_bytes

        def holds(units: int) -> bool:
            nonlocal missed_bytes
            found = self._best(units * step)
            self.learn()
            missed_bytes = 0
            if found.request.tensor_split != self._request.tensor_split:
                missed_bytes = self._host_room(found) - self._rough_room(units * step)
            return found.runs

        return last_proven(1, most - 1, rough=rough, holds=holds)

    def learn(self) -> None:
        """Take note of what was tried: rough figures rest on it."""
        self._rests = _Rests(self._bill, self._tried())

    def _host_room(self, trial: Trial) -> int:
        """Return the room that ends what spills: the host's, where it has memory of its own.

        Accelerators are filled with as many layers as they hold at any context, so what is left of
        them goes up and down by a layer and says nothing of how much longer the context may get.
        """
        host = trial.placement.host.pool
        room = min(room for pool, room in rooms_of(trial, self._machine) if pool.id == host)
        return room if trial.runs else min(room, -1)

    def _rough_room(self, context_tokens: int) -> int:
        """Return about what the placement that would be chosen leaves free in the fullest pool."""
        settings = self._settings(context_tokens)
        rooms = []
        for most, request_of in self._kinds():
            if request_of(most) not in self._rests:
                continue
            on_accelerators = partial(self._room_on_accelerators, request_of, settings)
            number = last_with_room(0, most, on_accelerators)
            rooms.append(min(self.rooms(request_of(number or 0), settings)))
            if rooms[-1] >= 0:
                break
        return max(rooms)

    def _room_on_accelerators(
        self, request_of: Callable[[int], PlacementRequest], settings: Settings, number: int
    ) -> int:
        return self.rooms(request_of(number), settings)[0]

    def _kinds(self) -> Iterator[tuple[int, Callable[[int], PlacementRequest]]]:
        """Yield each kind of placement, the preferred first: the most it may keep, and how."""
        asked, n_layers = self._request, self._n_layers
        yield 0, lambda _: asked
        if self._experts_move:
            yield n_layers - 1, lambda kept: replace(asked, cpu_moe_layers=n_layers - kept)
        yield n_layers, lambda kept: replace(asked, gpu_layers=kept)
        yield 0, lambda _: replace(asked, devices=())

    def rooms(self, request: PlacementRequest, settings: Settings) -> tuple[int, int]:
        """Return about what is left in the fullest pool of accelerators, and in the host's.

        Without accelerators nothing is left of them, and nothing lacks.
        """
        placement = resolve_placement(self._model, request, self._machine)
        sizes = self._bill.weights_and_caches(settings, placement)
        # of unknown size nothing is free: no context runs there
        left = {pool.id: pool.whole.free_low_bytes or 0 for pool in self._machine.pools}
        for device, n_bytes in zip((*placement.accelerators, placement.host), sizes, strict=True):
            left[device.pool] -= n_bytes + self._rests.at(request, device.id, settings)
        on_accelerators = [left[device.pool] for device in placement.accelerators]
        return min(on_accelerators, default=0), left[placement.host.pool]


class _Rests:
    """What trials took beside weights and caches."""

    def __init__(self, bill: Bill, trials: Collection[Trial]) -> None:
        self._seen: dict[Hashable, dict[int, list[tuple[Trial, dict[str, int]]]]] = {}
        for trial in trials:
            sizes = bill.weights_and_caches(trial.settings, trial.placement)
            rows = zip(trial.memory.devices, sizes, strict=True)
            rests = {row.device: row.high_bytes - n_bytes for row, n_bytes in rows}
            contexts = self._seen.setdefault(_kind_of(trial.request), {})
            contexts.setdefault(trial.settings.context_tokens, []).append((trial, rests))

    def __contains__(self, request: PlacementRequest) -> bool:
        """Return whether a placement of that kind was tried."""
        return _kind_of(request) in self._seen

    def at(self, request: PlacementRequest, device: str, settings: Settings) -> int:
        """Return the rest of a device: on the line through the two nearest contexts tried.

        Of each the trial counts that had the nearest number of layers. Contexts shorter than a
        micro-batch lie on no line with longer ones.
        """
        wanted = settings.context_tokens
        rests: dict[int, int] = {}
        others: dict[int, int] = {}
        for context, trials in self._seen[_kind_of(request)].items():
            trial, found = min(trials, key=lambda seen: _apart(seen[0].request, request))
            is_alike = trial.settings.graph_tokens == settings.graph_tokens
            (rests if is_alike else others)[context] = found[device]
        rests = rests or others
        nearest = sorted(rests, key=lambda context: abs(context - wanted))
        if len(nearest) == 1:
            return rests[nearest[0]]
        near, far = nearest[:2]
        slope = (rests[far] - rests[near]) / (far - near)
        return round(rests[near] + slope * (wanted - near))


def _kind_of(request: PlacementRequest) -> Hashable:
    """Return what kind of placement a request is: what it says, but for how many layers."""
    return request.gpu_layers is None, request.cpu_moe_layers is None, request.devices


def _apart(one: PlacementRequest, other: PlacementRequest) -> int:
    """Return by how many layers two placements of a kind are apart."""
    return abs((one.gpu_layers or 0) - (other.gpu_layers or 0)) + abs(
        (one.cpu_moe_layers or 0) - (other.cpu_moe_layers or 0)
    )
