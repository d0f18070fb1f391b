"""Which addresses may be reached: read strictly, once, and connected to as they were read.

An address is taken apart here and nowhere else: the client connects to the parts, so no second
parser can see another host in the same text. What has an odd spelling is refused, not repaired.
"""

from __future__ import annotations

import ipaddress
import re

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

__all__ = ["PUBLIC", "Address", "Rules", "check_url", "is_public", "shown_url"]

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_URL_LENGTH: Final = 8_192  # signed addresses of content networks have up to about 2,000
_HTTPS_PORT: Final = 443
_HTTP_PORT: Final = 80
_MAX_PORT: Final = 65_535
_ALLOWED: Final = "https://HOST/PATH of a public host, port 443, without a user name"

# RFC 3986, split once. Only printable ASCII, and none of the characters that parsers disagree on.
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?:#.*)?"
)
_CHARACTERS: Final = re.compile(r"[!#-;=?-\[\]_a-z~]+")  # without space " < > \ ^ ` { | }
_AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(?::(?P<port>[1-9][0-9]*))?")
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
# Names that never lead to a public host. Source: RFC 6761, 6762, 8375, 9476 and ICANN (.internal).
_LOCAL_SUFFIXES: Final = (".localhost", ".local", ".internal", ".home.arpa", ".alt", ".onion")

# Reserved, though some version of the standard library takes them for global.
_NEVER_PUBLIC: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # protocol assignments, among them Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",  # documentation
    )
)
_UNICAST_V6: Final = ipaddress.IPv6Network("2000::/3")
# RFC 6052: how a network without IPv4 writes every IPv4 address.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be reached.

    Attributes:
        hosts: the only hosts that a given address may name, each as `host` (port 443, or 80 for
            plain http), `host:port` or `host:*`; None for any public one. Redirects may lead on
            to a public host all the same: that is how hubs and registries serve their files.
        allow_plain_http: whether named hosts (any, if `hosts` is None) may be asked in the clear.
        allow_private: same, for hosts on this machine and its own network.
    """

    hosts: frozenset[str] | None = None
    allow_plain_http: bool = False
    allow_private: bool = False

    def names(self, host: str, port: int, *, default_port: int) -> bool:
        """Whether these rules name a host and port."""
        spellings = {f"{host}:{port}", f"{host}:*", *({host} if port == default_port else ())}
        return self.hosts is not None and not spellings.isdisjoint(self.hosts)


PUBLIC: Final = Rules()


@dataclass(frozen=True, slots=True)
class Address:
    """An address that the rules allow, in the parts that are connected to.

    Attributes:
        scheme: `https` or `http`.
        host: a name in lower case, or a numeric address without brackets.
        port: of the connection.
        target: path and query as they are sent.
        may_be_private: whether the host may lie on this machine or its own network.
    """

    scheme: str
    host: str
    port: int
    target: str
    may_be_private: bool = False

    @property
    def authority(self) -> str:
        """Return host and port as the `Host` header names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = _HTTPS_PORT if self.scheme == "https" else _HTTP_PORT
        return host if self.port == usual else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Return the whole address."""
        return f"{self.scheme}://{self.authority}{self.target}"


def is_public(ip: IpAddress) -> bool:
    """Whether an address belongs to one host that everyone can reach.

    Source: IANA special-purpose address registries; an address that carries another one inside
    counts as public only in the form that every network without IPv4 uses.
    """
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return is_public(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF))
        if ip not in _UNICAST_V6 or ip.scope_id is not None:
            return False
    if ip.is_multicast or ip.is_reserved or not ip.is_global:
        return False
    return not any(ip.version == net.version and ip in net for net in _NEVER_PUBLIC)


def check_url(text: str, rules: Rules = PUBLIC, *, redirected: bool = False) -> Address:
    """Return the address in `text`, allowed by the rules; nothing is looked up.

    `redirected`: a server named it, so that it need not be among the rules' hosts.

    Raises:
        InvalidRequestError: an odd spelling, another scheme or port, a user name, or a host that
            the rules do not allow.
    """
    match = _URL.fullmatch(text) if isinstance(text, str) else None
    if match is None or len(text) > _MAX_URL_LENGTH or not _CHARACTERS.fullmatch(text):
        raise _refused(text, "an address of printable ASCII", "percent-encode other characters")
    scheme = match["scheme"].lower()
    if scheme not in ("https", "http"):
        raise _refused(text, _ALLOWED, "")
    host, ip, port = _host_and_port(match["authority"], text)
    usual = _HTTPS_PORT if scheme == "https" else _HTTP_PORT
    port = usual if port is None else port
    named = rules.names(host, port, default_port=usual)
    if rules.hosts is not None and not (named or redirected):
        raise _refused(text, f"the hosts {', '.join(sorted(rules.hosts))}", "")
    trusted = named or rules.hosts is None
    may_be_private = rules.allow_private and trusted
    own_port = named or (rules.allow_private and rules.hosts is None)
    if scheme == "http" and not (rules.allow_plain_http and trusted):
        raise _refused(text, _ALLOWED, "")
    if port != usual and not own_port:
        raise _refused(text, _ALLOWED, "")
    if not may_be_private and not _is_public_host(host, ip):
        raise _refused(text, _ALLOWED, "")
    target = (match["path"] or "/") + (match["query"] or "")
    return Address(scheme, host, port, target, may_be_private=may_be_private)


def shown_url(text: str) -> str:
    """Return an address as messages show it: without user name and query, where secrets are."""
    match = _URL.fullmatch(text)
    if match is None:
        return text
    authority = match["authority"].rpartition("@")[2]
    return f"{match['scheme']}://{authority}{match['path'] or ''}"


def _refused(text: object, allowed: str, next_step: str) -> InvalidRequestError:
    shown = shown_url(text) if isinstance(text, str) else text
    return InvalidRequestError(what="address", got=shown, allowed=allowed, next_step=next_step)


def _host_and_port(authority: str, text: str) -> tuple[str, IpAddress | None, int | None]:
    """Return host, the same as a number if it is one, and the port if one is given.

    Raises:
        InvalidRequestError: there is a user name, or a spelling that parsers read differently.
    """
    match = _AUTHORITY.fullmatch(authority)
    host = "" if match is None else match["host"].lower()
    port = None if match is None or match["port"] is None else int(match["port"][:6])
    ip: IpAddress | None = None
    if host.startswith("["):
        ip = _number(host[1:-1])
        host = str(ip) if isinstance(ip, ipaddress.IPv6Address) else ""
    elif host[-1:].isdigit():  # a name does not end in a number: RFC 3696 section 2
        ip = _number(host)
        host = host if isinstance(ip, ipaddress.IPv4Address) else ""
    elif not _NAME.fullmatch(host):
        host = ""
    if not host or (port is not None and port > _MAX_PORT):
        raise _refused(text, _ALLOWED, "")
    return host, ip, port


def _number(host: str) -> IpAddress | None:
    """Return a numeric address in its one full spelling (no octal, no hexadecimal, no zone)."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_public_host(host: str, ip: IpAddress | None) -> bool:
    if ip is not None:
        return is_public(ip)
    return "." in host and not host.endswith(_LOCAL_SUFFIXES)
