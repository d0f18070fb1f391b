"""`whatfits verify --server`: what a server says of itself, against the prediction."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from llama_cpp_here import needs_llama_cpp
from loaded_servers import llama_server, lm_studio, ollama, tensor_bytes
from loopback_server import FOLDER, recorded, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Said

MIB = 2**20


@pytest.fixture(scope="module")
def planned(model: Path) -> int:
    """Return all buffers of llama.cpp's own plan with the settings that Ollama gives it."""
    from whatfits.bench.plans import plan
    from whatfits.bench.run_settings import RunSettings

    settings = RunSettings(
        context_tokens=4096,
        parallel=1,
        batch=512,
        micro_batch=512,
        swa_full=False,
        outputs_max=1,
        repack=True,
        mmap=False,
    )
    planned = plan(model, settings)
    output = re.search(r"output buffer size =\s*([0-9.]+) MiB", planned.log)
    assert output is not None
    rows = planned.buffers.values()
    return sum(r.model + r.context + r.compute for r in rows) + round(float(output[1]) * MIB)


class TestOllama:
    pytestmark = needs_llama_cpp

    def test_what_llama_cpp_itself_plans_is_inside(
        self, say: Callable[..., Said], is_valid: Callable[..., None], model: Path, planned: int
    ) -> None:
        with serving(ollama(model, held_bytes=planned)) as served:
            said = say("verify", "--server", served.url, "--json")
        assert said.code == 0, said
        is_valid("verify", said.json)
        (value,) = said.json["values"]
        assert (value["key"], value["told"]) == ("held_bytes", planned)
        assert abs(value["miss"]) <= MIB // 200  # the output buffer is told to a hundredth of a MiB
        assert said.json["workload"]["context_tokens"] == 4096
        assert said.json["server"]["model"] == "small:latest"

    @pytest.mark.parametrize("miss", [-8 * MIB, 64 * MIB])
    def test_what_misses_its_interval_is_outside(
        self, say: Callable[..., Said], model: Path, planned: int, miss: int
    ) -> None:
        with serving(ollama(model, held_bytes=planned + miss)) as served:
            said = say("verify", "--server", served.url, "--plain")
        assert said.code == 1
        assert said.lines[0].startswith("A figure lies outside its interval: ")
        assert any("outside" in line and "all buffers" in line for line in said.lines)

    def test_gpu_memory_on_a_machine_without_a_gpu_is_outside(
        self, say: Callable[..., Said], model: Path, planned: int
    ) -> None:
        with serving(ollama(model, held_bytes=planned, accelerator_bytes=planned)) as served:
            said = say("verify", "--server", served.url, "--machine", "64gb", "--json")
        assert said.code == 1
        on_gpu = next(v for v in said.json["values"] if v["key"] == "accelerator_bytes")
        assert (on_gpu["predicted"], on_gpu["inside"]) == (0, False)

    def test_the_file_may_be_named_instead(
        self, say: Callable[..., Said], model: Path, planned: int
    ) -> None:
        recording = ollama(Path("/nowhere/else.gguf"), held_bytes=planned)
        with serving(recording) as served:
            assert say("verify", str(model), "--server", served.url).code == 0
            said = say("verify", "--server", served.url)
        assert said.code == 2
        assert "whatfits verify MODEL --server URL" in said.err


