"""A starting configuration for LiteLLM: the local server, a cloud model, and when to fall back.

It sends every request to the server here and turns to the cloud when that fails, or when a prompt
is longer than its context; which requests are hard is for a router of one's own to tell.
Keys are named, never written: `os.environ/NAME` is read by LiteLLM when it starts.
Source: LiteLLM's documentation of the proxy's configuration (model_list, litellm_params,
router_settings) and of its providers; tests/sizing/costing/test_litellm_config.py builds a Router.
"""

from __future__ import annotations

import json

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from whatfits.sizing.catalog.token_prices import ApiOffer

__all__ = ["LITELLM_PROVIDERS", "LOCAL_KEY_VARIABLE", "litellm_config", "routed_offer"]

LOCAL_KEY_VARIABLE: Final = "LOCAL_API_KEY"
# our id of a provider -> LiteLLM's prefix of its models, and the variable its key is in
LITELLM_PROVIDERS: Final = {
    "anthropic": ("anthropic", "ANTHROPIC_API_KEY"),
    "cerebras": ("cerebras", "CEREBRAS_API_KEY"),
    "cohere": ("cohere", "COHERE_API_KEY"),
    "deepinfra": ("deepinfra", "DEEPINFRA_API_KEY"),
    "deepseek": ("deepseek", "DEEPSEEK_API_KEY"),
    "fireworks": ("fireworks_ai", "FIREWORKS_AI_API_KEY"),
    "google": ("gemini", "GEMINI_API_KEY"),
    "groq": ("groq", "GROQ_API_KEY"),
    "mistral": ("mistral", "MISTRAL_API_KEY"),
    "moonshotai": ("moonshot", "MOONSHOT_API_KEY"),
    "novita": ("novita", "NOVITA_API_KEY"),
    "openai": ("openai", "OPENAI_API_KEY"),
    "openrouter": ("openrouter", "OPENROUTER_API_KEY"),
    "perplexity": ("perplexity", "PERPLEXITYAI_API_KEY"),
    "together": ("together_ai", "TOGETHERAI_API_KEY"),
    "x-ai": ("xai", "XAI_API_KEY"),
}


def routed_offer(offers: Iterable[ApiOffer]) -> ApiOffer:
    """Return the first offer of a provider that LiteLLM has a key for.

    Raises:
        InvalidRequestError: there is none.
    """
    for offer in offers:
        if offer.provider_id in LITELLM_PROVIDERS:
            return offer
    raise InvalidRequestError(
        what="a cloud model to route to",
        allowed=f"one of {', '.join(LITELLM_PROVIDERS)}",
        next_step="name one with --against",
    )


def litellm_config(*, local_model: str, base_url: str, offer: ApiOffer) -> str:
    """Return the configuration as YAML, ending in a line break.

    Args:
        local_model: the name that the local server answers to.
        base_url: of the local server, OpenAI's requests, with `/v1`.
        offer: the cloud model, of a provider in `LITELLM_PROVIDERS`.
    """
    prefix, variable = LITELLM_PROVIDERS[offer.provider_id]
    lines = (
        "# litellm --config FILE",
        f"# {LOCAL_KEY_VARIABLE}: any text, unless the local server was started with a key",
        "model_list:",
        *_model("local", f"openai/{local_model}", LOCAL_KEY_VARIABLE, base_url=base_url),
        *_model("cloud", f"{prefix}/{offer.model}", variable),
        "router_settings:",
        "  num_retries: 1",
        "  fallbacks:",
        '    - "local": ["cloud"]',
        "  context_window_fallbacks:",
        '    - "local": ["cloud"]',
    )
    return "\n".join(lines) + "\n"


def _model(name: str, model: str, variable: str, *, base_url: str | None = None) -> tuple[str, ...]:
    """Return one entry of the list; text is quoted as in JSON, which YAML reads the same."""
    address = () if base_url is None else (f"      api_base: {json.dumps(base_url)}",)
    return (
        f"  - model_name: {json.dumps(name)}",
        "    litellm_params:",
        f"      model: {json.dumps(model)}",
        *address,
        f"      api_key: {json.dumps(f'os.environ/{variable}')}",
    )
