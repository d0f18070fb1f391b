"""One file a family: configuration → metadata → tensor table and cache layout.

The registry is written out here; a family's module is imported when one of its models is asked
for, so that answering for one model imports one family.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.architectures.family import Architecture
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.readers.gguf import GgufHeader

__all__ = [
    "REGISTRY",
    "TEXT_PARTS",
    "Entry",
    "find_entry",
    "flattened",
    "language_parts",
    "load_architecture",
    "spec_from_config",
    "spec_from_gguf",
    "supported_configs",
]

_PACKAGE: Final = "whatfits.sizing.architectures"
# Where multimodal models keep the language model's part; Qwen's Omni has one inside another.
TEXT_PARTS: Final = ("text_config", "llm_config", "language_config", "thinker_config")
_DEEPEST: Final = 3


class Entry(NamedTuple):
    """One GGUF architecture: where its family is, and which configurations become it.

    Attributes:
        architecture: GGUF architecture.
        module: family file.
        configs: values of `model_type`, and class names for configurations without one.
    """

    architecture: str
    module: str
    configs: tuple[str, ...]


REGISTRY: Final = (
    Entry(
        "llama",
        "llama",
        (
            "llama",
            "mistral",
            "mixtral",
            "internlm3",
            "iquestcoder",
        ),
    ),
    Entry("mistral3", "llama", ("mistral3", "ministral3")),
    Entry("llama4", "llama4", ("llama4", "llama4_text")),
    Entry("smollm3", "llama", ("smollm3",)),
    Entry("arcee", "llama", ("arcee",)),
    Entry("internlm2", "llama", ("internlm2",)),
    Entry("baichuan", "llama", ("baichuan",)),
    Entry("apertus", "apertus", ("apertus",)),
    Entry("bitnet", "bitnet", ("bitnet",)),
    Entry("dbrx", "dbrx", ("dbrx",)),
    Entry("deci", "deci", ("nemotron-nas",)),
    Entry("ernie4_5", "ernie", ("ernie4_5",)),
    Entry("ernie4_5-moe", "ernie", ("ernie4_5_moe",)),
    Entry("hunyuan-dense", "hunyuan", ("hunyuan_v1_dense",)),
    Entry("hunyuan-moe", "hunyuan", ("hunyuan", "hunyuan_v1_moe")),
    Entry("hy_v3", "hunyuan", ("hy_v3",)),
    Entry("bailingmoe", "bailing", ("bailing_moe",)),
    Entry("bailingmoe2", "bailing", ("bailing_moe_v2",)),
    Entry("bailingmoe3", "bailing", ("bailing_hybrid",)),
    Entry("mellum", "windowed", ("mellum",)),
    Entry("muse-glimmer", "windowed", ("muse_glimmer",)),
    Entry("laguna", "windowed", ("laguna",)),
    Entry("mimo2", "mimo", ("mimo_v2_flash",)),
    Entry("step35", "step", ("step3p5", "step3p7")),
    Entry("seed_oss", "llama", ("seed_oss",)),
    Entry("qwen2", "qwen", ("qwen2", "mimo")),
    Entry("qwen2moe", "qwen", ("qwen2_moe",)),
    Entry("qwen2vl", "qwen", ("qwen2_vl", "qwen2_5_vl", "qwen2_5_omni")),
    Entry("qwen3", "qwen", ("qwen3",)),
    Entry("qwen3moe", "qwen", ("qwen3_moe",)),
    Entry("qwen3vl", "qwen", ("qwen3_vl",)),
    Entry("qwen3vlmoe", "qwen", ("qwen3_vl_moe",)),
    Entry("qwen3next", "qwen_hybrid", ("qwen3_next",)),
    Entry("qwen35", "qwen_hybrid", ("qwen3_5", "qwen3_5_text")),
    Entry("qwen35moe", "qwen_hybrid", ("qwen3_5_moe", "qwen3_5_moe_text")),
    Entry("gemma", "gemma", ("gemma",)),
    Entry("gemma2", "gemma", ("gemma2",)),
    Entry("gemma3", "gemma", ("gemma3", "gemma3_text")),
    Entry("gemma-embedding", "gemma", ()),
    Entry("gemma3n", "gemma_n", ("gemma3n", "gemma3n_text")),
    Entry("gemma4", "gemma_n", ("gemma4", "gemma4_text")),
    Entry("phi2", "phi", ("phi",)),
    Entry("phi3", "phi", ("phi3",)),
    Entry("phimoe", "phi", ("phimoe",)),
    Entry(
        "deepseek2",
        "deepseek",
        (
            "deepseek_v2",
            "deepseek_v3",
            "kimi_k2",
            "kimi_k25",
            "glm4_moe_lite",
        ),
    ),
    Entry("mistral4", "deepseek", ("mistral4",)),
    Entry("deepseek32", "deepseek_sparse", ("deepseek_v32",)),
    Entry("glm-dsa", "deepseek_sparse", ("glm_moe_dsa",)),
    Entry("deepseek4", "deepseek4", ("deepseek_v4",)),
    Entry("glm5-next", "glm_next", ("glm5_next",)),
    Entry("kimi-linear", "kimi_linear", ("kimi_linear",)),
    Entry("kimi-k3", "kimi_linear", ("kimi_k3",)),
    Entry("gpt-oss", "gpt_oss", ("gpt_oss",)),
    Entry("olmo2", "olmo", ("olmo2", "olmo3")),
    Entry("olmoe", "olmo", ("olmoe",)),
    Entry("granite", "granite", ("granite",)),
    Entry("granitemoe", "granite", ("granitemoe", "granitemoeshared")),
    Entry("command-r", "cohere", ("cohere",)),
    Entry("cohere2", "cohere", ("cohere2",)),
    Entry("chatglm", "glm", ("glm", "chatglm")),
    Entry("glm4", "glm", ("glm4",)),
    Entry("glm4moe", "glm_moe", ("glm4_moe", "solar_open")),
    Entry("exaone", "exaone", ("exaone",)),
    Entry("exaone4", "exaone", ("exaone4", "exaone4_5")),
    Entry("exaone-moe", "exaone", ("exaone_moe",)),
    Entry("falcon", "layer_norm", ("falcon",)),
    Entry("starcoder2", "layer_norm", ("starcoder2",)),
    Entry("stablelm", "layer_norm", ("stablelm",)),
    Entry("nemotron", "layer_norm", ("nemotron",)),
    Entry("minimax-01", "minimax", ("minimax_text_01", "minimax_m1")),
    Entry("minimax-m2", "minimax", ("minimax_m2",)),
    Entry("minimax-m3", "minimax", ("minimax_m3", "minimax_m3_vl")),
    Entry("lfm2", "lfm", ("lfm2",)),
    Entry("lfm2moe", "lfm", ("lfm2_moe",)),
    Entry("granitehybrid", "mamba_hybrid", ("granitemoehybrid",)),
    Entry("nemotron_h", "mamba_hybrid", ("nemotron_h",)),
    Entry("nemotron_h_moe", "mamba_hybrid", ()),
    Entry("falcon-h1", "mamba_hybrid", ("falcon_h1",)),
    Entry("jamba", "mamba_hybrid", ("jamba",)),
    Entry("mamba", "recurrent", ("mamba", "falcon_mamba")),
    Entry("mamba2", "recurrent", ("mamba2",)),
    Entry("rwkv7", "recurrent", ("rwkv7",)),
    Entry("rwkv6", "rwkv", ("rwkv6",)),
    Entry("rwkv6qwen2", "rwkv", ("rwkv6qwen2",)),
    Entry("arwkv7", "rwkv", ("rwkv_hybrid",)),
    Entry("gpt2", "gpt", ("gpt2",)),
    Entry("gptneox", "gpt", ("gpt_neox",)),
    Entry("bloom", "gpt", ("bloom",)),
    Entry("mpt", "gpt", ("mpt",)),
    Entry("jais", "gpt", ("jais",)),
    Entry("starcoder", "gpt", ("gpt_bigcode",)),
    Entry("codeshell", "gpt", ("codeshell",)),
    Entry("orion", "gpt", ("orion",)),
    Entry("minicpm", "minicpm", ("minicpm",)),
    Entry("minicpm3", "minicpm", ("minicpm3",)),
    Entry("deepseek", "mixtures", ("deepseek",)),
    Entry("dots1", "mixtures", ("dots1",)),
    Entry("afmoe", "mixtures", ("afmoe",)),
    Entry("smallthinker", "mixtures", ("smallthinker",)),
    Entry("grovemoe", "mixtures", ("grove_moe",)),
    Entry("llada-moe", "mixtures", ("llada_moe",)),
    Entry("rnd1", "mixtures", ("rnd1",)),
    Entry("qwen", "plain", ("qwen",)),
    Entry("xverse", "plain", ("xverse",)),
    Entry("refact", "plain", ("gpt_refact",)),
    Entry("plamo", "plain", ("plamo",)),
    Entry("pangu-embedded", "plain", ("PanguEmbedded",)),
    Entry("olmo", "plain", ("olmo",)),
    Entry("dream", "plain", ("Dream",)),
    Entry("llada", "plain", ("llada",)),
    Entry("bert", "bert", ("bert", "xlm-roberta", "roberta")),
    Entry("nomic-bert", "bert", ("nomic_bert",)),
    Entry("nomic-bert-moe", "bert", ("nomic_bert_moe",)),
    Entry("eurobert", "bert", ("eurobert",)),
)
_BY_CONFIG: Final = {name: entry for entry in REGISTRY for name in entry.configs}
_BY_ARCHITECTURE: Final = {entry.architecture: entry for entry in REGISTRY}


def find_entry(config: Mapping[str, object]) -> Entry | None:
    """Return the entry of a configuration, None when there is none.

    The outer `model_type` decides, then those of the language model's parts, then the class names,
    which llama.cpp's converter goes by.
    """
    parts = language_parts(config)
    whole = flattened(config)
    for part in parts:
        kind = part.get("model_type")
        if isinstance(kind, str) and kind in _BY_CONFIG:
            return _refined(_BY_CONFIG[kind], whole)
    from whatfits.sizing.architectures.class_names import CLASS_NAMES  # noqa: PLC0415 - rarely needed

    for part in parts:
        classes = part.get("architectures")
        for name in classes if isinstance(classes, (list, tuple)) else ():
            if isinstance(name, str) and name in CLASS_NAMES:
                return _refined(_BY_ARCHITECTURE[CLASS_NAMES[name]], whole)
    return None


def language_parts(config: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return a configuration and what it says of its language model, part in part."""
    parts = [config]
    while len(parts) <= _DEEPEST:
        inner = next((v for name in TEXT_PARTS if isinstance(v := parts[-1].get(name), dict)), None)
        if inner is None:
            break
        parts.append(inner)
    return parts


