"""Fixtures: recorded facts, a header made from a spec, and the context column from the layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from whatfits.sizing.architectures import spec_from_config
from whatfits.sizing.model import FullAttention, LatentAttention, SlidingWindow
from whatfits.sizing.quants.ggml_types import row_bytes
from whatfits.sizing.readers.gguf import GgufHeader
from whatfits.sizing.readers.gguf_tensors import GgufTensor
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from whatfits.sizing.model import AttentionCache, LayerSpec, ModelSpec, TensorSpec

RECORDED = Path(__file__).parent / "recorded"
STATE_BYTES = 4


def recorded(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return document


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each recorded model, row or architecture a test of its own."""
    if "catalog_id" in metafunc.fixturenames:
        metafunc.parametrize("catalog_id", recorded("configs")["models"])
    if "row_model" in metafunc.fixturenames:
        metafunc.parametrize("row_model", recorded("llama_cpp_rows")["models"])
    if "small_config" in metafunc.fixturenames:
        known = recorded("small_configs")["architectures"]
        metafunc.parametrize("small_config", known.items(), ids=known)
    if "small_model" in metafunc.fixturenames:
        metafunc.parametrize("small_model", recorded("every_architecture")["architectures"])


@pytest.fixture(scope="session")
def configs() -> dict[str, dict[str, Any]]:
    models: dict[str, dict[str, Any]] = recorded("configs")["models"]
    return models


@pytest.fixture(scope="session")
def rows() -> dict[str, dict[str, Any]]:
    models: dict[str, dict[str, Any]] = recorded("llama_cpp_rows")["models"]
    return models


@pytest.fixture(scope="session")
def small_models() -> dict[str, Any]:
    return recorded("every_architecture")


@pytest.fixture(scope="session")
def small_metadata(small_models: dict[str, Any]) -> Callable[[str], dict[str, object]]:
    """Return a function from an architecture to the metadata of its small made-up model."""

    def metadata(name: str) -> dict[str, object]:
        entry = small_models["architectures"][name]
        values = {k: v for k, v in small_models["base"].items() if k not in entry.get("unset", ())}
        values |= entry.get("set", {})
        own = {f"{name}.{key}": _tuple(value) for key, value in values.items()}
        return {"general.architecture": name, **own, **entry.get("general", {})}

    return metadata


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@pytest.fixture(scope="session")
def catalog_spec(configs: dict[str, dict[str, Any]]) -> Callable[[str, str], ModelSpec]:
    """Return a function from a recorded model and a file type to its spec."""

    def spec(name: str, file_type: str) -> ModelSpec:
        config = configs[name]["config"]
        return spec_from_config(config, name=name, source="test", file_type=file_type)

    return spec


@pytest.fixture(scope="session")
def header_of() -> Callable[[ModelSpec], GgufHeader]:
    """Return a function from a spec to the header its file would have."""

    def header(spec: ModelSpec) -> GgufHeader:
        tensors = tuple(
            GgufTensor(
                name=tensor.name,
                shape=tensor.shape,
                type=tensor.type,
                n_bytes=tensor.n_bytes,
                offset_bytes=tensor.offset_bytes or 0,
            )
            for tensor in spec.tensors
        )
        return GgufHeader(
            version=3,
            metadata=dict(spec.metadata),  # type: ignore[arg-type]
            array_lengths={"tokenizer.ggml.tokens": spec.hparams.n_vocab},
            tensors=tensors,
            alignment=32,
            data_offset_bytes=0,
            file_bytes=spec.file_bytes or 0,
        )

    return header


class ContextSum(Protocol):
    """Bytes of the context column for layers and settings."""

    def __call__(
        self,
        layers: Sequence[LayerSpec],
        *,
        sequence_tokens: int,
        parallel: int = 1,
        micro_batch: int = 512,
        swa_full: bool = True,
        flash: bool = True,
        unified: bool = False,
        type_k: str = "f16",
        type_v: str = "f16",
    ) -> int: ...


