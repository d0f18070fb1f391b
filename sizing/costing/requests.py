"""What a line of `whatfits batch` asks of `cost`."""

from __future__ import annotations

from whatfits.sizing.costing.moving import Spreads  # noqa: TC001 - read by pydantic
from whatfits.sizing.costing.ownership import Ownership  # noqa: TC001 - read by pydantic
from whatfits.sizing.costing.usage import Usage  # noqa: TC001 - read by pydantic
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar

__all__ = ["CostRequest", "cost_request"]


@dataclass(frozen=True, slots=True)
class CostRequest:
    """What a line of `whatfits batch` says under `cost`: keyword arguments of the library's."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    usage: Usage | None = None
    ownership: Ownership | None = None
    spreads: Spreads | None = None
    region: str | None = None
    against: tuple[str, ...] = ()
    router: str | None = None


def cost_request(value: Mapping[str, Any]) -> CostRequest:
    """Return what is asked under `cost`.

    Raises:
        InvalidRequestError: a field is unknown or of the wrong kind.
    """
    from whatfits.sizing.requests import validated  # noqa: PLC0415 - pydantic on use only

    return validated(CostRequest, value, what="cost")