def flattened(config: Mapping[str, object]) -> dict[str, object]:
    """Return one level of fields: those of the language model, outer ones filling its gaps.

    null is as good as not given: it covers nothing. What is then missing is the class's own.
    """
    from whatfits.sizing.architectures.config_defaults import class_defaults  # noqa: PLC0415 - cold path

    merged: dict[str, object] = {}
    parts = language_parts(config)
    for part in parts:
        merged |= {key: v for key, v in part.items() if v is not None or key not in merged}
    defaults = class_defaults(merged.get("model_type"), is_inner=len(parts) > 1)
    return defaults | {key: value for key, value in merged.items() if key not in TEXT_PARTS}


def _refined(entry: Entry, config: Mapping[str, object]) -> Entry:
    """Return the entry after a second look, where one kind of configuration has two outcomes.

    A Granite 4 without state-space layers is converted as a plain Granite, a Nemotron H with
    experts under a name of its own; Kimi K3 calls its text part Kimi Linear; EmbeddingGemma is a
    Gemma 3 without a head; Mistral Small 4 comes in the wrapper of Mistral 3.
    """
    if entry.architecture == "mistral3" and config.get("model_type") == "mistral4":
        return _BY_ARCHITECTURE["mistral4"]
    if entry.architecture == "granitehybrid":
        kinds = config.get("layer_types")
        if isinstance(kinds, (list, tuple)) and all(kind == "attention" for kind in kinds):
            plain = "granitemoe" if config.get("num_experts_per_tok") else "granite"
            return _BY_ARCHITECTURE[plain]
    if entry.architecture == "nemotron_h" and config.get("n_routed_experts"):
        return _BY_ARCHITECTURE["nemotron_h_moe"]
    classes = config.get("architectures")
    if entry.architecture == "gemma3" and isinstance(classes, (list, tuple)):
        # the same kind of configuration, under a class without a head
        return _BY_ARCHITECTURE["gemma-embedding"] if "Gemma3TextModel" in classes else entry
    if entry.architecture == "nomic-bert" and config.get("num_experts"):
        return _BY_ARCHITECTURE["nomic-bert-moe"]
    if entry.architecture == "kimi-linear" and config.get("routed_expert_hidden_size"):
        return _BY_ARCHITECTURE["kimi-k3"]
    return entry


