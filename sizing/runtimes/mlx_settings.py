"""A workload made concrete for mlx-lm: what its programs are told, and what they cannot be told.

`server` is `mlx_lm.server`, `api` is `mlx_lm.generate`. Neither has a flag for the context.
Source: ml-explore/mlx-lm 0.32.2 mlx_lm/server.py, mlx_lm/generate.py (arguments and defaults).
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.runtimes.mlx_kv_types import KV_GROUP, cache_bits
from whatfits.sizing.settings import MAX_CONTEXT_TOKENS, default_context_tokens, whole_within
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.mlx_models import MlxModel
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = [
    "DEFAULT_PROMPT_CACHES",
    "DEFAULT_STEP_TOKENS",
    "MOST_STEPS",
    "MlxSettings",
    "refuse_placement",
    "resolve_mlx_settings",
]

DEFAULT_STEP_TOKENS: Final = 2048
DEFAULT_PROMPT_CACHES: Final = 10
MOST_STEPS: Final = 2**16  # of a prompt: each is walked through
_MOST_PROMPTS_AT_ONCE: Final = 8
_MAX_SEQUENCES: Final = 256
_KV_START_TOKENS: Final = 5000
_KV_NAMES: Final = {None: "f16", 8: "q8_0", 4: "q4_0"}
# Settings of llama.cpp that mlx-lm has nothing for: field, the value that says nothing, what to do.
_MEANINGLESS: Final = (
    ("batch", None, "--ubatch sets the prompt step"),
    ("flash_attention", "auto", "MLX chooses its kernels itself"),
    ("kv_unified", None, "sequences have caches of their own"),
    ("swa_full", None, "the model decides what a window layer keeps"),
    ("outputs_max", None, "mlx-lm keeps one row of logits a sequence"),
    ("model_draft", None, "drafts are not sized for MLX yet"),
    ("spec_type", None, "drafts are not sized for MLX yet"),
    ("spec_draft_n_max", None, "drafts are not sized for MLX yet"),
    ("kv_type_k_draft", None, "drafts are not sized for MLX yet"),
    ("kv_type_v_draft", None, "drafts are not sized for MLX yet"),
    ("mmproj", None, "mlx-lm runs the language model alone"),
    ("lora", (), "adapters are not sized for MLX yet"),
    ("ctx_checkpoints", None, "mlx-lm keeps whole caches of earlier prompts"),
)
_PLACED: Final = (
    ("gpu_layers", None),
    ("tensor_split", None),
    ("cpu_moe_layers", None),
    ("overrides", ()),
    ("kv_offload", None),
    ("op_offload", None),
    ("split_mode", None),
    ("mmap", None),
    ("repack", "auto"),
    ("gpu_layers_draft", None),
    ("mmproj_offload", None),
)


class MlxSettings(NamedTuple):
    """What is really allocated for.

    Attributes:
        program: `server` or `api`.
        context_tokens: prompt and answer of one sequence together.
        answer_tokens: of these, the answer's.
        sequences: sequences at once.
        step_tokens: of a prompt that are read at once.
        kv_bits: of keys and values; None for 16.
        kv_group: elements that share a scale in a quantised cache.
        kv_start_tokens: length from which the cache is quantised.
        prompt_cache_bytes: what earlier prompts may keep, as asked for; None for whole caches of
            the ten last ones.
    """

    program: str
    context_tokens: int
    answer_tokens: int
    sequences: int = 1
    step_tokens: int = DEFAULT_STEP_TOKENS
    kv_bits: int | None = None
    kv_group: int = KV_GROUP
    kv_start_tokens: int = _KV_START_TOKENS
    prompt_cache_bytes: int | None = None

    @property
    def prompt_tokens(self) -> int:
        """What is read; the rest of the context is written."""
        return self.context_tokens - self.answer_tokens

    @property
    def prompts_at_once(self) -> int:
        """Prompts that are read together."""
        return min(self.sequences, _MOST_PROMPTS_AT_ONCE)

    @property
    def kv_type(self) -> str:
        """The type of keys and values, as other runtimes call it."""
        return _KV_NAMES[self.kv_bits]

    @property
    def quantises(self) -> bool:
        """Whether the cache is quantised by the end of the context."""
        return self.kv_bits is not None and self.context_tokens >= self.kv_start_tokens

    def filled(self, workload: Workload) -> Workload:
        """Return the workload with every default that mattered filled in."""
        return replace(
            workload,
            context_tokens=self.context_tokens,
            parallel=self.sequences,
            kv_type_k=self.kv_type,
            kv_type_v=self.kv_type,
            micro_batch=self.step_tokens,
        )


def resolve_mlx_settings(
    model: ModelSpec, rules: MlxModel, workload: Workload, *, context_tokens: int | None = None
) -> MlxSettings:
    """Return the settings mlx-lm would run with; `context_tokens` stands in for the workload's.

    Raises:
        InvalidRequestError: a value is out of range, or mlx-lm has no such setting.
    """
    _refuse_meaningless(workload)
    context = context_tokens or whole_within(
        "context_tokens",
        workload.context_tokens,
        default=default_context_tokens(model),
        high=MAX_CONTEXT_TOKENS,
    )
    step = whole_within(
        "micro_batch", workload.micro_batch, default=DEFAULT_STEP_TOKENS, high=2**20
    )
    if context > MOST_STEPS * step:
        raise InvalidRequestError(
            what="context_tokens",
            got=context,
            allowed=f"at most {MOST_STEPS * step:,} in prompt steps of {step:,}",
        )
    answer = whole_within(
        "output_tokens", workload.output_tokens, default=1, high=MAX_CONTEXT_TOKENS
    )
    whole_within("prompt_tokens", workload.prompt_tokens, default=1, high=MAX_CONTEXT_TOKENS)
    server = workload.program == "server"
    sequences = whole_within("parallel", workload.parallel, default=1, high=_MAX_SEQUENCES)
    if not server and sequences > 1:
        raise InvalidRequestError(
            what="parallel",
            got=sequences,
            allowed="1: mlx_lm.generate answers one prompt",
            next_step="several at once need the server",
        )
    kept = workload.cache_ram_mib
    if kept is not None and (not server or isinstance(kept, bool) or kept < 0):
        raise InvalidRequestError(
            what="cache_ram_mib", got=kept, allowed="0 or more MiB, for the server"
        )
    return MlxSettings(
        program=workload.program,
        context_tokens=context,
        answer_tokens=max(0, min(answer, context - 1)),
        sequences=sequences,
        step_tokens=step,
        kv_bits=cache_bits(model, rules, workload),
        prompt_cache_bytes=None if kept is None else kept * MIB,
    )


def refuse_placement(request: PlacementRequest) -> None:
    """Refuse to place anything: MLX keeps a model in one memory.

    Raises:
        InvalidRequestError: something was to be placed.
    """
    for name, unset in _PLACED:
        value = getattr(request, name)
        if value != unset:
            raise InvalidRequestError(
                what=name,
                got=value,
                allowed="nothing: MLX keeps the whole model in one memory",
                next_step="leave it out, or use --runtime llama.cpp",
            )


def _refuse_meaningless(workload: Workload) -> None:
    for name, unset, instead in _MEANINGLESS:
        value = getattr(workload, name)
        if value != unset:
            raise InvalidRequestError(
                what=name,
                got=value,
                allowed=f"nothing: {instead}",
                next_step="leave it out, or use --runtime llama.cpp",
            )
