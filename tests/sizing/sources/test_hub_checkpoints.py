"""`hf:org/repo` for runtimes that load checkpoints: the same model as its files in a folder."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from checkpoints import (
    LLAMA,
    linear_layers,
    llama_tensors,
    other_tensors,
    write_config,
    write_safetensors,
)
from fake_hub import Repository, hub_of

from whatfits.sizing.api import check, load_model, plan
from whatfits.sizing.errors import BadInputError, InvalidRequestError, UnreadableFileError
from whatfits.sizing.sources.hub.checkpoint import read_hub_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from checkpoints import Tensors

    from whatfits.sizing.model import ModelSpec

NAME = "acme/Model"
GROUP = 128
MLX = {"group_size": 64, "bits": 4}


def awq(rows: int, columns: int) -> Tensors:
    """A matrix of AWQ: eight weights a word, a scale and a zero point in 128."""
    groups = columns // GROUP
    return {
        "qweight": ("I32", (columns, rows // 8)),
        "qzeros": ("I32", (groups, rows // 8)),
        "scales": ("F16", (groups, rows)),
    }


def gptq(rows: int, columns: int) -> Tensors:
    """A matrix of GPTQ: the same, with the group of every column."""
    groups = columns // GROUP
    return {
        "qweight": ("I32", (columns // 8, rows)),
        "qzeros": ("I32", (groups, rows // 8)),
        "scales": ("F16", (groups, rows)),
        "g_idx": ("I32", (columns,)),
    }


def fp8(rows: int, columns: int) -> Tensors:
    """A matrix of FP8 with a scale in 128 by 128."""
    scale = ("F32", (-(-rows // 128), -(-columns // 128)))
    return {"weight": ("F8_E4M3", (rows, columns)), "weight_scale_inv": scale}


def plain(rows: int, columns: int) -> Tensors:
    return {"weight": ("BF16", (rows, columns))}


def in_mlx(rows: int, columns: int) -> Tensors:
    """A matrix of MLX: eight weights a word, a scale and a bias in 64."""
    factors = ("BF16", (rows, columns // 64))
    return {"weight": ("U32", (rows, columns // 8)), "scales": factors, "biases": factors}


def tensors_of(matrix: Callable[[int, int], Tensors]) -> Tensors:
    """A Llama whose linear layers are stored so; MLX stores its tables so too."""
    made = {}
    for name, (dtype, shape) in other_tensors(LLAMA).items():
        if matrix is in_mlx and len(shape) == 2:
            stem = name.removesuffix(".weight")
            made |= {f"{stem}.{part}": stored for part, stored in in_mlx(*shape).items()}
        else:
            made[name] = (dtype, shape)
    for name, rows, columns in linear_layers(LLAMA):
        made |= {f"{name}.{part}": stored for part, stored in matrix(rows, columns).items()}
    return made


def block(method: str, **more: object) -> dict[str, Any]:
    return {"quantization_config": {"quant_method": method, **more}}


CHECKPOINTS: dict[str, tuple[dict[str, Any], Callable[[int, int], Tensors]]] = {
    "16 bits": ({}, plain),
    "AWQ": (block("awq", bits=4, group_size=GROUP, version="gemm"), awq),
    "GPTQ": (block("gptq", bits=4, group_size=GROUP), gptq),
    "FP8": (block("fp8", weight_block_size=[128, 128], activation_scheme="dynamic"), fp8),
    "MLX": ({"quantization": MLX, "quantization_config": MLX}, in_mlx),
}
# vLLM does not read MLX's own.
REFUSED = {("MLX", "vllm")}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that puts a folder's files on a Hub."""
    with ExitStack() as stack:

        def start(folder: Path, **more: Any) -> None:  # noqa: ANN401 - fields of a repository
            content = {path.name: path.read_bytes() for path in folder.iterdir()}
            hub = stack.enter_context(hub_of(Repository(NAME, content, **more)))
            monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)

        yield start


def written(at: Path, kind: str = "16 bits") -> Path:
    config, matrix = CHECKPOINTS[kind]
    folder = at / "Model"
    folder.mkdir()
    write_config(folder, {**LLAMA, **config})
    write_safetensors(folder / "model.safetensors", tensors_of(matrix))
    return folder


def same(one: ModelSpec) -> dict[str, object]:
    """What of a model must not depend on where it lies."""
    facts = None if one.checkpoint is None else replace(one.checkpoint, reference="")
    return {
        "named": (one.name, one.file_type, one.file_bytes, one.planned),
        "sized": (one.tensors, one.weights, one.layers, facts),
    }


