"""Where the Hub is, who asks, and where downloads are kept: as Hugging Face's own tools have it.

Source: huggingface_hub 0.34 constants.py, utils/_auth.py and its page "Environment variables".
Their `get_token` is not called: it may go to the network by itself, to renew a token, past the
rules for addresses that hold here.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.sources.http.client import is_offline
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["HubSettings", "read_settings"]

_ENDPOINT: Final = "https://huggingface.co"
_YES: Final = frozenset({"1", "on", "yes", "true"})
_TOKENS: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_MAX_TOKEN_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class HubSettings:
    """What the environment says.

    Attributes:
        endpoint: address of the Hub or of a mirror, without a slash at its end.
        is_own_endpoint: the user has named the endpoint.
        token: of the user; None when there is none. Never shown.
        cache_folder: where Hugging Face's tools keep what they download.
        is_offline: nothing is asked of the network.
    """

    endpoint: str
    is_own_endpoint: bool
    token: str | None
    cache_folder: str
    is_offline: bool

    def __repr__(self) -> str:
        """Return the settings without the token."""
        said = "None" if self.token is None else "…"
        return f"HubSettings(endpoint={self.endpoint!r}, token={said})"

    @property
    def host(self) -> str:
        """Host of the endpoint, with its port when it has one."""
        return urlsplit(self.endpoint).netloc


def read_settings(environment: Mapping[str, str] = os.environ) -> HubSettings:
    """Return what the environment says.

    Raises:
        InvalidRequestError: HF_ENDPOINT is no address.
    """
    given = environment.get("HF_ENDPOINT", "").strip().rstrip("/")
    if given:
        parts = urlsplit(given)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise InvalidRequestError(
                what="HF_ENDPOINT", got=given, allowed="an address, as https://hf-mirror.com"
            )
    home = _folder(environment, "HF_HOME") or _default_home(environment)
    return HubSettings(
        endpoint=given or _ENDPOINT,
        is_own_endpoint=bool(given),
        token=_token(environment, home),
        cache_folder=str(
            _folder(environment, "HF_HUB_CACHE")
            or _folder(environment, "HUGGINGFACE_HUB_CACHE")
            or home / "hub"
        ),
        is_offline=is_offline(environment),
    )


def _default_home(environment: Mapping[str, str]) -> Path:
    base = _folder(environment, "XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return base / "huggingface"


def _folder(environment: Mapping[str, str], name: str) -> Path | None:
    text = environment.get(name, "").strip()
    return Path(os.path.expandvars(text)).expanduser() if text else None


def _is_set(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").strip().lower() in _YES


def _token(environment: Mapping[str, str], home: Path) -> str | None:
    """Return the user's token: from the environment, else from the file that a login wrote."""
    if _is_set(environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    for name in _TOKENS:
        token = _clean(environment.get(name, ""))
        if token is not None:
            return token
    path = _folder(environment, "HF_TOKEN_PATH") or home / "token"
    try:
        with path.open("rb") as file:
            return _clean(file.read(_MAX_TOKEN_BYTES).decode("ascii", errors="replace"))
    except OSError:
        return None


def _clean(text: str) -> str | None:
    """Return a token without blanks around it; None of what cannot stand in a header."""
    token = "".join(text.split())
    return token if token.isascii() and token.isprintable() and token else None
