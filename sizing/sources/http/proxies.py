"""The proxy a person has set for https, if any.

Only `HTTPS_PROXY` and `NO_PROXY` (or in lower case) count: a proxy looks names up for us, so the
check of where a name leads is then the proxy's. Whoever sets one has chosen that. The spelling of
an address is checked all the same, and a plain http address never goes through a proxy.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.sources.http.addresses import Rules, check_url
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.sources.http.addresses import Address

__all__ = ["Proxy", "proxy_for"]

_PROXY: Final = re.compile(r"(?:http://)?(?:(?P<login>[^@/]*)@)?(?P<host>[^@/]+)/?")
_NAMES: Final = ("HTTPS_PROXY", "https_proxy")
_EXCEPTIONS: Final = ("NO_PROXY", "no_proxy")
# A proxy is named by the machine's owner, and usually stands in its own network.
_RULES: Final = Rules(allow_plain_http=True, allow_private=True)


class Proxy(NamedTuple):
    """A proxy and how to log on to it."""

    address: Address
    credentials: tuple[str, str] | None


def proxy_for(address: Address, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy through which `address` is to be reached; None for a direct connection.

    Raises:
        InvalidRequestError: the variable names no `http://` proxy.
    """
    value = _first(environment, _NAMES)
    if not value or address.scheme != "https" or address.may_be_private:
        return None
    if _is_exception(address.host, _first(environment, _EXCEPTIONS)):
        return None
    match = _PROXY.fullmatch(value)
    try:
        proxy = None if match is None else check_url(f"http://{match['host']}", _RULES)
    except InvalidRequestError:
        proxy = None
    if match is None or proxy is None:
        raise InvalidRequestError(what="HTTPS_PROXY", allowed="http://[USER:PASSWORD@]HOST:PORT")
    if match["login"] is None:
        return Proxy(proxy, None)
    user, _, password = match["login"].partition(":")
    return Proxy(proxy, (unquote(user), unquote(password)))


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")


def _is_exception(host: str, listed: str) -> bool:
    entries = {entry.strip().lower().lstrip(".") for entry in listed.split(",")} - {""}
    return "*" in entries or any(host == entry or host.endswith(f".{entry}") for entry in entries)
