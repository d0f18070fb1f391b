"""Embeddings that each layer gets of its own, beside the stream.

Source: llama.cpp src/models/gemma4.cpp, src/models/gemma3n.cpp (build_inp_per_layer,
project_per_layer_inputs).
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["per_layer_inputs", "slice_of"]


def slice_of(c: GraphContext, x: Tensor) -> Tensor:
    """Return one of the matrices a tensor of three dimensions is made of."""
    return c.view(x, x.ne[:2], x.nb[1:])


def per_layer_inputs(c: GraphContext, x: Tensor) -> Tensor:
    """Return the embeddings of all layers, one matrix a layer, from tokens and stream.

    The tokens' part joins the graph at once, the rest when the first layer reads it.
    """
    whole = c.whole
    shape = (whole.need("per_layer_proj_norm.weight").ne[0], c.model.n_layers, c.n_tokens)
    tokens = c.input("I32", c.n_tokens, name="inp_tokens_per_layer")
    rows = c.get_rows(whole.need("per_layer_token_embd.weight"), tokens)
    rows = c.like("SCALE", c.reshape(rows, *shape))
    c.expand(rows)
    projected = c.mul_mat(whole.need("per_layer_model_proj.weight"), x)
    projected = c.reshape(c.like("SCALE", projected), *shape)
    projected = c.norm(projected, whole.need("per_layer_proj_norm.weight"))
    summed = c.like("SCALE", c.like("ADD", projected, rows))
    return c.cont(c.permute(summed, 0, 2, 1, 3))
