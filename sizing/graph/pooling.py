"""What a model hands out that embeds: the rows of all tokens, and one for each sequence.

Source: llama.cpp src/llama-graph.cpp (build_pooling, build_dense_out).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.graph.feed_forward import FeedForwardBuilder
from whatfits.sizing.graph.tensor import OUTPUT
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.settings import Settings

__all__ = ["PoolingBuilder"]

_NO_POOLING, _MEAN, _RANK = 0, 1, 4  # llama.h, enum llama_pooling_type


class PoolingBuilder(FeedForwardBuilder, ABC):
    """Hands out the last rows, and what is made of them for each sequence."""

    model: ModelSpec
    settings: Settings
    n_tokens: int
    n_seqs: int

    @property
    @abstractmethod
    def whole(self) -> Callable[[str], Tensor | None]:
        """The weights that belong to no layer."""

    def hand_out(self, x: Tensor) -> None:
        """Keep the last rows as an output, and what is made of them for each sequence."""
        self._keep(x)
        self.pool(x)

    def pool(self, x: Tensor) -> None:
        """Add what is made of the last rows for each sequence, where embeddings are handed out."""
        if not self.settings.embeddings:
            return
        pooled = self._pooled(x)
        for name in ("dense_2.weight", "dense_3.weight"):
            weight = self.whole(name)
            if weight is not None:
                pooled = self.mul_mat(weight, pooled)
        self._keep(pooled)

    def _keep(self, x: Tensor) -> None:
        x.flags |= OUTPUT
        self.expand(x)

    def _pooled(self, x: Tensor) -> Tensor:
        """Return the rows' mean, one of them, or all of them, as the metadata says.

        Raises:
            InvalidRequestError: a mean over all tokens, of which some have no row: llama.cpp ends.
        """
        kind = self.metadata("pooling_type", _NO_POOLING)
        if kind == _NO_POOLING:
            return x
        if kind == _MEAN:
            if x.ne[1] != self.n_tokens:
                raise InvalidRequestError(
                    what="rows handed out of a micro-batch",
                    got=x.ne[1],
                    allowed=(
                        f"{self.n_tokens:,}: {self.model.name} takes the mean of every token's row"
                    ),
                    next_step="let parallel divide micro_batch, and leave outputs_max at 0",
                )
            mean = self.input("F32", self.n_tokens, self.n_seqs, name="mean")
            x = self.mul_mat(self.cont(self.transpose(x)), mean)
        else:
            x = self.get_rows(x, self.input("I32", self.n_seqs, name="cls"))
        return self._ranked(x) if kind == _RANK else x

    def _ranked(self, x: Tensor) -> Tensor:
        """Return the scores of a classifier's head."""
        whole = self.whole
        head, scores = whole("cls.weight"), whole("cls.output.weight")
        if head is not None:
            x = self.unary(self.biased(self.mul_mat(head, x), whole("cls.bias")))
        if scores is not None:
            x = self.biased(self.mul_mat(scores, x), whole("cls.output.bias"))
        return x
