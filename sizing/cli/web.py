"""`whatfits web`: the calculator in a browser."""

from __future__ import annotations

from importlib.util import find_spec

from whatfits.sizing.cli.parser import Parser, parsed, whole_number
from whatfits.sizing.errors import InvalidRequestError, MissingExtraError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

__all__ = ["run"]

_LAST_PORT: Final = 65_535


def run(arguments: Sequence[str]) -> int:
    """Run the command until it is ended; 0."""
    parser = Parser(command="web", description="The calculator in a browser, on this machine.")
    parser.add_argument(
        "--port", action=parsed(_port), metavar="N", help="instead of the first free one from 8501"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="instead of this machine alone"
    )
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    parser.add_argument(
        "--public",
        action="store_true",
        help="for strangers: this machine's hardware hidden, no files or addresses read",
    )
    options = parser.read(arguments)
    if find_spec("streamlit") is None:
        raise MissingExtraError(extra="web", purpose="the page in a browser")
    from whatfits.webapp.launch import serve

    serve(
        port=options.port,
        host=options.host,
        browser=not options.no_browser,
        public=options.public,
    )
    return 0


def _port(text: str) -> int:
    port = whole_number(text)
    if not 1 <= port <= _LAST_PORT:
        raise InvalidRequestError(what="port", got=text, allowed="1 to 65535")
    return port
