"""Models as tables of shapes, and what llama.cpp itself says about them.

`hand_made_models.toml` holds small ones of many architectures, `published_models.toml` real ones.
A layer is a letter of `pattern`, a letter stands for a list of `kinds`. A tensor is written
`name 256x512`, `.weight` left out; `F32` behind it is a type no file type changes. Embedding,
output matrix (unless `tied`), final norm and one norm a layer are added.
"""

from __future__ import annotations

import ctypes
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from whatfits.bench.synthetic import write_synthetic_gguf
from whatfits.sizing.model import TensorShape, TensorSpec
from whatfits.sizing.quants.ggml_types import GGML_TYPES, tensor_bytes
from whatfits.sizing.quants.mixing import MixFacts, assign_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from whatfits.sizing.quants.file_types import FileType

_HERE = Path(__file__).parent
_WHOLE_NAMES = (".bias", "ssm_a", "ssm_d")  # tensors that are no `.weight`


@dataclass(frozen=True)
class HandMadeModel:
    """A small model as a table of shapes, and the header llama.cpp wants with it."""

    architecture: str
    shapes: tuple[TensorShape, ...]
    facts: MixFacts
    metadata: Mapping[str, object]

    def assigned(
        self, file_type: FileType, *, imatrix: bool = False, source_type: str | None = "F16"
    ) -> dict[str, str]:
        """Return tensor name → storage type by our rules."""
        types = assign_types(
            self.shapes,
            architecture=self.architecture,
            facts=self.facts,
            file_type=file_type,
            imatrix=imatrix,
            source_type=source_type,
        )
        return {shape.name: kind for shape, kind in zip(self.shapes, types, strict=True)}

    def stored(self, file_type: FileType, *, imatrix: bool = False) -> list[TensorSpec]:
        """Return the tensors as our rules store them."""
        types = self.assigned(file_type, imatrix=imatrix, source_type=None)
        return _specs(self.shapes, [types[shape.name] for shape in self.shapes])


def _tensors(table: str, prefix: str = "") -> Iterator[TensorShape]:
    for entry in table.replace("\n", ",").split(","):
        words = entry.split()
        if not words:
            continue
        name = words[0] if words[0].endswith(_WHOLE_NAMES) else f"{words[0]}.weight"
        dims = tuple(int(n) for n in words[1].split("x"))
        yield TensorShape(prefix + name, dims, words[2] if len(words) > 2 else None)


def _first(value: object) -> int:
    found = value[0] if isinstance(value, list) else value
    assert isinstance(found, int)
    return found


def _keys(table: Mapping[str, Any], n_layers: int) -> dict[str, object]:
    """Return the header's keys, architecture left out."""
    keys: dict[str, object] = {
        "vocab_size": table.get("vocabulary", 320),
        "context_length": 4096,
        "embedding_length": table["width"],
        "block_count": n_layers,
        "feed_forward_length": 512,
        "attention.head_count": table["heads"],
        "attention.layer_norm_epsilon": 1e-5,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }
    if "heads_kv" in table:
        keys["attention.head_count_kv"] = table["heads_kv"]
    if experts := table.get("experts"):
        keys |= {"expert_count": experts, "expert_used_count": 2, "expert_feed_forward_length": 256}
    return keys | table.get("keys", {})


def make_model(table: Mapping[str, Any]) -> HandMadeModel:
    """Return the model a table describes: a letter of `pattern` per layer, a kind per letter."""
    pattern: str = "".join(
        kind * int(count or 1)
        for kind, _, count in (part.partition("*") for part in table["pattern"].split())
    )
    width, vocabulary = table["width"], table.get("vocabulary", 320)
    output = "" if table.get("tied") else f"output {width}x{vocabulary}"
    shapes = [
        *_tensors(f"token_embd {width}x{vocabulary}, output_norm {width} F32, {output}"),
        *_tensors(table.get("globals", "")),
    ]
    for layer, kind in enumerate(pattern):
        shapes += _tensors(f"attn_norm {width} F32", f"blk.{layer}.")
        shapes += _tensors(table["kinds"][kind], f"blk.{layer}.")
    experts = table.get("experts", 0)
    architecture = table["architecture"]
    return HandMadeModel(
        architecture=architecture,
        shapes=tuple(shapes),
        facts=MixFacts(
            n_layers_all=len(pattern),
            n_head=table["heads"],
            n_head_kv=_first(table.get("heads_kv", table["heads"])),
            n_expert=experts,
        ),
        metadata={
            "general.architecture": architecture,
            "tokenizer.ggml.model": "none",
            **{f"{architecture}.{key}": value for key, value in _keys(table, len(pattern)).items()},
        },
    )


