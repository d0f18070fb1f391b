"""Hostile `model.safetensors.index.json` and `config.json` files, by class."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gguf_case import ACCEPTED, NOTED, REFUSED, Case

from whatfits.sizing.readers.hf_config import MAX_CONFIG_BYTES
from whatfits.sizing.readers.safetensors_index import MAX_FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARD = "model-00001-of-00002.safetensors"
LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "max_position_embeddings": 512,
}
OUTSIDE = (
    *("../x.safetensors", "../../etc/passwd", "a/../../x.safetensors", "/etc/passwd"),
    *("/x.safetensors", "sub/x.safetensors", "..", ".", "", ".safetensors", ".hidden.safetensors"),
    *(
        "C:\\x.safetensors",
        "c:x.safetensors",
        "..\\x.safetensors",
        "\\\\host\\share\\x.safetensors",
    ),
    *("file:///x.safetensors", "https://example.com/x.safetensors", "hf://a/b.safetensors"),
    *("x.safetensors/", "x.safetensors\0", "a\nb.safetensors", "x.safetensors:stream"),
    *("a" * 300 + ".safetensors", "é" * 150 + ".safetensors", "*.safetensors", "x|y.safetensors"),
    *("pytorch_model-00001-of-00002.bin", "model.pt", "model.gguf", "config.json", "x"),
)


def index(weight_map: Any, **more: Any) -> bytes:  # noqa: ANN401 - unsound ones too
    """An index with this map."""
    return json.dumps({"weight_map": weight_map, **more}).encode()


def outside() -> Iterator[Case]:
    for name in OUTSIDE:
        yield Case(f"file {name[:40]!r}", index({"a": name}), REFUSED, "plain name")
    for name in (
        SHARD,
        "model.safetensors",
        "MODEL.SAFETENSORS",
        "ü.safetensors",
        "a b.safetensors",
        "a" * 243 + ".safetensors",
    ):
        yield Case(f"file {name!r}", index({"a": name}), ACCEPTED)


def index_shapes() -> Iterator[Case]:
    for text in ("", "[]", "{}", "1", "null", '{"weight_map":', '{"a":1}{', "{]", "\ufeff{}", "\0"):
        yield Case(f"index {text!r}", text.encode(), REFUSED)
    for value in ({}, [], None, 1, "a", [SHARD], True):
        yield Case(f"map {value!r}", index(value), REFUSED)
    for value in (None, 1, [], {}, True, [SHARD]):
        yield Case(f"file {value!r}", index({"a": value}), REFUSED, "string")
    for text in (
        f'{{"weight_map":{{"a":"{SHARD}","a":"{SHARD}"}}}}',
        '{"metadata":{},"metadata":{}}',
    ):
        yield Case(f"twice in {text[:12]}", text.encode(), REFUSED, "twice")
    yield Case("not UTF-8", index({"a": SHARD}).replace(b"a", b"\xff", 1), REFUSED)
    yield Case("goes on", index({"a": SHARD}) + b"x", REFUSED, "goes on")
    yield Case("more keys", index({"a": SHARD}, extra={"b": [1]}), ACCEPTED)


def index_bloat() -> Iterator[Case]:
    files = {f"t{i}": f"m{i}.safetensors" for i in range(MAX_FILES + 1)}
    yield Case("too many files", index(files), REFUSED, "files")
    yield Case(
        "a million files", index({f"t{i}": f"m{i}.safetensors" for i in range(300_000)}), REFUSED
    )
    yield Case("8 MB of lists", b'{"x":[' + b"[]," * 2_700_000 + b"1]}", REFUSED, "too many")
    flat = b'{"x":[' + b"1," * 4_000_000 + b"1]}"
    yield Case("8 MB of numbers", flat, REFUSED, "too long")
    yield Case(
        "deep", index({"a": SHARD}, x=0)[:-2] + b"[" * 50_000 + b"]" * 50_000 + b"}", REFUSED
    )
    yield Case("long file name", index({"a": "a" * 5_000_000}), REFUSED, "bytes long")


def totals() -> Iterator[Case]:
    for total in (0, 1, 2**63, 8.0, 2**64 - 1):
        yield Case(f"total {total}", index({"a": SHARD}, metadata={"total_size": total}), ACCEPTED)
    for total in (-1, 2**64, "8", None, 1.5, [], True, 1e300):
        yield Case(
            f"total {total!r}",
            index({"a": SHARD}, metadata={"total_size": total}),
            NOTED,
            "total_size",
        )
    for value in ([], 1, None, "a", {}):
        yield Case(f"metadata {value!r}", index({"a": SHARD}, metadata=value), ACCEPTED)


def config(**changed: Any) -> bytes:  # noqa: ANN401 - unsound ones too
    """A small configuration with some fields changed, or left out by `...`."""
    values = {**LLAMA, **changed}
    return json.dumps({k: v for k, v in values.items() if v is not ...}).encode()


def config_shapes() -> Iterator[Case]:
    for text in (
        "",
        "[]",
        "1",
        "null",
        '"a"',
        "{",
        '{"a"',
        "{a:1}",
        "\ufeff{}",
        "\0",
        "{}{}",
        "PK\3\4",
    ):
        yield Case(f"config {text!r}", text.encode(), REFUSED)
    yield Case("not UTF-8", config().replace(b"llama", b"\xff\xfe"), REFUSED, "UTF-8")
    yield Case("UTF-16", config().decode().encode("utf-16"), REFUSED)
    yield Case("half a pair", config(model_type="\ud800"), REFUSED, "surrogate")
    yield Case("twice", config()[:-1] + b',"hidden_size":64}', NOTED, "twice")
    for digits in (41, 5_000, 1_000_000):
        text = config()[:-1] + b',"x":' + b"9" * digits + b"}"
        yield Case(f"{digits} digits", text, REFUSED, "digits")
    for word in ("NaN", "Infinity", "-Infinity", "1e999"):
        yield Case(f"odd field {word}", config()[:-1] + f',"x":{word}}}'.encode(), ACCEPTED)


def config_bloat() -> Iterator[Case]:
    for depth in (65, 900, 100_000):
        text = config()[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"
        yield Case(f"{depth} deep", text, REFUSED)
    yield Case(
        "3 MB of lists", config()[:-1] + b',"x":[' + b"[]," * 1_000_000 + b"1]}", REFUSED, "parts"
    )
    yield Case("3 MB of keys", b"{" + b'"":1,' * 600_000 + b'"a":1}', REFUSED, "parts")
    yield Case("3 MB of text", config(x="a" * 3_000_000), ACCEPTED)
    longest = config() + b" " * (MAX_CONFIG_BYTES - len(config()))
    yield Case("as long as it may be", longest, ACCEPTED)
    yield Case("too long", config(x="a" * MAX_CONFIG_BYTES), REFUSED, "bytes long")


def config_counts() -> Iterator[Case]:
    for field in ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"):
        for value in (..., None, "32", True, -1, 0, 1.5, 2**31, 2**63, 10**30, [], {}, [1], "x"):
            yield Case(f"{field} {value!r}", config(**{field: value}), REFUSED)
    for field in (
        "num_key_value_heads",
        "intermediate_size",
        "head_dim",
        "max_position_embeddings",
    ):
        for value in (-1, 1.5, 2**63, 10**30, {"a": 1}):
            yield Case(f"{field} {value!r}", config(**{field: value}), REFUSED)
    for field in ("num_hidden_layers", "hidden_size"):
        for word in ("NaN", "Infinity", "1e999", "-1e999"):
            yield Case(
                f"{field} {word}",
                config(**{field: 12345}).replace(b"12345", word.encode()),
                REFUSED,
            )


def config_kinds() -> Iterator[Case]:
    for kind in (None, 1, [], {}, "", "no_such_model", "../../x", "a" * 1_000_000, "llama\n", True):
        yield Case(
            f"kind {str(kind)[:20]!r} {type(kind).__name__}",
            config(model_type=kind),
            NOTED,
            "not known",
        )
    yield Case(
        "architectures no list",
        config(model_type=..., architectures="LlamaForCausalLM"),
        NOTED,
        "not known",
    )
    yield Case("class alone", config(model_type=..., architectures=["LlamaForCausalLM"]), ACCEPTED)
    yield Case("code of its own", config(auto_map={"AutoModel": "os.system"}), NOTED, "never run")
    yield Case(
        "nested", json.dumps({"model_type": "llama", "text_config": LLAMA}).encode(), ACCEPTED
    )
    yield Case("nested in itself", config(text_config={"text_config": LLAMA}), ACCEPTED)
    for other in ("peft_type", "_diffusers_version", "image_processor_type"):
        yield Case(f"no model: {other}", config(**{other: "x"}), REFUSED, other)


def config_quantisation() -> Iterator[Case]:
    for block in (None, [], 1, "awq", {}, True):
        yield Case(f"block {block!r}", config(quantization_config=block), ACCEPTED)
    for method in ("no_such", "", 1, None, [], {}, "pickle", "\x1b[31m"):
        yield Case(
            f"method {method!r}",
            config(quantization_config={"quant_method": method, "x": 1}),
            NOTED,
            "described",
        )
    for method in ("awq", "gptq", "fp8", "mxfp4", "bitsandbytes", "modelopt", "compressed-tensors"):
        for value in (None, -7, 0, 1.5, "4", [], {}, 10**30, True, [0, 0], ["a"]):
            fields = (
                "bits",
                "group_size",
                "weight_block_size",
                "config_groups",
                "ignore",
                "format",
                "quant_algo",
            )
            block = {"quant_method": method, **dict.fromkeys(fields, value)}
            yield Case(
                f"{method} with {value!r}", config(quantization_config=block), NOTED, "llama.cpp"
            )
    for value in (None, -7, 0, "4", [], 10**30, 7):
        block = {"bits": value, "group_size": value, "mode": value, "model.layers.0": value}
        yield Case(f"mlx with {value!r}", config(quantization=block), NOTED, "llama.cpp")


INDEX_CLASSES: dict[str, Callable[[], Iterator[Case]]] = {
    "S4 names that leave the folder": outside,
    "S4 shape": index_shapes,
    "S4 bloat": index_bloat,
    "S4 totals": totals,
}
CONFIG_CLASSES: dict[str, Callable[[], Iterator[Case]]] = {
    "C1 shape": config_shapes,
    "C1 bloat": config_bloat,
    "C1 counts": config_counts,
    "C1 kinds": config_kinds,
    "C1 quantisation": config_quantisation,
}
