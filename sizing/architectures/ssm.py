"""Tensors of state-space mixers: Mamba 1 and 2, alone or inside hybrid models.

Source: llama.cpp (0c1e57098) src/models/{mamba,mamba2,jamba,granite-hybrid,nemotron-h,
falcon-h1}.cpp.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.architectures.metadata import Metadata
    from whatfits.sizing.model import TensorShape

__all__ = ["StateSpace", "mamba1", "mamba2", "read_state_space"]


class StateSpace(NamedTuple):
    """Sizes of a state-space mixer.

    Attributes:
        n_embd: width of the residual stream.
        kernel: length of the convolution.
        inner: inner width.
        state: state elements per inner element.
        rank: rank of the time step (Mamba 1) or heads (Mamba 2).
        groups: groups that share a state projection (Mamba 2).
    """

    n_embd: int
    kernel: int
    inner: int
    state: int
    rank: int
    groups: int


def read_state_space(metadata: Metadata) -> StateSpace:
    """Return the sizes from the metadata.

    Raises:
        MalformedFileError: one is missing or out of range.
    """
    return StateSpace(
        n_embd=metadata.integer("embedding_length"),
        kernel=metadata.integer("ssm.conv_kernel"),
        inner=metadata.integer("ssm.inner_size"),
        state=metadata.integer("ssm.state_size"),
        rank=metadata.integer("ssm.time_step_rank"),
        groups=metadata.optional("ssm.group_count") or 1,
    )


def mamba1(prefix: str, sizes: StateSpace, *, norms: bool = False) -> Iterator[TensorShape]:
    """Yield a Mamba 1 mixer; `norms` are Jamba's on time step and state projections."""
    n_embd, inner, state, rank = sizes.n_embd, sizes.inner, sizes.state, sizes.rank
    yield blocks.matrix(f"{prefix}ssm_in", n_embd, 2 * inner)
    yield blocks.f32(f"{prefix}ssm_conv1d", sizes.kernel, inner)
    yield blocks.vector(f"{prefix}ssm_conv1d", inner)
    yield blocks.matrix(f"{prefix}ssm_x", inner, rank + 2 * state)
    if norms:
        yield blocks.f32(f"{prefix}ssm_dt_norm", rank)
        yield blocks.f32(f"{prefix}ssm_b_norm", state)
        yield blocks.f32(f"{prefix}ssm_c_norm", state)
    yield blocks.matrix(f"{prefix}ssm_dt", rank, inner)
    yield blocks.vector(f"{prefix}ssm_dt", inner)
    yield blocks.bare(f"{prefix}ssm_a", state, inner)
    yield blocks.bare(f"{prefix}ssm_d", inner)
    yield blocks.matrix(f"{prefix}ssm_out", inner, n_embd)


def mamba2(
    prefix: str, sizes: StateSpace, *, norm: bool = True, bias: bool = True
) -> Iterator[TensorShape]:
    """Yield a Mamba 2 mixer; `bias` is that of its convolution."""
    inner, groups, heads = sizes.inner, sizes.groups, sizes.rank
    width = inner + 2 * groups * sizes.state
    yield blocks.matrix(f"{prefix}ssm_in", sizes.n_embd, inner + width + heads)
    yield blocks.f32(f"{prefix}ssm_conv1d", sizes.kernel, width)
    if bias:
        yield blocks.vector(f"{prefix}ssm_conv1d", width)
    yield blocks.vector(f"{prefix}ssm_dt", heads)
    yield blocks.bare(f"{prefix}ssm_a", 1, heads)
    yield blocks.bare(f"{prefix}ssm_d", 1, heads)
    if norm:
        yield blocks.f32(f"{prefix}ssm_norm", inner // groups, groups)
    yield blocks.matrix(f"{prefix}ssm_out", inner, sizes.n_embd)