def _tables(file_name: str) -> dict[str, Any]:
    return tomllib.loads((_HERE / f"{file_name}.toml").read_text())


@pytest.fixture(scope="session")
def model_maker() -> Callable[[Mapping[str, Any]], HandMadeModel]:
    return make_model


@pytest.fixture(scope="session")
def hand_made_models() -> dict[str, HandMadeModel]:
    return {name: make_model(table) for name, table in _tables("hand_made_models").items()}


@pytest.fixture(scope="session")
def published_models() -> dict[str, HandMadeModel]:
    return {name: make_model(table) for name, table in _tables("published_models").items()}


@pytest.fixture(scope="session")
def recorded() -> dict[str, Any]:
    found = json.loads((_HERE / "recorded.json").read_text())
    assert isinstance(found, dict)
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `model_name` once for every hand-made model."""
    if "model_name" in metafunc.fixturenames:
        metafunc.parametrize("model_name", _tables("hand_made_models"))


@dataclass(frozen=True)
class Verdict:
    """What `llama-quantize` says: tensor types, or None and its reason when it refuses."""

    types: dict[str, str] | None
    log: str

    @property
    def wants_imatrix(self) -> bool:
        return "will require an imatrix" in self.log


QUANT_LINE: Final = re.compile(
    r"^\[\s*\d+/\s*\d+\] (?P<name>\S+)\s+- \[.*?\], type =\s*(?P<source>\S+),"
    r" size =.*?(?:\((?P<target>\S+)\))?$"
)


@dataclass(frozen=True)
class Quantizer:
    """llama.cpp's own choice of types, asked through a file that holds no data."""

    folder: Path

    def write(self, model: HandMadeModel) -> Path:
        path = self.folder / f"{model.architecture}.gguf"
        specs = _specs(model.shapes, [shape.fixed_type or _source(shape) for shape in model.shapes])
        write_synthetic_gguf(path, metadata=model.metadata, tensors=specs)
        return path

    def ask(self, path: Path, file_type: FileType, *, imatrix: bool = False) -> Verdict:
        """Return llama.cpp's verdict, with the overrides of the file type."""
        from whatfits.bench.llama_library import backend, captured_log

        binding = backend()
        params = binding.llama_model_quantize_default_params()
        params.ftype = file_type.id
        params.dry_run = True
        params.allow_requantize = True
        if file_type.output_type:
            params.output_tensor_type = GGML_TYPES[file_type.output_type].id
        if file_type.token_embedding_type:
            params.token_embedding_type = GGML_TYPES[file_type.token_embedding_type].id
        if imatrix:
            entry = binding.llama_model_imatrix_data
            params.imatrix = (entry * 2)(
                entry(b"unused", (ctypes.c_float * 1)(1.0), 1), entry(None, None, 0)
            )
        with captured_log(binding) as lines:
            status = binding.llama_model_quantize(
                str(path).encode(), b"unused.gguf", ctypes.byref(params)
            )
        log = "".join(lines)
        if status != 0:
            return Verdict(types=None, log=log)
        found = (QUANT_LINE.match(line) for line in log.splitlines())
        types = {m["name"]: (m["target"] or m["source"]).upper() for m in found if m}
        return Verdict(types=types, log=log)


def _source(shape: TensorShape) -> str:
    return "F32" if len(shape.shape) == 1 else "F16"


def _specs(shapes: Sequence[TensorShape], types: Sequence[str]) -> list[TensorSpec]:
    return [
        TensorSpec(shape.name, shape.shape, kind, tensor_bytes(kind, shape.shape), "layer")
        for shape, kind in zip(shapes, types, strict=True)
    ]


@pytest.fixture(scope="session")
def quantizer(tmp_path_factory: pytest.TempPathFactory) -> Quantizer:
    pytest.importorskip("llama_cpp")
    return Quantizer(tmp_path_factory.mktemp("gguf"))
