"""What a model hands out that embeds: the rows of all tokens, and one for each sequence.

Source: llama.cpp src/llama-graph.cpp (build_pooling, build_dense_out).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.graph.tensor import OUTPUT

if TYPE_CHECKING:
    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["hand_out", "pool"]

_NO_POOLING, _MEAN, _RANK = 0, 1, 4  # llama.h, enum llama_pooling_type


def hand_out(c: GraphContext, x: Tensor) -> None:
    """Keep the last rows as an output, and what is made of them for each sequence."""
    _keep(c, x)
    pool(c, x)


def pool(c: GraphContext, x: Tensor) -> None:
    """Add what is made of the last rows for each sequence, where embeddings are handed out."""
    if not c.settings.embeddings:
        return
    pooled = _pooled(c, x)
    for name in ("dense_2.weight", "dense_3.weight"):
        weight = c.whole(name)
        if weight is not None:
            pooled = c.mul_mat(weight, pooled)
    _keep(c, pooled)


def _keep(c: GraphContext, x: Tensor) -> None:
    x.flags |= OUTPUT
    c.expand(x)


def _pooled(c: GraphContext, x: Tensor) -> Tensor:
    """Return the rows' mean, one of them, or all of them, as the metadata says.

    Raises:
        InvalidRequestError: a mean over all tokens, of which some have no row: llama.cpp ends.
    """
    kind = c.metadata("pooling_type", _NO_POOLING)
    if kind == _NO_POOLING:
        return x
    if kind == _MEAN:
        if x.ne[1] != c.n_tokens:
            raise InvalidRequestError(
                what="rows handed out of a micro-batch",
                got=x.ne[1],
                allowed=f"{c.n_tokens:,}: {c.model.name} takes the mean of every token's row",
                next_step="let parallel divide micro_batch, and leave outputs_max at 0",
            )
        mean = c.input("F32", c.n_tokens, c.n_seqs, name="mean")
        x = c.mul_mat(c.cont(c.transpose(x)), mean)
    else:
        x = c.get_rows(x, c.input("I32", c.n_seqs, name="cls"))
    return _ranked(c, x) if kind == _RANK else x


def _ranked(c: GraphContext, x: Tensor) -> Tensor:
    """Return the scores of a classifier's head."""
    whole = c.whole
    head, scores = whole("cls.weight"), whole("cls.output.weight")
    if head is not None:
        x = c.unary(c.biased(c.mul_mat(head, x), whole("cls.bias")))
    if scores is not None:
        x = c.biased(c.mul_mat(scores, x), whole("cls.output.bias"))
    return x