def context_sum(
    layers: Sequence[LayerSpec],
    *,
    sequence_tokens: int,
    parallel: int = 1,
    micro_batch: int = 512,
    swa_full: bool = True,
    flash: bool = True,
    unified: bool = False,
    type_k: str = "f16",
    type_v: str = "f16",
) -> int:
    """Rows times bytes a row: the rule of llama.cpp, written down a second time for the tests."""
    streams, sharing = (1, parallel) if unified else (parallel, 1)
    widest = max((layer.n_head_kv * layer.value_length for layer in layers), default=0)
    size = 0
    for layer in layers:
        if layer.attention is not None:
            cells = sequence_tokens
            if isinstance(layer.attention, SlidingWindow) and not swa_full:
                users = 1 if layer.own_streams else sharing
                window = layer.attention.window_tokens * users + micro_batch
                cells = pad(min(sequence_tokens, window), 256)
            key, value = _widths(layer.attention)
            value = max(widest, value) if value and not flash else value
            row = row_bytes(type_k.upper(), key) + row_bytes(type_v.upper(), value)
            size += row * cells * (parallel if layer.own_streams else streams)
        for past in layer.compressed:
            cells = pad(-(-sequence_tokens // past.ratio), 256)
            size += row_bytes(type_k.upper(), past.key_width) * cells * parallel
        if layer.recurrent is not None:
            state = layer.recurrent.shift_elements + layer.recurrent.state_elements
            size += state * STATE_BYTES * parallel
    return size


def _widths(cache: AttentionCache) -> tuple[int, int]:
    match cache:
        case FullAttention(key, value) | SlidingWindow(key, value, _):
            return key, value
        case LatentAttention(key):
            return key, 0


@pytest.fixture(scope="session")
def context_bytes() -> ContextSum:
    return context_sum


@pytest.fixture
def synthetic_file(tmp_path: Path) -> Callable[[ModelSpec], Path]:
    """Return a function that writes a spec as a sparse GGUF llama.cpp accepts.

    The blocks that predict further tokens are not in the spec, so the metadata leaves them out as
    well; word-piece models get a made-up vocabulary, all others none.
    """
    from whatfits.bench.synthetic import write_synthetic_gguf

    def write(spec: ModelSpec) -> Path:
        metadata = dict(spec.metadata)
        total = metadata[f"{spec.architecture}.block_count"]
        metadata[f"{spec.architecture}.block_count"] = spec.n_layers
        metadata.pop(f"{spec.architecture}.nextn_predict_layers", None)
        for key, value in metadata.items():
            if isinstance(value, tuple) and len(value) == total:
                metadata[key] = value[: spec.n_layers]
        metadata |= _vocabulary(spec.hparams.n_vocab, spec.tensors)
        path = tmp_path / "model.gguf"
        write_synthetic_gguf(path, metadata=metadata, tensors=spec.tensors)
        return path

    return write


@pytest.fixture
def whole_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes all that a configuration becomes, unloaded blocks included.

    `beside` is metadata that no configuration says.
    """
    from whatfits.bench.synthetic import write_synthetic_gguf
    from whatfits.sizing.architectures import config_spec as drawing
    from whatfits.sizing.quants.file_types import find_file_type

    def write(config: Mapping[str, object], beside: Mapping[str, object] | None = None) -> Path:
        file_type = find_file_type("Q4_K_M")
        blueprint, shapes_of = drawing._drawn(config, n_vocab_override=None, file_type=file_type)
        tensors = drawing._typed(tuple(shapes_of(blueprint)), blueprint, file_type, imatrix=None)
        metadata = {
            **blueprint.metadata.kept(),
            **_vocabulary(blueprint.n_vocab, tensors),
            **(beside or {}),
        }
        path = tmp_path / "whole.gguf"
        in_order = sorted(tensors, key=lambda tensor: tensor.offset_bytes or 0)
        write_synthetic_gguf(path, metadata=metadata, tensors=in_order)
        return path

    return write


def _vocabulary(n_vocab: int, tensors: Sequence[TensorSpec]) -> dict[str, object]:
    """Return a made-up word-piece vocabulary for models with token types, none for others."""
    types = next((t.shape[-1] for t in tensors if t.name == "token_types.weight"), 0)
    if not types:
        return {"tokenizer.ggml.model": "none"}
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [f"word{i}" for i in range(n_vocab - len(special))]
    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": special + words,
        "tokenizer.ggml.token_type_count": types,
    }


@pytest.fixture
def user_model_context(tmp_path: Path) -> Callable[[dict[str, object], list[dict[str, Any]]], Any]:
    """Return a function: metadata without a file → context bytes llama.cpp allocates, by setting.

    llama.cpp makes the tensors such metadata asks for (`llama_model_init_from_user`), so that the
    cache of an architecture can be checked without a tensor table for it.
    """
    from llama_cpp import llama_cpp as binding

    from whatfits.bench import llama_library as bench
    from whatfits.bench.synthetic import write_synthetic_gguf

    bench.backend()
    load_user_model = _user_model_loader(binding)

    def measure(metadata: dict[str, object], settings: list[dict[str, Any]]) -> list[int]:
        path = tmp_path / "metadata.gguf"
        write_synthetic_gguf(
            path, metadata={"tokenizer.ggml.model": "none", **metadata}, tensors=()
        )
        with bench.captured_log(binding):
            model = load_user_model(path)
            try:
                return [_context_column(binding, bench, model, setting) for setting in settings]
            finally:
                binding.llama_model_free(model)

    return measure


def _user_model_loader(
    binding: Any,  # noqa: ANN401 - an untyped C binding
) -> Callable[[Path], Any]:
    """Return a function: a GGUF without tensors → the model llama.cpp makes of it."""
    import ctypes

    import llama_cpp

    class GgufParams(ctypes.Structure):
        _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))

    base = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
    read = base.gguf_init_from_file
    read.argtypes, read.restype = [ctypes.c_char_p, GgufParams], ctypes.c_void_p
    fill = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
    load = binding._lib.llama_model_init_from_user
    load.argtypes = [ctypes.c_void_p, fill, ctypes.c_void_p, binding.llama_model_params]
    load.restype = ctypes.c_void_p
    nothing = fill(lambda _tensor, _user_data: None)

    def load_user_model(path: Path) -> Any:  # noqa: ANN401 - a C pointer
        params = binding.llama_model_default_params()
        params.load_mode = binding.LLAMA_LOAD_MODE_NONE
        params.use_extra_bufts = False  # a machine's own layouts are not what is tested
        model = load(read(str(path).encode(), GgufParams(True, None)), nothing, None, params)
        assert model
        return model

    return load_user_model


def _context_column(
    binding: Any,  # noqa: ANN401 - an untyped C binding
    bench: Any,  # noqa: ANN401 - same
    model: Any,  # noqa: ANN401 - a C pointer
    setting: dict[str, Any],
) -> int:
    params = binding.llama_context_default_params()
    params.n_ctx, params.n_seq_max = setting["context"], setting["parallel"]
    params.swa_full, params.kv_unified = setting["swa_full"], setting["unified"]
    params.flash_attn_type = 1 if setting["flash"] else 0
    context = binding.llama_init_from_model(model, params)
    assert context
    try:
        return sum(row.context for row in bench.breakdown(context).values())
    finally:
        binding.llama_free(context)
