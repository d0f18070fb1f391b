"""Which file type is meant when nobody names one."""

from __future__ import annotations

from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["DEFAULT_FILE_TYPE", "LADDER", "RANKED_TYPES", "UNASKED", "chosen_file_type"]

DEFAULT_FILE_TYPE: Final = "Q4_K_M"
# from better to worse quality
LADDER: Final = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
# what a ranking chooses from: nothing worse than the default without being asked
RANKED_TYPES: Final = LADDER[: LADDER.index(DEFAULT_FILE_TYPE) + 1]
UNASKED: Final = "No file type was asked for"
_NATIVE_FILE_TYPES: Final = {"mxfp4": "MXFP4_MOE"}


def chosen_file_type(asked: str | None, *, native: str | None) -> tuple[str, tuple[str, ...]]:
    """Return a file type's name and what to say about the choice.

    Unset, it is the model's native quantisation where GGUF has it (gpt-oss: MXFP4), else Q4_K_M.

    Raises:
        UnknownFileTypeError: no such file type.
    """
    if asked is not None:
        return find_file_type(asked).name, ()
    known = _NATIVE_FILE_TYPES.get(native or "")
    chosen = find_file_type(known or DEFAULT_FILE_TYPE).name
    why = "the model's native quantisation" if known else "the usual balance"
    return chosen, (f"{UNASKED}: {chosen}, {why}.",)
