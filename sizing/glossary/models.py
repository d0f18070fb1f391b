"""Terms of how models are built and made smaller: what is kept, what drafts, what gets lost."""

from __future__ import annotations

from whatfits.sizing.glossary.figures import bits_in_all, layers_in_all
from whatfits.sizing.glossary.term import Term
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["MODEL_TERMS"]

_CONTEXT: Final = ("whatfits check MODEL --context 128k",)

MODEL_TERMS: Final = (
    Term(
        "layers",
        ("layer", "blocks", "block count", "n_layer", "depth"),
        "A model is a stack of them, and every token goes through all: attention, which keeps the "
        "cache, then a feed-forward part, which has most of the weights. Memory is shared out by "
        "whole layers: -ngl says how many lie on the GPU, the output as one more.",
        layers_in_all,
        ("whatfits check MODEL", "whatfits check MODEL --gpu-layers 20"),
    ),
    Term(
        "bits per weight",
        ("bpw", "bits a weight", "bits/weight", "bits per parameter"),
        "What one weight takes: the bits of its block, scales included, over the weights in it. "
        "Over a whole file it comes out higher than the name says, because some tensors get more "
        "bits. Bytes of weights = parameters x bits / 8.",
        bits_in_all,
        ("whatfits quants", "whatfits quants MODEL"),
    ),
    Term(
        "grouped queries",
        ("gqa", "mqa", "grouped query attention", "multi query attention", "kv heads"),
        "Several heads of queries share one of keys and values, and only the latter are kept. "
        "Llama 3.1 8B has 32 over 8: a quarter of the cache it would have without.",
        None,
        _CONTEXT,
    ),
    Term(
        "latent attention",
        ("mla", "multi head latent attention", "latent cache", "latent"),
        "One short row a token and layer in place of the keys and values of every head. DeepSeek "
        "V3 keeps 576 elements, over 61 layers 68.6 KiB a token at 16 bits; Llama 3.1 8B, with an "
        "eightieth of the weights, keeps 128 KiB.",
        None,
        _CONTEXT,
    ),
    Term(
        "sliding window",
        ("swa", "window", "sliding window attention", "local attention", "window layers"),
        "Layers that look back over so many tokens only, as five of six in Gemma 3 over 1,024. "
        "Their cache stops growing there; the other layers' goes on. llama.cpp keeps the whole "
        "context in them with --swa-full.",
        None,
        _CONTEXT,
    ),
    Term(
        "recurrent state",
        ("state", "state space", "ssm", "mamba", "rwkv", "linear attention", "gated deltanet"),
        "What Mamba, RWKV and linear attention keep in place of a cache: of one size, however long "
        "the text. It cannot step back, so llama.cpp's server saves it now and then (checkpoints).",
        None,
        _CONTEXT,
    ),
    Term(
        "draft",
        ("draft model", "drafts", "speculative", "speculative decoding", "mtp"),
        "A small model, or prediction layers of the model itself, write some tokens ahead; the "
        "model checks them all in one step and keeps those it would have written. It takes memory "
        "and costs no quality; how much faster it is depends on how many are kept.",
        None,
        ("whatfits check MODEL --model-draft SMALL",),
    ),
    Term(
        "perplexity",
        ("ppl", "divergence", "kl divergence", "kld", "quality"),
        "How surprised a model is by a text: less is better. A file type is held against 16 bits: "
        "by how much perplexity rises, and how far the odds of each next token move (divergence). "
        "What one model loses tells roughly what another does, small models lose more.",
        None,
        ("whatfits quants",),
    ),
    Term(
        "importance matrix",
        ("imatrix", "importance", "calibration data"),
        "Which weights matter, as seen on some text: a file made with one loses less at the same "
        "bits, which tells at four and fewer. It changes neither memory nor speed.",
        None,
        ("whatfits quants",),
    ),
    Term(
        "projector",
        ("mmproj", "vision projector", "multimodal", "vision", "images"),
        "Turns images or sound into rows that the language model reads: a file of its own, with "
        "memory of its own, beside the model.",
        None,
        ("whatfits check MODEL.gguf --mmproj FILE",),
    ),
)