@pytest.mark.parametrize("runtime", ["vllm", "mlx"])
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_repository_is_the_model_that_its_folder_is(
    tmp_path: Path, serve: Callable[..., None], kind: str, runtime: str
) -> None:
    folder = written(tmp_path, kind)
    serve(folder)
    if (kind, runtime) in REFUSED:
        for name in (str(folder), f"hf:{NAME}"):
            with pytest.raises(InvalidRequestError, match="--runtime mlx"):
                load_model(name, runtime=runtime)
        return
    there = load_model(f"hf:{NAME}", runtime=runtime)
    assert same(there) == same(load_model(str(folder), runtime=runtime))
    assert there.source == f"hf:{NAME}"
    assert any(f"of {NAME} at commit 0123456789" in note for note in there.notes)


def test_quantised_bytes_are_those_of_the_headers(
    tmp_path: Path, serve: Callable[..., None]
) -> None:
    serve(written(tmp_path, "MLX"))
    weights = load_model(f"hf:{NAME}", runtime="mlx").weights
    # 4 bits a weight and two 16-bit factors in 64: 4.5 bits; seven norms of 512 in 16 bits.
    matrices = sum(s[0] * s[1] for _, s in llama_tensors().values() if len(s) == 2)
    assert weights is not None
    assert weights.low_bytes == weights.high_bytes == matrices * 9 // 16 + 7 * 512 * 2


def test_the_commands_name_the_repository_and_its_revision(
    tmp_path: Path, serve: Callable[..., None]
) -> None:
    folder = written(tmp_path)
    serve(folder, revision="v2")
    vllm = check(f"hf:{NAME}@v2", runtime="vllm", machine="rtx-4090 + 64gb")
    mlx = check(f"hf:{NAME}@v2", runtime="mlx", machine="m4 max 64gb")
    assert vllm.commands["vllm"][0].startswith(f"vllm serve {NAME} ")
    assert " --revision v2" in vllm.commands["vllm"][0]
    assert mlx.commands["mlx"][0].startswith(f"mlx_lm.convert --hf-path {NAME} ")
    assert "mlx-lm's programs take the newest revision, not v2." in mlx.notes


def test_a_file_type_may_stand_behind_the_name(tmp_path: Path, serve: Callable[..., None]) -> None:
    serve(written(tmp_path))
    assert load_model(f"hf:{NAME}:fp8", runtime="vllm").file_type == "fp8"
    assert load_model(f"hf:{NAME}:8bit", runtime="mlx").file_type == "8bit"
    with pytest.raises(BadInputError, match="Q4_K_M"):
        load_model(f"hf:{NAME}:Q4_K_M", runtime="vllm")


def test_gguf_files_beside_the_checkpoint_are_looked_past(
    tmp_path: Path, serve: Callable[..., None]
) -> None:
    folder = written(tmp_path)
    (folder / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    serve(folder)
    assert load_model(f"hf:{NAME}", runtime="vllm").file_type == "bf16"


@pytest.mark.parametrize("runtime", ["vllm", "mlx"])
def test_a_repository_of_gguf_is_refused_with_the_way_out(
    tmp_path: Path, serve: Callable[..., None], runtime: str
) -> None:
    (tmp_path / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    serve(tmp_path)
    for name in (f"hf:{NAME}", f"hf:{NAME}:model-Q4_K_M.gguf"):
        with pytest.raises(InvalidRequestError, match=r"--runtime llama\.cpp"):
            load_model(name, runtime=runtime)


def test_a_repository_of_pickles_is_refused(tmp_path: Path, serve: Callable[..., None]) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK")
    serve(tmp_path)
    with pytest.raises(UnreadableFileError, match="pickle"):
        read_hub_checkpoint(f"hf:{NAME}", runtime="vllm")


@pytest.mark.parametrize("runtime", ["vllm", "mlx"])
@pytest.mark.parametrize("name", ["ollama:llama3.2", "https://example.org/model.gguf"])
def test_addresses_of_ggufs_are_refused_unread(name: str, runtime: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"--runtime llama\.cpp"):
        load_model(name, runtime=runtime)


def test_plan_answers_for_every_runtime_of_a_repository(
    tmp_path: Path, serve: Callable[..., None]
) -> None:
    serve(written(tmp_path))
    found = plan(f"hf:{NAME}", machine="rtx-4090 + 64gb")
    verdicts = {answer.runtime: answer.verdict for answer in found.runtimes}
    assert verdicts["vllm"] == "fits"
    assert any(line.startswith(f"vllm serve {NAME} ") for line in found.commands["vllm"])
