"""Mutants that no test can notice, each with the reason."""

from __future__ import annotations

_AGAIN = "what was looked at is looked at once more; the answer is the same"
_EVERY_END = "the last device is tried with every number of layers: time, not answers"
_KNOWN = "what is free of a pool is known before and after, or never"
_NEVER_RUN = "what is abstract never runs, so that nobody takes its defaults"
_NOT_DEEP = "what has no bracket outside of strings is not nested too deep"
_OFFSET = "the same number more or less for every split"
_OF_ONE = "layers on one device, or on none, lie where they are stored"
_ONE_LAYER = "of how many layers is not asked: none of them is on the host where there are cards"
_ROUNDED = "one more or less is the same float"
_SAYS_A_TYPE = "nothing runs what only says a type"
_ANSWER = (
    "planning Answer.__call__: False to True: self, spec: ModelSpec, *, machine: Machine, "
    "workload: Workload, request: PlacementRequest, runtime"
)
_TIME = "only which numbers are tried, and how soon: time, not answers"
_TOLD = "a plan that was answered says how many sequences and what context it is for"
_WRITTEN = "every place of the list is written before it is returned"
EQUIVALENT: dict[str, str] = {
    "readers.gguf_scan HeaderCursor.skip_strings: Gt to GtE: pos > len(window)": _AGAIN,
    "readers.gguf_scan HeaderCursor.skip_strings: part 2 gone: done and pos > len(window)": _AGAIN,
    "readers.gguf_scan HeaderCursor.take: Gt to GtE: end > len(self._window)": (
        "the window is filled again where it ends with what is taken"
    ),
    "readers.gguf_scan HeaderCursor.skip_strings: bound 2 gone: min(count, _SINGLE_STRINGS)": (
        "only how soon blocks are tried again: time, not answers"
    ),
    "readers.gguf_scan HeaderCursor._skip_short: GtE to Gt: count - skipped >= _BLOCK_STRINGS": (
        "the last block is walked string by string"
    ),
    "readers.gguf_tensors read_tensors: Gt to GtE: len(name) > _LLAMA_CPP_NAME_BYTES": _AGAIN,
    "readers.gguf_tensors check_extents: Lt to LtE: tensor.offset_bytes < before.offset_bytes": (
        "two tensors at one place overlap, and are refused"
    ),
    "readers.safetensors _check_size: Gt to GtE: bits > _MAX_NUMBER": (
        "no type has an odd number of bits, so that no tensor has 2^64 - 1"
    ),
    "readers.safetensors _check_cover: Gt to GtE: tensor.offset_bytes > end": (
        "that they differ has been asked before"
    ),
    "readers.strict_json _check_shape: LtE to Lt: "
    "data.count(b'[') + data.count(b'{') <= MAX_DEPTH": "as many brackets nest no deeper",
    "readers.strict_json _check_shape: 0 to 1: "
    "depth = max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)": _NOT_DEEP,
    "readers.strict_json _check_shape: 0 to -1: "
    "depth = max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)": _NOT_DEEP,
    "sources.regular_file unreadable: part 2 gone: code or 0": "no reason is kept for None either",
    "sources.checkpoint_files _chosen: 0 to -1: "
    "usual = [one for one in sets if one[0].startswith('model')]": (
        "all files of a set begin alike"
    ),
    "placement itself: 1e+18 to 1e+18: _LARGEST_SHARE: Final = 1e+18": _ROUNDED,
    "placement itself: 1e+18 to 1e+18: _LARGEST_SHARE: Final = 1e+18 #2": _ROUNDED,
    "placement layer_devices: Add to Sub: running + share": (
        "every end and their sum take the other sign, and are divided"
    ),
    "search.spilling Spilling._more_layers: 1 to 0: len(usable) == 1": (
        "on one card no number above the last with room leaves any"
    ),
    "search.trials Trials.best: part 1 gone: "
    "first.runs or self._is_fixed() or self.draft_is_too_large()": (
        "what runs is the first of those that are found as well"
    ),
    "search.trials Trials.largest_context: part 1 gone: not trial.runs and self.is_too_large()": (
        "what runs is not too large"
    ),
    "search.trials Trials.largest_context: Not gone: not trial.runs": (
        "what is too large for all memory runs at no context, which trying them finds too"
    ),
    "search.trials Trials._most_units.slack: bound 1 gone: min(room, -1)": _TIME,
    "search.trials Trials._most_units.slack: 1 to 2: return room if runs else min(room, -1)": _TIME,
    "search.trials Trials._most_units: GtE to Gt: slack(most) >= 0": _AGAIN,
    "search.trials Trials._most_units: 0 to 1: slack(most) >= 0": _AGAIN,
    f"{_ANSWER}: ": _SAYS_A_TYPE,
    f"{_ANSWER}:  #2": _SAYS_A_TYPE,
    "planning best_plan: part 2 gone: field_names(plan) or ()": "a plan has fields",
    "planning _others: part 2 gone: plan.workload.parallel or 1": _TOLD,
    "planning _others: 1 to 2: slots = plan.workload.parallel or 1": _TOLD,
    "planning _others: 1 to 0: slots = plan.workload.parallel or 1": _TOLD,
    "planning _others: part 2 gone: context or 0": _TOLD,
    "planning _others: 0 to 1: of_a_slot = (context or 0) // slots": _TOLD,
    "planning _others: 0 to -1: of_a_slot = (context or 0) // slots": _TOLD,
    "planning _others: part 2 gone: entry.loader is not None and loaded_for is not None": (
        "a runtime with a loader is passed over before where there is nothing to load with"
    ),
    "search.splits nearest_split: 0 to 1: "
    "reached: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())} #2": _OFFSET,
    "search.splits nearest_split: 0 to -1: "
    "reached: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())} #2": _OFFSET,
    "search.splits nearest_split: Sub to Add: len(room_bytes) - 1": _EVERY_END,
    "search.splits nearest_split: 1 to 0: is_last = device == len(room_bytes) - 1": _EVERY_END,
    "search.split_search SplitSearch._free_bytes: part 2 gone: "
    "self._machine.pool(pool).free_low_bytes or 0": (
        "a split is left open only where what is free is known"
    ),
    "sweep _on_machine: 1 to 2: placement = place_layers(1, PlacementRequest(), machine)": (
        _ONE_LAYER
    ),
    "sweep _on_machine: 1 to 0: placement = place_layers(1, PlacementRequest(), machine)": (
        _ONE_LAYER
    ),
    "sweep _on_machine: continue to break: continue": "the host's pool comes last",
    "sweep _on_machine: Gt to GtE: len(placement.accelerators) > 1": _OF_ONE,
    "sweep _on_machine: 1 to 0: len(placement.accelerators) > 1": _OF_ONE,
    "residents _room_to_grow: part 1 gone: free is None or rest is None": _KNOWN,
    "residents _room_to_grow: part 2 gone: free is None or rest is None": _KNOWN,
    "residents _room_to_grow: Or to And: free is None or rest is None": _KNOWN,
    "resident_trials ResidentRemedies._smaller_type: GtE to Gt: "
    "smaller.tensor_bytes >= spec.tensor_bytes": "the same bytes make no verdict better",
    "needing.search NeedSearch._additions: 0 to -1: "
    "sizes = (here.pool(device.pool).total_bytes or 0 for device in here.accelerators)": (
        "a byte less than nothing is rounded up to nothing"
    ),
    "needing.search NeedSearch._more_ram: part 2 gone: here.accelerators or pool is None or "
    "pool.total_bytes is None or pool.limit_bytes": "what takes parts has a pool for its host",
    "graph.scheduler Scheduler._assign: break gone: break": (
        "where every node has a place, the rest of the passes finds none without"
    ),
    "graph.scheduler Scheduler._copies_of: 1 to 2: self.backends.copies > 1": (
        "inputs are kept once or four times"
    ),
    "graph.feed_forward FeedForwardBuilder.metadata: 0 to 1: self, key: str, default: float=0": (
        _NEVER_RUN
    ),
    "graph.feed_forward FeedForwardBuilder.metadata: 0 to -1: self, key: str, default: float=0": (
        _NEVER_RUN
    ),
    "quants.file_layout data_offsets: 0 to 1: offsets = [0] * len(names)": _WRITTEN,
    "quants.file_layout data_offsets: 0 to -1: offsets = [0] * len(names)": _WRITTEN,
    "graph.models.minimax_m3 _is_dense: 0 to -1: n_dense = model.metadata.get("
    "f'{model.architecture}.leading_dense_block_count', 0)": "no layer has a number below zero",
    "needing.search itself: 32 to 31: _LEAST_RAM_GIB: Final = 32": "32 is the next size",
    "search.spilled_context SpilledContext.most_units: Sub to Add: most - 1": _TIME,
    "search.spilling Spilling._more_layers: 0 to -1: "
    "(pool for pool, room in rooms.items() if room < 0)": (_TIME),
    "search.spilling Spilling._more_layers: statement gone: "
    "overfull[pool] = min(counts[pool], overfull.get(pool, counts[pool]))": _TIME,
    "search.trials Trials._most_units_of_any_split: Add to Sub: held + 1": _TIME,
    "search.spilled_context SpilledContext.most_units: 1 to 0: "
    "return last_proven(1, most - 1, rough=rough, holds=holds) #2": _TIME,
    "search.spilling Spilling._most.rough: min to max: min(rough_rooms(self._bill, self._machine, "
    "placement, like=[seen]).values())": _TIME,
    "planner other_choice: 1 to 0: "
    "usual = (one for one in tried[at + 1:] if one.file_type == DEFAULT_FILE_TYPE)": (
        "nothing writes faster than itself"
    ),
}
