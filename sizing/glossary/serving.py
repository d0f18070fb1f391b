"""The terms of serving many users and of what it costs, at most twenty words each."""

from __future__ import annotations

from whatfits.sizing.glossary.term import Term
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["COST_TERMS", "SERVING_TERMS"]

_SERVE: Final = ("whatfits serve MODEL --users 8",)
_FLEET: Final = ("whatfits fleet",)
_COST: Final = ("whatfits cost MODEL",)

SERVING_TERMS: Final = (
    Term(
        "slot",
        ("slots", "np", "num parallel", "max num seqs", "sequences at once"),
        "A place for one request being answered. When every slot is taken, further requests "
        "wait in a queue.",
        None,
        _SERVE,
    ),
    Term(
        "continuous batching",
        ("batching", "dynamic batching", "in-flight batching"),
        "Requests join and leave the running batch at every step; nobody waits until a whole "
        "batch is done.",
        None,
        _SERVE,
    ),
    Term(
        "prefix cache",
        ("prefix caching", "prompt cache", "shared prefix", "radix cache"),
        "Cache of a prompt's beginning, kept for the next request that begins alike: it is read "
        "only once.",
        None,
        ("whatfits serve MODEL --users 8 --shared-prefix 1k",),
    ),
    Term(
        "paged cache",
        ("paged attention", "pagedattention", "block table", "kv blocks"),
        "vLLM's KV cache: small blocks handed out as answers grow, so that no request holds room "
        "it does not use.",
        None,
        ("whatfits serve MODEL --users 8 --runtime vllm",),
    ),
    Term(
        "time to first token",
        ("ttft", "first token", "latency", "first word"),
        "From sending a prompt to the first word of the answer: waiting in the queue, then reading "
        "the prompt.",
        None,
        _SERVE,
    ),
    Term(
        "throughput",
        ("tokens per second together", "requests per second", "total tokens per second"),
        "Tokens a second for all users together. It grows with the batch while each single "
        "user's speed falls.",
        None,
        _SERVE,
    ),
    Term(
        "percentile",
        ("p95", "p50", "19 of 20", "median", "tail latency"),
        "p95 is what 19 of 20 requests stay within, p50 what half do. Averages hide the slow ones.",
        None,
        _SERVE,
    ),
    Term(
        "Little's law",
        ("littles law", "little law", "law of little"),
        "Requests in a server, on the average, are those arriving a second times the seconds each "
        "stays there.",
        None,
        ("whatfits serve MODEL --users 8 --rate 20",),
    ),
    Term(
        "knee",
        ("saturation", "saturation point", "knee users"),
        "The number of users beyond which more of them bring hardly more throughput, only longer "
        "waiting.",
        None,
        _SERVE,
    ),
    Term(
        "replica",
        ("replicas", "data parallel", "copies"),
        "A whole copy of the model on another device or machine: more users at once, nobody "
        "answered faster.",
        None,
        _FLEET,
    ),
    Term(
        "tensor parallel",
        ("tensor parallelism", "tp", "row split", "split mode row"),
        "Every layer is split over several GPUs, which work on it together and exchange results: "
        "needs fast links.",
        None,
        ("whatfits check MODEL --machine '2x rtx-3090 + 64gb' --runtime vllm",),
    ),
    Term(
        "pipeline parallel",
        ("pipeline parallelism", "layer split", "split mode layer"),
        "Layers are dealt out to devices that work one after the other: needs little exchange, "
        "speeds up no single answer.",
        None,
        ("whatfits check MODEL --machine '2x rtx-3090 + 64gb'",),
    ),
    Term(
        "RPC",
        ("rpc server", "remote procedure call", "llama.cpp rpc"),
        "llama.cpp's way to put layers on other machines over the network: bigger models, slower "
        "answers.",
        None,
        _FLEET,
    ),
)
COST_TERMS: Final = (
    Term(
        "privacy",
        ("private", "confidential", "data protection", "offline", "offline use"),
        "What you ask a model on your machine stays there, network or not; what you ask an API "
        "leaves.",
        None,
        _COST,
    ),
    Term(
        "break-even",
        ("break even", "breakeven", "break-even day", "payback", "amortisation"),
        "The day from which a machine of your own has cost no more than paying for each request "
        "would have.",
        None,
        _COST,
    ),
    Term(
        "utilisation",
        ("utilization", "duty cycle", "busy"),
        "The part of the time it is on that a machine works. Little use makes every token "
        "expensive.",
        None,
        _COST,
    ),
    Term(
        "cached input",
        ("cached tokens", "cache read", "cached share", "prompt caching"),
        "Prompt tokens that were read before: providers charge less for them, your machine does "
        "not read them again.",
        None,
        ("whatfits cost MODEL --cached-share 0.5",),
    ),
    Term(
        "resale",
        ("resale value", "residual value"),
        "What a sale still brings when a machine is replaced: a part of its price, on its last "
        "day.",
        None,
        _COST,
    ),
    Term(
        "hybrid routing",
        ("router", "routing", "hybrid", "litellm", "fallback"),
        "Easy requests go to the model here, hard ones to a strong one in the cloud; a router "
        "decides.",
        None,
        ("whatfits cost MODEL --router litellm",),
    ),
    Term(
        "price per million tokens",
        ("mtok", "million tokens", "token price", "1m tokens"),
        "How APIs charge: so much for a million tokens read, and several times that for a million "
        "written.",
        None,
        _COST,
    ),
    Term(
        "rented GPU",
        ("rental", "rent", "cloud gpu", "gpu rental"),
        "A GPU in a data centre paid by the hour, used or not. You run the model on it yourself.",
        None,
        ("whatfits need MODEL", *_COST),
    ),
)
