"""What is mutated, in three groups, and which tests have to notice; quick files come first."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = "whatfits.sizing"


class Suite(NamedTuple):
    """Modules below `sizing`, as patterns of files, and the test files that judge them."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


_BESIDE: Final = "tests/sizing/beside"
_HOSTILE: Final = "tests/hostile"
_READERS: Final = "tests/sizing/readers"
_SOURCES: Final = "tests/sizing/sources"
_QUANTS: Final = "tests/sizing/quants"
_BYTES: Final = ("tests/golden/test_plans_to_the_byte.py", "tests/golden/test_recorded_buffers.py")
_PLACING: Final = (
    *("allocator", "budget", "buffers", "device_attention", "homes", "index", "reduce", "repeat"),
    *("replay", "scheduler", "scratch", "steps"),
)
_LAWS: Final = ("tests/property/test_memory_laws.py",)
GROUPS: Final[dict[str, tuple[Suite, ...]]] = {
    "parser": (
        Suite(
            ("readers/gguf*.py", "readers/byte_source.py", "readers/findings.py"),
            (
                f"{_READERS}/test_gguf.py",
                f"{_READERS}/test_gguf_extent.py",
                f"{_READERS}/test_gguf_start.py",
                f"{_READERS}/test_gguf_extent_cuts.py",
                f"{_READERS}/test_findings.py",
                f"{_READERS}/test_gguf_limits.py",
                f"{_READERS}/test_limits.py",
                f"{_READERS}/test_gguf_round_trip.py",
                f"{_HOSTILE}/test_gguf_cases.py",
                f"{_HOSTILE}/test_truncation.py",
                f"{_SOURCES}/test_local_file.py",
                f"{_SOURCES}/http/test_remote_gguf.py",
                f"{_SOURCES}/http/test_quick.py",
                f"{_SOURCES}/test_hub_quick.py",
                f"{_HOSTILE}/test_gguf_mutations.py",
            ),
        ),
        Suite(
            ("readers/safetensors*.py", "readers/json_cursor.py", "readers/strict_json.py"),
            (
                f"{_READERS}/test_safetensors.py",
                f"{_READERS}/test_safetensors_edges.py",
                f"{_READERS}/test_safetensors_index.py",
                f"{_READERS}/test_json_cursor.py",
                f"{_READERS}/test_strict_json.py",
                f"{_READERS}/test_limits.py",
                f"{_HOSTILE}/test_safetensors_cases.py",
                f"{_HOSTILE}/test_checkpoint_cases.py",
                f"{_SOURCES}/test_folder.py",
                f"{_HOSTILE}/test_safetensors_mutations.py",
            ),
        ),
        Suite(
            ("readers/hf_config.py", "readers/checkpoint_shape.py"),
            (
                f"{_READERS}/test_hf_config.py",
                f"{_READERS}/test_checkpoint_shape.py",
                f"{_READERS}/test_reader_corners.py",
                f"{_HOSTILE}/test_checkpoint_cases.py",
                f"{_SOURCES}/test_folder.py",
                f"{_SOURCES}/test_published_configs.py",
                f"{_SOURCES}/test_quantised_checkpoints.py",
            ),
        ),
        Suite(
            (
                "sources/split_gguf.py",
                "sources/checkpoint_files.py",
                "sources/folders.py",
                "sources/regular_file.py",
                "sources/local_file.py",
            ),
            (
                f"{_SOURCES}/test_regular_file.py",
                f"{_SOURCES}/test_gguf_names.py",
                f"{_SOURCES}/test_split_gguf.py",
                f"{_SOURCES}/test_checkpoint_files.py",
                f"{_SOURCES}/test_checkpoint_parts.py",
                f"{_HOSTILE}/test_file_kinds.py",
                f"{_HOSTILE}/test_io_faults.py",
            ),
        ),
    ),
    "memory": (
        Suite(
            ("quants/ggml_types.py",),
            (f"{_QUANTS}/test_ggml_types.py", f"{_QUANTS}/test_ggml_types_oracle.py"),
        ),
        Suite(
            ("quants/file_types.py", "quants/labels.py"),
            (
                f"{_QUANTS}/test_file_types.py",
                f"{_QUANTS}/test_file_type_tables.py",
                f"{_QUANTS}/test_labels.py",
            ),
        ),
        Suite(("quants/repack.py",), (f"{_QUANTS}/test_repack.py",)),
        Suite(
            (
                "quants/default_type.py",
                "quants/file_layout.py",
                "quants/mixing.py",
                "quants/mixing_rules.py",
                "quants/tensor_classes.py",
                "requantise.py",
            ),
            (
                f"{_QUANTS}/test_file_layout.py",
                f"{_QUANTS}/test_mixing.py",
                f"{_QUANTS}/test_mixing_oracle.py",
                f"{_QUANTS}/test_published_sizes.py",
                "tests/sizing/catalog/test_quality.py",
            ),
        ),
        Suite(
            ("quants/layouts/*.py",),
            (
                f"{_QUANTS}/layouts/test_name_patterns.py",
                f"{_QUANTS}/layouts/test_layouts.py",
                f"{_QUANTS}/layouts/test_block_fields.py",
                f"{_QUANTS}/layouts/test_from_config.py",
                f"{_QUANTS}/layouts/test_published_checkpoints.py",
                f"{_SOURCES}/test_quantised_checkpoints.py",
            ),
        ),
        Suite(
            ("compute.py",),
            (f"{_BESIDE}/test_closed_form.py", f"{_BESIDE}/test_closed_form_edges.py", *_BYTES),
        ),
        Suite(
            ("graph/*.py", "graph/models/*.py"),
            (
                "tests/sizing/graph/test_context.py",
                "tests/sizing/graph/test_marks.py",
                "tests/sizing/graph/test_tensor.py",
                "tests/golden/test_graphs_node_by_node.py",
                "tests/sizing/graph/test_refusals.py",
                "tests/golden/test_made_up_models.py",
                *_BYTES,
            ),
        ),
        # what becomes of a graph: named after the pattern above, these count
        Suite(
            (
                *(f"graph/{name}.py" for name in _PLACING),
                "buffers.py",
            ),
            (
                "tests/sizing/graph/test_allocator.py",
                "tests/sizing/graph/test_budget.py",
                "tests/sizing/graph/test_device_attention.py",
                "tests/sizing/test_kinds_of_buffers.py",
                "tests/sizing/graph/test_shortcuts.py",
                "tests/sizing/graph/test_scheduler.py",
                "tests/sizing/graph/test_scratch.py",
                "tests/sizing/graph/test_reduce.py",
                "tests/sizing/graph/test_refusals.py",
                "tests/sizing/graph/test_replays.py",
                "tests/golden/test_fusion.py",
                "tests/golden/test_graphs_node_by_node.py",
                "tests/golden/test_made_up_models.py",
                *_BYTES,
                "tests/sizing/graph/test_kept_layers.py",
                "tests/sizing/graph/test_repeat.py",
            ),
        ),
        Suite(
            ("graph/fused/*.py",),
            (
                "tests/sizing/graph/fused",
                "tests/golden/test_fused_steps.py",
            ),
        ),
        Suite(
            ("approximate.py",),
            (
                "tests/sizing/test_approximate_fields.py",
                "tests/sizing/test_approximate_rules.py",
                f"{_SOURCES}/test_published_configs.py",
                f"{_SOURCES}/test_folder.py",
                f"{_SOURCES}/test_hub_sets.py",
                "tests/sizing/catalog/test_every_model.py",
            ),
        ),
        Suite(
            ("flash_attention.py", "growth.py", "kv_cache.py", "weights.py", "weight_groups.py"),
            (
                f"{_BESIDE}/test_growth.py",
                f"{_BESIDE}/test_tables.py",
                f"{_BESIDE}/test_rules.py",
                f"{_BESIDE}/test_unfused_keys.py",
                f"{_BESIDE}/test_weight_groups.py",
                f"{_BESIDE}/test_weight_rules.py",
                f"{_BESIDE}/test_checkpoints.py",
                f"{_BESIDE}/test_kinds.py",
                "tests/sizing/architectures/test_roles.py",
                "tests/sizing/architectures/test_windows.py",
                "tests/sizing/architectures/test_spec.py",
                *_BYTES,
                "tests/sizing/test_sweep.py",
                *_LAWS,
            ),
        ),
        Suite(
            (
                "overhead.py",
                "projector.py",
                "vision.py",
                "reserve.py",
                "mac_limit.py",
                "pool_bills.py",
            ),
            (
                f"{_BESIDE}/test_projector_rules.py",
                f"{_BESIDE}/test_tables.py",
                f"{_BESIDE}/test_rules.py",
                f"{_BESIDE}/test_weight_rules.py",
                f"{_BESIDE}/test_overhead.py",
                f"{_BESIDE}/test_projector.py",
                _BESIDE,
                "tests/sizing/test_pool_bills.py",
                "tests/sizing/catalog/test_apple_limits.py",
                *_LAWS,
                "tests/cli/test_explain.py",
            ),
        ),
    ),
    # The laws of tests/property are slow ones, which judge nothing: what they hold against counting
    # on drawn machines, tests/sizing/search does on a few, made to the byte.
    "placement": (
        Suite(
            ("placement.py", "share.py", "device_limits.py"),
            (
                "tests/sizing/test_placement.py",
                "tests/sizing/test_kernels.py",
                "tests/sizing/test_placement_rules.py",
                "tests/golden/test_recorded_plans.py",
            ),
        ),
        Suite(
            (
                "search/trials.py",
                "search/spilling.py",
                "search/spilled_context.py",
                "search/rooms.py",
                "search/closing_in.py",
                "crowded.py",
            ),
            (
                "tests/sizing/test_closing_in.py",
                "tests/sizing/search",
                "tests/sizing/test_too_large.py",
                "tests/golden/test_recorded_fits.py",
                "tests/cli/test_check.py",
            ),
        ),
        Suite(("search/splits.py", "search/split_search.py"), ("tests/sizing/splits",)),
        Suite(
            ("sweep.py",),
            ("tests/sizing/test_sweep_edges.py", "tests/sizing/test_sweep.py"),
        ),
        Suite(("planner.py", "planning.py"), ("tests/sizing/choosing", "tests/cli/test_plan.py")),
        Suite(
            ("residents.py", "resident_trials.py"),
            ("tests/sizing/residents", "tests/cli/test_together.py"),
        ),
        Suite(
            ("needing/search.py", "needing/trials.py"),
            ("tests/sizing/needing", "tests/sizing/test_renting.py", "tests/cli/test_need.py"),
        ),
    ),
}


def modules_of(group: str) -> dict[str, Suite]:
    """Return the modules of a group (`graph.stack`), each with the suite that judges it."""
    return {
        ".".join(path.relative_to(ROOT / "sizing").with_suffix("").parts): suite
        for suite in GROUPS[group]
        for pattern in suite.modules
        for path in sorted((ROOT / "sizing").glob(pattern))
        if path.name != "__init__.py" or path.stat().st_size > len('"""A name."""') * 10
    }


def tests_of(group: str) -> list[str]:
    """Return the test files of a group, each once, as its suites have them."""
    return list(dict.fromkeys(test for suite in GROUPS[group] for test in suite.tests))


def path_of(module: str) -> Path:
    """Return the file of a module below `sizing`."""
    plain = ROOT / "sizing" / module.replace(".", "/")
    return plain.with_suffix(".py") if plain.with_suffix(".py").exists() else plain / "__init__.py"


def source_of(module: str) -> str:
    """Return a module's source."""
    return path_of(module).read_text(encoding="utf-8")


def load_all() -> None:
    """Import every module of every group, so that nothing of them is loaded within a test."""
    for group in GROUPS:
        for module in modules_of(group):
            importlib.import_module(f"{PACKAGE}.{module}")
