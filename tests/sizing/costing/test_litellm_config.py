"""The starting configuration for LiteLLM: valid, without secrets, and its own Router takes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.catalog.lookup import packaged_prices
from whatfits.sizing.costing.litellm_config import (
    LITELLM_PROVIDERS,
    LOCAL_KEY_VARIABLE,
    litellm_config,
    routed_offer,
)
from whatfits.sizing.errors import InvalidRequestError

if TYPE_CHECKING:
    from whatfits.sizing.catalog.token_prices import ApiOffer

URL = "http://127.0.0.1:8080/v1"


def offer_of(provider_id: str) -> ApiOffer:
    return next(row for row in packaged_prices().offers if row.provider_id == provider_id)


def config_of(provider_id: str) -> str:
    return litellm_config(local_model="qwen3-8b", base_url=URL, offer=offer_of(provider_id))


def test_the_configuration_is_this() -> None:
    offer = next(row for row in packaged_prices().offers if row.model == "claude-haiku-4-5")
    said = litellm_config(local_model="qwen3-8b", base_url=URL, offer=offer)
    assert said == (
        "# litellm --config FILE\n"
        "# LOCAL_API_KEY: any text, unless the local server was started with a key\n"
        "model_list:\n"
        '  - model_name: "local"\n'
        "    litellm_params:\n"
        '      model: "openai/qwen3-8b"\n'
        '      api_base: "http://127.0.0.1:8080/v1"\n'
        '      api_key: "os.environ/LOCAL_API_KEY"\n'
        '  - model_name: "cloud"\n'
        "    litellm_params:\n"
        '      model: "anthropic/claude-haiku-4-5"\n'
        '      api_key: "os.environ/ANTHROPIC_API_KEY"\n'
        "router_settings:\n"
        "  num_retries: 1\n"
        "  fallbacks:\n"
        '    - "local": ["cloud"]\n'
        "  context_window_fallbacks:\n"
        '    - "local": ["cloud"]\n'
    )


@pytest.mark.parametrize("provider_id", LITELLM_PROVIDERS)
def test_keys_are_only_named(provider_id: str) -> None:
    keys = [line for line in config_of(provider_id).splitlines() if "api_key" in line]
    variable = LITELLM_PROVIDERS[provider_id][1]
    assert [line.split('"')[1] for line in keys] == [
        f"os.environ/{LOCAL_KEY_VARIABLE}",
        f"os.environ/{variable}",
    ]


def test_the_first_offer_that_can_be_routed_to_is_taken() -> None:
    aws, groq = offer_of("aws"), offer_of("groq")
    assert routed_offer((aws, groq)) == groq
    with pytest.raises(InvalidRequestError, match="--against"):
        routed_offer((aws,))


@pytest.mark.filterwarnings("ignore")  # of another project's code
@pytest.mark.parametrize("provider_id", LITELLM_PROVIDERS)
def test_litellms_own_router_is_built_from_it(
    provider_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no network
    prefix, variable = LITELLM_PROVIDERS[provider_id]
    for name in (LOCAL_KEY_VARIABLE, variable):
        monkeypatch.delenv(name, raising=False)
    import litellm
    import yaml
    from litellm import Router

    config: dict[str, Any] = yaml.safe_load(config_of(provider_id))
    offer = offer_of(provider_id)
    assert litellm.get_llm_provider(f"{prefix}/{offer.model}")[1] == prefix
    missing = litellm.validate_environment(f"{prefix}/{offer.model}")["missing_keys"]
    assert variable in missing
    for name in (LOCAL_KEY_VARIABLE, variable):
        monkeypatch.setenv(name, f"value of {name}")
    router = Router(model_list=config["model_list"], **config["router_settings"])
    assert router.get_model_names() == ["local", "cloud"]
    assert router.fallbacks == [{"local": ["cloud"]}]
    assert router.context_window_fallbacks == [{"local": ["cloud"]}]
    local, cloud = router.model_list
    assert local["litellm_params"]["api_base"] == URL
    assert cloud["litellm_params"]["api_key"] == f"value of {variable}"
    assert os.environ[variable] not in config_of(provider_id)