class TestLlamaServer:
    def test_its_tensors_are_compared_to_the_byte(
        self, say: Callable[..., Said], is_valid: Callable[..., None], model: Path
    ) -> None:
        known = tensor_bytes(model)
        for told, code, verdict in ((known, 0, "equal"), (known + 1, 1, "outside")):
            with serving(llama_server(model, tensor_bytes=told)) as served:
                said = say("verify", "--server", f"{served.url}/v1", "--json")
            assert (said.code, said.json["verdict"]) == (code, verdict)
            is_valid("verify", said.json)
            assert any("command line" in note for note in said.json["notes"])

    def test_settings_that_are_named_are_held_against_what_it_tells(
        self, say: Callable[..., Said], model: Path
    ) -> None:
        with serving(llama_server(model, tensor_bytes=tensor_bytes(model))) as served:
            asked = ("verify", "--server", served.url, "--parallel", "1", "--json")
            right = say(*asked, "--context", "4096")
            wrong = say(*asked, "--context", "8192")
        assert (right.code, wrong.code) == (0, 1)
        keys = [value["key"] for value in right.json["values"]]
        assert keys == ["context_tokens", "slots", "tensor_bytes"]
        assert wrong.json["values"][0]["miss"] == 4096 - 8192

    @pytest.fixture
    def started(self, model: Path, tmp_path: Path) -> Iterator[Callable[..., str]]:
        """Start processes that call themselves llama-server; they end with the test."""
        processes: list[subprocess.Popen[str]] = []

        def start(*flags: str, loads: bool) -> str:
            recording = llama_server(model, tensor_bytes=tensor_bytes(model))
            task = {"model": str(model) if loads else "", "recording": recording}
            path = tmp_path / "task.json"
            path.write_text(json.dumps({**task, "context_tokens": 4096}))
            process = subprocess.Popen(
                ["llama-server", str(FOLDER / "loading_server.py"), str(path), *flags],
                executable=sys.executable,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                # under another name Python does not find its environment by itself
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            processes.append(process)
            assert process.stdout is not None
            return f"http://127.0.0.1:{int(process.stdout.readline())}"

        yield start
        for process in processes:
            process.kill()
            process.communicate()

    @pytest.mark.oracle
    @pytest.mark.skipif(sys.platform != "linux", reason="reads another process's command line")
    @pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="needs llama.cpp")
    def test_a_process_that_holds_the_model_is_inside(
        self, say: Callable[..., Said], started: Callable[..., str]
    ) -> None:
        url = started("-c", "4096", "-np", "1", "--no-mmap", "-cram", "0", loads=True)
        said = say("verify", "--server", url, "--json")
        values = {value["key"]: value for value in said.json["values"]}
        assert set(values) == {"context_tokens", "slots", "tensor_bytes", "resident_bytes"}
        assert values["tensor_bytes"]["miss"] == values["context_tokens"]["miss"] == 0
        assert values["resident_bytes"]["told"] > values["tensor_bytes"]["told"]
        assert (said.code, said.json["verdict"]) == (0, "inside"), said.json

    @pytest.mark.skipif(sys.platform != "linux", reason="reads another process's command line")
    def test_a_process_that_holds_nothing_is_outside(
        self, say: Callable[..., Said], started: Callable[..., str]
    ) -> None:
        url = started("-c", "4096", "-np", "1", "--no-mmap", "-md", "x.gguf", loads=False)
        said = say("verify", "--server", url, "--json")
        resident = said.json["values"][-1]
        assert (resident["key"], resident["inside"]) == ("resident_bytes", False)
        assert resident["told"] < resident["low"]
        assert said.code == 1
        assert "-md of its command line is not counted here." in said.json["notes"]


class TestLmStudio:
    def test_its_size_on_disk_is_compared_and_its_settings_are_predicted_for(
        self, say: Callable[..., Said], is_valid: Callable[..., None], model: Path
    ) -> None:
        size = model.stat().st_size
        for told, code in ((size, 0), (size + 5 * MIB, 0), (size - 1, 1)):
            with serving(lm_studio(file_bytes=told)) as served:
                said = say("verify", str(model), "--server", served.url, "--json")
            assert said.code == code
            is_valid("verify", said.json)
        assert said.json["workload"]["parallel"] == 4
        assert "LM Studio tells no memory" in said.json["notes"][0]

    def test_without_its_file_there_is_nothing_to_compare(self, say: Callable[..., Said]) -> None:
        with serving(lm_studio(file_bytes=1)) as served:
            said = say("verify", "smollm2-135m", "--server", served.url)
        assert said.code == 2
        assert "whatfits verify FILE --server URL" in said.err


CARD = ("--machine", "rtx 4090 + 64gb")
GIB = 2**30


def vllm(**labels: str) -> dict[str, Any]:
    """Return a vLLM with llama-3.1-8b in 16 bits, whose cache has other settings than recorded."""
    recording = recorded("vllm")
    (loaded,) = recording["answers"]["/v1/models"]["json"]["data"]
    loaded |= {"root": "llama-3.1-8b", "max_model_len": 8192}
    metrics = recording["answers"]["/metrics"]
    for name, value in labels.items():
        metrics["text"] = re.sub(rf'\b{name}="[^"]*"', f'{name}="{value}"', metrics["text"])
    return recording


