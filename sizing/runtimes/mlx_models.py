"""What mlx-lm does differently from model to model: routers, caches, attention.

One row an architecture, under its GGUF name. Source: ml-explore/mlx-lm (2026-08-22, 0.32)
mlx_lm/models/*.py: `quant_predicate`, `make_cache`, the class of the router, the attention.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError, UnsupportedArchitectureError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.model import ModelSpec

__all__ = ["MlxModel", "Router", "check_model_type", "check_writes", "mlx_model"]

Router = Literal["eight", "usual", "kept"]
"""How the matrix that chooses experts is stored: in affine groups of 64 with 8 bits whatever the
rest has, as the rest, or in 16 bits because it is no linear layer in MLX's code."""


class MlxModel(NamedTuple):
    """How mlx-lm runs one architecture.

    Attributes:
        router: how routers are stored.
        rotating: window layers keep no more than their window; else the whole context.
        chunked: window layers keep a chunk of the context and what was written since.
        own_cache: the model makes its cache itself, so `--max-kv-size` is not looked at.
        fused: attention goes through the fused kernel, where there is one for its heads.
        down_proj: it has modules of that name, which mixed recipes look for.
        plain_cache: the whole cache is of the kind that `--kv-bits` quantises.
        own_attention: attention computes with keys itself, which it cannot when quantised.
        wide_states: states of recurrent layers are known to have 32 bits; else 16 or 32.
        scans: recurrent layers read prompts as attention over chunks, written out in 32 bits.
    """

    router: Router = "usual"
    rotating: bool = False
    chunked: bool = False
    own_cache: bool = False
    fused: bool = True
    down_proj: bool = True
    plain_cache: bool = True
    own_attention: bool = False
    wide_states: bool = False
    scans: bool = False


_PLAIN: Final = MlxModel()
_NO_DOWN: Final = MlxModel(down_proj=False)
_WINDOWED: Final = MlxModel(rotating=True, own_cache=True)
_HYBRID: Final = MlxModel("eight", own_cache=True)
_DELTA: Final = MlxModel("eight", own_cache=True, wide_states=True)
_MODELS: Final[Mapping[str, MlxModel]] = {
    "afmoe": MlxModel("eight", rotating=True, own_cache=True),
    "apertus": _PLAIN,
    "bailingmoe": MlxModel("eight"),
    "chatglm": _PLAIN,
    "cohere2": _WINDOWED,
    "command-r": _PLAIN,
    "dbrx": _NO_DOWN,
    "deci": MlxModel(own_cache=True),
    "deepseek": MlxModel("kept"),
    "deepseek2": MlxModel("kept"),
    "deepseek32": MlxModel("kept", own_cache=True, plain_cache=False),
    "dots1": MlxModel("kept"),
    "ernie4_5": _PLAIN,
    "ernie4_5-moe": _PLAIN,
    "exaone": _NO_DOWN,
    "exaone4": _WINDOWED,
    "exaone-moe": MlxModel("kept", rotating=True, own_cache=True),
    "falcon-h1": MlxModel(own_cache=True, plain_cache=False, scans=True),
    "gemma": _PLAIN,
    "gemma2": MlxModel(fused=False, own_attention=True),
    "gemma3": _WINDOWED,
    "gemma3n": _WINDOWED,
    "gemma4": MlxModel("eight", rotating=True, own_cache=True),
    "glm-dsa": MlxModel("kept", own_cache=True, plain_cache=False),
    "glm4": _PLAIN,
    "glm4moe": MlxModel("kept"),
    "gpt-oss": MlxModel("eight", rotating=True, own_cache=True),
    "granite": _PLAIN,
    "granitehybrid": MlxModel("eight", own_cache=True, scans=True),
    "granitemoe": MlxModel("eight"),
    "hunyuan-dense": _PLAIN,
    "hunyuan-moe": _PLAIN,
    "internlm2": _NO_DOWN,
    "jamba": _HYBRID,
    "kimi-linear": _DELTA,
    "laguna": MlxModel("kept", rotating=True, own_cache=True),
    "lfm2": MlxModel(own_cache=True, down_proj=False),
    "lfm2moe": _HYBRID,
    "llama": MlxModel(own_cache=True),
    "llama4": MlxModel(chunked=True, own_cache=True, plain_cache=False),
    "mamba": MlxModel(own_cache=True, down_proj=False),
    "mamba2": MlxModel(own_cache=True, down_proj=False, scans=True),
    "mellum": MlxModel("eight", rotating=True, own_cache=True),
    "mimo2": MlxModel("kept", rotating=True, own_cache=True),
    "minicpm": _PLAIN,
    "minimax-m2": MlxModel("eight"),
    "mistral3": _WINDOWED,
    "nemotron": _PLAIN,
    "nemotron_h": MlxModel(own_cache=True, scans=True),
    "nemotron_h_moe": MlxModel("kept", own_cache=True, scans=True),
    "olmo2": _WINDOWED,
    "olmoe": _PLAIN,
    "phi2": _NO_DOWN,
    "phi3": _PLAIN,
    "phimoe": _PLAIN,
    "qwen2": _PLAIN,
    "qwen2moe": _PLAIN,
    "qwen2vl": _PLAIN,
    "qwen3": _PLAIN,
    "qwen35": _DELTA,
    "qwen35moe": _DELTA,
    "qwen3moe": MlxModel("eight"),
    "qwen3next": _DELTA,
    "qwen3vl": _PLAIN,
    "qwen3vlmoe": MlxModel("eight"),
    "seed_oss": _PLAIN,
    "smollm3": _PLAIN,
    "stablelm": _PLAIN,
    "starcoder2": _NO_DOWN,
    "step35": MlxModel("eight", rotating=True, own_cache=True),
}
# Values of `model_type` that become one of these architectures and that mlx-lm has no file for.
# Source: mlx_lm/models, mlx_lm/utils.py (MODEL_REMAPPING).
_WITHOUT_A_FILE: Final = frozenset(
    {"chatglm", "exaone4_5", "granitemoeshared", "hunyuan_v1_moe", "step3p7"}
)


def mlx_model(architecture: str, *, name: str) -> MlxModel:
    """Return how mlx-lm runs an architecture.

    Raises:
        UnsupportedArchitectureError: it does not, or nobody described here how.
    """
    found = _MODELS.get(architecture)
    if found is None:
        raise _unsupported(name, architecture)
    return found


def check_model_type(model_type: object, *, name: str) -> None:
    """Refuse a configuration of a kind that mlx-lm has no file for.

    Raises:
        UnsupportedArchitectureError: it is of such a kind.
    """
    if isinstance(model_type, str) and model_type in _WITHOUT_A_FILE:
        raise _unsupported(name, model_type)


def check_writes(model: ModelSpec) -> None:
    """Refuse a decoder that embeds: mlx-lm's programs generate text and nothing else.

    An encoder is refused by its architecture.

    Raises:
        InvalidRequestError: it is one.
    """
    if model.embeds and model.hparams.causal:
        raise InvalidRequestError(
            what="model for MLX",
            got=model.name,
            allowed="one that writes: mlx-lm hands out no embeddings",
            next_step="try --runtime llama.cpp",
        )


def _unsupported(name: str, kind: str) -> UnsupportedArchitectureError:
    return UnsupportedArchitectureError(
        what=f"architecture of {name}",
        got=kind,
        allowed="one that mlx-lm 0.32 runs and that is described here",
        next_step="try --runtime llama.cpp",
    )
