"""The printed `llama-server` line says what was planned, in words that the program reads so.

That llama.cpp plans the same with it is held in tests/oracle/test_commands.py.
"""

from __future__ import annotations

import shlex
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check, load_machine
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes.llama_cpp_command import csv_field

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine


def words(model: str = "qwen3-30b-a3b", **placement: Any) -> list[str]:  # noqa: ANN401 - its fields
    plan = check(model, machine="2x rtx-4090 + 64gb", placement=placement, force=True)
    return shlex.split(plan.commands["llama.cpp"][0])


def test_tensors_named_one_by_one_come_before_the_experts_of_whole_layers() -> None:
    line = words(cpu_moe_layers=12, overrides=((r"blk\.[0-5]\.ffn_.*_exps", "cuda1"),))
    assert line.index("-ot") < line.index("--n-cpu-moe")


def test_shares_are_printed_so_that_a_32_bit_float_comes_back() -> None:
    split = (17.00001, 15.99999)
    line = words(tensor_split=split)
    printed = [float(part) for part in line[line.index("-ts") + 1].split(",")]
    assert [struct.pack("f", share) for share in printed] == [
        struct.pack("f", share) for share in split
    ]


@pytest.mark.parametrize("pattern", [r"blk\.[0-9]{1,2}\.ffn", "ffn=up"])
def test_an_expression_that_the_server_would_cut_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequestError, match="without ','"):
        words(overrides=((pattern, "CPU"),))


def test_the_line_of_a_plan_for_another_program_says_so() -> None:
    def notes(**workload: Any) -> list[str]:  # noqa: ANN401 - fields of a Workload
        plan = check("qwen3-8b", machine="rtx-4090 + 64gb", workload=workload)
        return [note for note in plan.notes if "The printed command starts" in note]

    assert not notes()
    assert notes(program="api")
    assert notes(outputs_max=100)


def test_a_list_of_files_is_one_value_with_commas() -> None:
    assert csv_field("adapter.gguf") == "adapter.gguf"
    assert csv_field('a,"b".gguf') == '"a,""b"".gguf"'


def told(machine: str | Machine, model: str = "llama-3.3-70b", **placement: Any) -> list[str]:  # noqa: ANN401 - its fields
    plan = check(model, machine=machine, placement=placement, force=True)
    return shlex.split(plan.commands["llama.cpp"][0])


@pytest.mark.parametrize(
    ("machine", "by_bus"),
    [
        ("rtx 4090 + 64gb", False),
        ("2x rtx 3090 + 64gb", False),
        # CUDA puts the faster card first, which would get the share of the other one
        ("rtx 3060 12gb + rtx 4090 + 64gb", True),
        ("rtx 4090 + rtx 3060 12gb + 64gb", False),
        ("2x rtx 3090 + rtx 5090 + 64gb", True),
        ("rx 7600 + rx 7900 xtx + 64gb", False),
        ("2x m40 24gb + t4 + 64gb", True),
    ],
)
def test_cuda_is_told_to_count_unlike_cards_as_the_flags_do(machine: str, *, by_bus: bool) -> None:
    line = told(machine)
    assert (line[0] == "CUDA_DEVICE_ORDER=PCI_BUS_ID") == by_bus
    assert line[by_bus] == "llama-server"
    assert told(machine, devices=())[0] == "llama-server"


def test_cards_that_were_read_are_counted_by_bus() -> None:
    named = load_machine("rtx 4090 + rtx 3060 12gb + 64gb")
    first, second, cpu = named.devices
    read = replace(
        named,
        devices=(
            replace(first, features=(*first.features, "pci:0000:01:00.0")),
            replace(second, features=(*second.features, "pci:0000:02:00.0")),
            cpu,
        ),
    )
    assert told(read)[0] == "CUDA_DEVICE_ORDER=PCI_BUS_ID"
    on_windows = check("llama-3.3-70b", machine=replace(read, os="windows"))
    assert on_windows.commands["llama.cpp"][0].startswith("llama-server ")
    (said,) = (note for note in on_windows.notes if "CUDA_DEVICE_ORDER" in note)
    assert '$env:CUDA_DEVICE_ORDER = "PCI_BUS_ID" (PowerShell)' in said
    assert "set CUDA_DEVICE_ORDER=PCI_BUS_ID (cmd)" in said


def test_an_order_that_the_program_does_not_have_by_itself_is_told() -> None:
    mixed = told("rx 7900 xtx + rtx 4090 + 64gb")
    assert mixed[mixed.index("--device") + 1] == "ROCm0,CUDA0"
    pair = load_machine("rtx 4090 + rtx 3060 12gb + 64gb")
    first, second, cpu = pair.devices
    turned = told(replace(pair, devices=(second, first, cpu)))
    assert turned[turned.index("--device") + 1] == "CUDA1,CUDA0"
    assert "--device" not in told("2x rtx 3090 + 64gb")


def test_a_prompt_cache_that_is_turned_off_is_told() -> None:
    """The server keeps 8 GiB unless it is told otherwise."""

    def line(model: str, cache_ram_mib: int | None) -> str:
        workload = {"cache_ram_mib": cache_ram_mib}
        return check(model, machine="rtx 4090 + 64gb", workload=workload).commands["llama.cpp"][0]

    assert line("llama-3.1-8b", 0).endswith(" --cache-ram 0")
    assert line("gemma-3-4b", 0).endswith(" --cache-ram 0")
    assert "--cache-ram" not in line("llama-3.1-8b", None)
    assert "--cache-ram" not in line("bge-m3", 0)