class TestVllm:
    # One block: 16 tokens of 32 layers with 8 heads of 128 keys and 128 values in 2 bytes: 2 MiB.
    BLOCK_BYTES = 16 * 32 * 8 * (128 + 128) * 2

    def test_a_cache_of_given_bytes_has_that_many_blocks(
        self, say: Callable[..., Said], is_valid: Callable[..., None]
    ) -> None:
        blocks = 6 * GIB // self.BLOCK_BYTES
        for told, code in ((blocks, 0), (blocks - 1, 1), (blocks + 1, 1)):
            labels = {"num_gpu_blocks": str(told), "kv_cache_memory_bytes": str(6 * GIB)}
            with serving(vllm(**labels)) as served:
                said = say("verify", "--server", served.url, *CARD, "--json")
            assert said.code == code
            is_valid("verify", said.json)
            (value,) = said.json["values"]
            assert (value["key"], value["predicted"]) == ("cache_blocks", blocks)

    def test_a_cache_that_fills_what_is_left_is_held_against_the_interval(
        self, say: Callable[..., Said]
    ) -> None:
        """The bounds are worked out: 0.92 or 0.85 of 23.5 GiB, weights of 14.96 GiB."""
        asked = (*CARD, "--json")
        found = {}
        for share in ("0.92", "0.85"):
            with serving(vllm(num_gpu_blocks="1000", gpu_memory_utilization=share)) as served:
                (found[share],) = say("verify", "--server", served.url, *asked).json["values"]
        most = {
            share: int((float(share) * 23.53 - 14.95) * GIB) // self.BLOCK_BYTES for share in found
        }
        for share, value in found.items():
            assert value["low"] < value["predicted"] < value["high"] <= most[share]
            assert value["inside"] is (value["low"] <= 1000 <= value["high"])
        lost = found["0.92"]["predicted"] - found["0.85"]["predicted"]
        assert lost == pytest.approx(0.07 * 23.5 * GIB / self.BLOCK_BYTES, rel=0.02)
        with serving(vllm(num_gpu_blocks=str(2 * most["0.92"]))) as served:
            assert say("verify", "--server", served.url, *asked).code == 1
        with serving(vllm(num_gpu_blocks=str(found["0.92"]["predicted"]))) as served:
            assert say("verify", "--server", served.url, *asked).code == 0

    @pytest.mark.parametrize(
        "labels",
        [
            {"num_gpu_blocks": "None"},
            {"num_gpu_blocks": "-5"},
            {"num_gpu_blocks": "9" * 40},
            {"num_gpu_blocks_override": "573"},
        ],
        ids=str,
    )
    def test_a_cache_of_no_known_size_cannot_be_compared(
        self, say: Callable[..., Said], labels: dict[str, str]
    ) -> None:
        with serving(vllm(**labels)) as served:
            said = say("verify", "--server", served.url, *CARD)
        assert said.code == 2
        assert "/metrics" in said.err

    def test_a_folder_that_it_serves_is_read_by_vllms_own_rules(
        self, say: Callable[..., Said], tmp_path: Path
    ) -> None:
        from whatfits.sizing.catalog.lookup import find_model

        config = json.dumps(find_model("llama-3.1-8b").config, default=list)
        (tmp_path / "config.json").write_text(config, encoding="utf-8")
        blocks = 6 * GIB // self.BLOCK_BYTES
        recording = vllm(num_gpu_blocks=str(blocks), kv_cache_memory_bytes=str(6 * GIB))
        (served_model,) = recording["answers"]["/v1/models"]["json"]["data"]
        served_model |= {"id": "mine", "root": str(tmp_path)}
        with serving(recording) as served:
            said = say("verify", "--server", served.url, *CARD, "--json")
            named = say("verify", str(tmp_path), "--server", served.url, *CARD, "--json")
        assert said.code == named.code == 0, said
        assert said.json["model"]["source"] == named.json["model"]["source"] == str(tmp_path)
        assert said.json["model"]["file_type"] == "bf16"


class TestMlx:
    MAC = ("--machine", "mac-m4-max-64gb")

    def test_a_process_smaller_than_the_weights_is_outside(
        self, say: Callable[..., Said], is_valid: Callable[..., None]
    ) -> None:
        ballast = b"\1" * (128 * MIB)  # this process answers: let it hold more than 75 MB
        for model, code in (("smollm2-135m", 0), ("qwen3-32b", 1)):
            with serving(recorded("mlx")) as served:
                said = say("verify", model, "--server", served.url, *self.MAC, "--json")
            is_valid("verify", said.json)
            (value,) = said.json["values"]
            assert (said.code, value["inside"]) == (code, code == 0)
            assert value["high"] is None
            assert len(ballast) < value["told"] < 10 * GIB
