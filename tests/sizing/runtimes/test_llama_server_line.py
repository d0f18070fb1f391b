"""The printed `llama-server` line says what was planned, in words that the program reads so.

That llama.cpp plans the same with it is held in tests/oracle/test_commands.py.
"""

from __future__ import annotations

import shlex
import struct
from typing import Any

import pytest

from whatfits.sizing import check
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes.llama_cpp_command import csv_field


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
