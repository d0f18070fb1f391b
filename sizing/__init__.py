"""Which models fit on a machine, at what context, how fast: the library's front door.

from whatfits.sizing import check
plan = check("llama-3.1-8b", machine="rtx-4090 + 64gb", workload={"context_tokens": 32768})
plan.verdict, plan.memory.total_bytes, plan.largest_context_tokens
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.api import check, hardware, load_machine, load_model

__all__ = ["check", "hardware", "load_machine", "load_model"]


def __getattr__(name: str) -> object:
    """Import the front door when it is opened: a submodule alone stays cheap."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from whatfits.sizing import api  # noqa: PLC0415 - see above

    return getattr(api, name)
