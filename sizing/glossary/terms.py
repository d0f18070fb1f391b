"""The terms people meet, in plain words, each with figures for the reader's own machine."""

from __future__ import annotations

from whatfits.sizing.errors import UnknownTermError
from whatfits.sizing.glossary.figures import (
    bandwidths,
    cache_per_token,
    four_bits,
    memory_of_a_mac,
    overheads,
    sizes_of_pools,
    units,
    what_is_free,
)
from whatfits.sizing.glossary.models import MODEL_TERMS
from whatfits.sizing.glossary.serving import COST_TERMS, SERVING_TERMS
from whatfits.sizing.glossary.term import Term
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["FIVE_WORDS", "TERMS", "Term", "find_term"]

# what a newcomer needs before anything else, at most twenty words each
FIVE_WORDS: Final = (
    ("Parameters", "the numbers the model learned."),
    (
        "Quantisation",
        "how coarsely each is stored; a smaller file, slightly worse answers.",
    ),
    ("Context", "how much text it keeps in mind; it costs memory."),
    ("KV cache", "its notes on what it has read."),
    ("Headroom", "memory left for everything else."),
)
TERMS: Final = (
    Term(
        "4-bit rule",
        ("4 bit rule", "four bit rule", "half a byte", "rule of thumb", "4-bit", "4bit"),
        "At 16 bits a weight takes 2 bytes; at 4 bits about half a byte, in practice 4.5 to 4.9 "
        "bits. So the weights in GB are a little over half the billions of parameters. Cache and "
        "buffers come on top.",
        four_bits,
        ("whatfits check MODEL", "whatfits quants MODEL"),
    ),
    Term(
        "KV cache",
        ("kv", "kv-cache", "cache", "key value cache", "context memory"),
        "The model's notes on what it has read: one row of keys and one of values per token and "
        "layer. It grows with the context and with every user at once. Window layers stop "
        "growing; latent attention keeps one short row; recurrent layers keep a fixed state.",
        cache_per_token,
        ("whatfits check MODEL --context 32k", "whatfits check MODEL --kv-type q8_0"),
    ),
    Term(
        "context",
        ("context length", "context window", "ctx", "n_ctx"),
        "How many tokens of text the model keeps in mind at once: question, documents and answer "
        "together. A token is about three quarters of an English word. More context costs memory "
        "and time, used or not: it is reserved at the start.",
        cache_per_token,
        ("whatfits check MODEL",),
    ),
    Term(
        "quantisation",
        ("quantization", "quant", "quants", "file type", "bits"),
        "Storing each weight with fewer bits: smaller file, less to read, slightly worse answers. "
        "Weights are grouped in blocks that share a scale. Q4_K_M is the usual balance.",
        four_bits,
        ("whatfits quants", "whatfits explain Q4_K_M"),
    ),
    Term(
        "parameters",
        ("weights", "parameter", "model size", "b"),
        "The numbers a model learned: 8B means eight billion. In a mixture of experts all of them "
        "have to be held, but only the active ones are read for a token.",
        four_bits,
    ),
    Term(
        "mixture of experts",
        ("moe", "experts", "active parameters"),
        "Most weights sit in experts of which each token uses a few. It needs the memory of all "
        "its parameters and runs at the speed of the active ones; experts can lie in slower memory "
        "at a bearable price.",
    ),
    Term(
        "headroom",
        ("free memory", "free", "reserve"),
        "Memory left for everything else. Free here means: the limit, less what others hold now, "
        "less a stated reserve for the system; where only the GPU has a limit, the memory less "
        "both, of which the GPU gets no more than its limit. A verdict is taken from the upper end "
        "of the need.",
        what_is_free,
        ("whatfits hardware",),
    ),
    Term(
        "VRAM",
        ("gpu memory", "video memory", "graphics memory", "dedicated memory"),
        "Memory on the graphics card: several times faster than the system's. What does not fit "
        "spills into RAM, and everything read from there runs at RAM's speed. Shared GPU memory "
        "on Windows is RAM, not VRAM; an integrated GPU adds no memory.",
        sizes_of_pools,
    ),
    Term(
        "runtime overhead",
        ("overhead", "overheads", "cuda context", "driver context", "context overhead", "modules"),
        "Memory that a program takes beside weights, cache and buffers: on a card the driver's "
        "context, the back end's code and its pools, on the host the program itself. No file "
        "tells it, so it is an interval; three real loads on a machine replace it by what they "
        "took there.",
        overheads,
        ("whatfits verify MODEL.gguf", "whatfits check MODEL"),
    ),
    Term(
        "unified memory",
        ("shared memory", "wired limit", "gpu limit", "apple memory", "mac memory"),
        "CPU and GPU use the same memory, as on a Mac, a Strix Halo or a GB10: nothing is copied "
        "over a bus, but the GPU may take only part of it. macOS allows about two thirds to three "
        "quarters, newer versions more; sudo sysctl iogpu.wired_limit_mb=N changes it until the "
        "next restart.",
        sizes_of_pools,
    ),
    Term(
        "Mac",
        ("macs", "macos", "macbook", "apple", "apple silicon", "metal", "m series"),
        "On Apple silicon CPU and GPU have one memory: a model needs no card, and no copy over a "
        "bus. How fast that memory is read sets the pace of writing, and macOS keeps part of it "
        "from the GPU (see: unified memory). llama.cpp and what stands on it run by Metal, MLX is "
        "Apple's own.",
        memory_of_a_mac,
        ("whatfits plan MODEL", "whatfits check MODEL --runtime mlx", "whatfits need MODEL"),
    ),
    Term(
        "spill",
        ("offload", "offloading", "spilling", "partial offload", "gpu layers", "ngl"),
        "Layers that do not fit in fast memory run from slower memory. Each token has to wait for "
        "them: with half of the weights in memory a tenth as fast, a token takes five to six times "
        "as long.",
        bandwidths,
    ),
    Term(
        "bandwidth",
        ("memory bandwidth", "decode", "decode speed", "tokens per second", "speed"),
        "Writing one token reads every active weight once, so the memory's speed sets the pace: "
        "tokens a second are at most bandwidth / bytes read.",
        bandwidths,
    ),
    Term(
        "prefill",
        ("prompt processing", "reading", "pp"),
        "Reading the prompt: many tokens at once, bound by arithmetic rather than by memory. It "
        "decides how long you wait for the first word.",
    ),
    Term(
        "compute buffer",
        ("compute", "activations", "working memory", "scratch"),
        "Working memory of one step, reserved at the start for the worst case: a full micro-batch "
        "over the full cache. The rows of logits are often its largest piece.",
    ),
    Term(
        "flash attention",
        ("fa", "flash-attn", "flash attn"),
        "Attention computed in tiles, without writing the table of scores to memory. Saves memory "
        "at long contexts; quantised values in the cache need it.",
    ),
    Term(
        "mmap",
        ("memory mapping", "mapped", "mapped file", "page cache"),
        "The file is mapped instead of read: its pages fill free memory, and the system can take "
        "them back and read them again from disk. They are shown beside the need, never in it.",
    ),
    Term(
        "repack",
        ("cpu repack", "cpu_repack", "weight repacking"),
        "On a CPU llama.cpp rearranges some weights for its vector units. The copy cannot be taken "
        "back by the system; with mmap the file's pages come on top.",
    ),
    Term(
        "parallel sequences",
        ("parallel", "concurrency", "users"),
        "How many conversations run at once. Each has its share of the cache; weights are held "
        "once, and reading them serves all sequences of a batch.",
    ),
    Term(
        "GiB and GB",
        ("gib", "gb", "gigabyte", "gibibyte", "units"),
        "Memory is counted in GiB, files and bandwidth usually in GB. Mixing them is a common "
        "source of 'it should have fitted'.",
        units,
    ),
    Term(
        "runtime and app",
        (
            "two layers",
            "stack",
            "runtime",
            "app",
            "ollama",
            "lm studio",
            "jan",
            "llama.cpp",
            "llama-server",
        ),
        "Two layers: a runtime does the work (llama.cpp, MLX, vLLM), an app gives it a chat window "
        "and a model browser (LM Studio, Jan) or a simple command (Ollama). One download can "
        "bundle both: Ollama, LM Studio and Jan stand on llama.cpp.",
    ),
    Term(
        "AWQ, GPTQ, FP8 and MLX",
        ("awq", "gptq", "fp8", "mlx", "exl2", "exl3", "nf4", "bitsandbytes", "safetensors"),
        "Other ways to store fewer bits a weight, for other runtimes: AWQ, GPTQ and FP8 come as "
        "safetensors for vLLM, MLX for Apple's own library, EXL for exllama. llama.cpp, Ollama, "
        "LM Studio and Jan read GGUF and its file types instead.",
        None,
        ("whatfits quants", "whatfits explain Q4_K_M"),
    ),
    Term(
        "GGUF",
        ("gguf file", "model file"),
        "llama.cpp's file format: one header with every fact about the model, then the weights. "
        "whatfits reads only the header.",
        None,
        ("whatfits check FILE.gguf",),
    ),
    *MODEL_TERMS,
    *SERVING_TERMS,
    *COST_TERMS,
)


def _key(text: str) -> str:
    return " ".join(text.lower().replace("-", " ").replace("_", " ").split())


def find_term(text: str) -> Term:
    """Return the term that answers to a name.

    Raises:
        UnknownTermError: nothing answers to it; close names are given.
    """
    wanted = _key(text)
    names = {_key(name): term for term in TERMS for name in (term.name, *term.aliases)}
    if wanted in names:
        return names[wanted]
    from difflib import get_close_matches  # noqa: PLC0415 - only when nothing was found

    near = get_close_matches(wanted, names, n=3, cutoff=0.6)
    shown = ", ".join(dict.fromkeys(names[name].name for name in near))
    raise UnknownTermError(
        what="term",
        got=text,
        allowed="a file type (Q4_K_M), a model, or a term",
        next_step=f"did you mean: {shown}?"
        if shown
        else "terms: " + ", ".join(term.name for term in TERMS),
    )
