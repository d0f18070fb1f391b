"""A place to drop a GGUF or a config.json: the browser sends the file's beginning, no more."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from streamlit.components import v2 as components

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.sources.dropped import MAX_HEAD_BYTES, load_dropped

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

__all__ = ["ask_file", "model_of_sent"]

_LONGEST_NAME: Final = 200
_HTML: Final = """
<label for="file">A GGUF file or a config.json: only its header is read</label>
<input id="file" type="file" accept=".gguf,.json">
"""
_CSS: Final = """
:host, label, input { font-family: var(--st-font); color: var(--st-text-color); }
label { display: block; font-size: .875rem; margin-bottom: .5rem; }
input { font-size: .875rem; max-width: 100%; padding: .75rem; box-sizing: border-box;
  border: 1px dashed var(--st-border-color); border-radius: .5rem; }
"""
_JS: Final = """
export default function ({ parentElement, setTriggerValue }) {
  const input = parentElement.querySelector("input");
  input.onchange = () => {
    const file = input.files[0];
    if (!file) return;
    const reader = new FileReader();
    reader.onload = () => setTriggerValue("sent", {
      name: file.name, size: file.size, head: reader.result.split(",")[1] || "",
    });
    reader.readAsDataURL(file.slice(0, MAX_HEAD_BYTES));
  };
}
"""


def ask_file() -> object:
    """Ask for a file; return what the browser sent of it, in the run that follows; else None."""
    place = components.component(
        "whatfits_file",
        html=_HTML,
        css=_CSS,
        js=_JS.replace("MAX_HEAD_BYTES", str(MAX_HEAD_BYTES)),
    )
    sent: object = place(key="file", on_sent_change=lambda: None).sent
    return sent


def model_of_sent(sent: object) -> ModelSpec:
    """Return the model of what a browser sent, which may be anything.

    Raises:
        BadInputError: it is no beginning of a model's file.
    """
    odd = InvalidRequestError(what="file", allowed="a name, a size and the first bytes of a file")
    if not isinstance(sent, Mapping):
        raise odd
    name, size, head = (sent.get(key) for key in ("name", "size", "head"))
    if not isinstance(name, str) or not isinstance(head, str) or len(head) > 2 * MAX_HEAD_BYTES:
        raise odd
    if not isinstance(size, int) or isinstance(size, bool):
        raise odd
    try:
        data = base64.b64decode(head, validate=True)
    except (binascii.Error, ValueError):
        raise odd from None
    return load_dropped(name[-_LONGEST_NAME:], data, size_bytes=size)