@cache
def load_architecture(entry: Entry) -> Architecture:
    """Return the architecture of an entry, importing its family."""
    module = import_module(f"{_PACKAGE}.{entry.module}")
    architectures: tuple[Architecture, ...] = module.ARCHITECTURES
    return next(one for one in architectures if one.name == entry.architecture)


def supported_configs() -> Mapping[str, str]:
    """Return `model_type` or class name → GGUF architecture, for all that have a tensor table."""
    return {name: entry.architecture for name, entry in _BY_CONFIG.items()}


def spec_from_config(
    config: Mapping[str, object],
    *,
    name: str,
    source: str,
    file_type: str,
    n_vocab_override: int | None = None,
    imatrix: bool | None = None,
    origin: str = "",
) -> ModelSpec:
    """Return the model a Hugging Face configuration becomes as a GGUF of a file type.

    `file_bytes` is the tensor data alone; `file_header` is what a real file has before it, mostly
    the tokenizer: a few megabytes. `n_vocab_override` is the length of the tokenizer where it
    differs from `vocab_size`; the embedding then has that many rows, as llama.cpp demands.
    `imatrix` says that the file was made with an importance matrix, which moves the mix of a few
    file types; unset: where `llama-quantize` demands one.

    Raises:
        UnsupportedArchitectureError: there is no tensor table for this kind of configuration.
        UnknownFileTypeError: no such file type.
        MalformedFileError: a value is missing, of the wrong kind or out of range.
    """
    from whatfits.sizing.architectures.config_spec import config_spec  # noqa: PLC0415 - cold path

    return config_spec(
        config,
        name=name,
        source=source,
        file_type=file_type,
        n_vocab_override=n_vocab_override,
        imatrix=imatrix,
        origin=origin,
    )


def spec_from_gguf(header: GgufHeader, *, name: str, source: str) -> ModelSpec:
    """Return the model of a GGUF header: exact tensors, cache and working memory.

    Raises:
        UnsupportedArchitectureError: nothing sound can be said about the cache.
        MalformedFileError: a value is missing, of the wrong kind or out of range.
    """
    from whatfits.sizing.architectures.spec import gguf_spec  # noqa: PLC0415 - cold path

    return gguf_spec(header, name=name, source=source)
