"""A user's own prices: a TOML or JSON file of the same form as the catalog's."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError, UnreadableFileError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

    from pydantic import ValidationError

    from whatfits.sizing.catalog.token_prices import PriceList

__all__ = ["read_price_file"]

_MAX_FILE_BYTES: Final = 4_000_000
_ALLOWED: Final = f"TOML or JSON of at most {_MAX_FILE_BYTES:,} bytes, with offers or electricity"


def read_price_file(path: str) -> PriceList:
    """Return the prices of a file.

    Raises:
        UnreadableFileError: it cannot be read, or is neither TOML nor JSON.
        InvalidRequestError: a field is unknown, missing or out of range; the first one is named.
    """
    from pathlib import Path  # noqa: PLC0415 - only where a file was named

    from pydantic import ValidationError  # noqa: PLC0415 - see above

    from whatfits.sizing.catalog.cost_schema import PricesFile  # noqa: PLC0415 - see above
    from whatfits.sizing.catalog.token_prices import price_list_of  # noqa: PLC0415 - see above

    value = _parsed(Path(path))
    try:
        prices = PricesFile.model_validate(value)
    except ValidationError as error:
        raise _refused(error, path) from None
    if not (prices.offers or prices.electricity):
        raise InvalidRequestError(what="price file", got=path, allowed=_ALLOWED)
    return price_list_of(prices.model_dump(mode="json", exclude_defaults=True))


def _parsed(path: Path) -> object:
    import json  # noqa: PLC0415 - only where a file was named
    import tomllib  # noqa: PLC0415 - see above

    try:
        if not path.is_file() or path.stat().st_size > _MAX_FILE_BYTES:
            raise UnreadableFileError(what="price file", got=path, allowed=_ALLOWED)
        text = path.read_text(encoding="utf-8")
        value: object = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, UnreadableFileError):
            raise
        raise UnreadableFileError(what="price file", got=path, allowed=_ALLOWED) from error
    return value


def _refused(error: ValidationError, path: str) -> InvalidRequestError:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return InvalidRequestError(
            what=f"field '{place}' of the price file is missing", next_step=f"file: {path}"
        )
    return InvalidRequestError(
        what=f"price file, {place}:" if place else "price file",
        got=first.get("input"),
        allowed=str(first["msg"]).removeprefix("Input should be ").strip(),
        next_step=f"file: {path}",
    )
