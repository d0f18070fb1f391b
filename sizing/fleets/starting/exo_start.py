"""exo on Macs by commands: the same program on each, which find each other.

Source: exo-explore/exo README.md (`exo`), docs/api.md (POST /models/add, GET /instance/previews,
port 52415).
"""

from __future__ import annotations

import json
import shlex

from whatfits.sizing.fleets.plans import NodeCommands
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

__all__ = ["exo_start"]

_API: Final = "http://localhost:52415"
_WAY: Final = "exo"
_PLACEHOLDER: Final = "mlx-community/MODEL"


def exo_start(nodes: Sequence[str], repository: str | None) -> Iterator[NodeCommands]:
    """Yield what to type: `exo` on each Mac, then what adds the model and shows its placements.

    `repository` has the MLX weights; None where nobody named one.
    """
    for node in nodes:
        yield NodeCommands(node, _WAY, ("exo",))
    model = repository or _PLACEHOLDER
    body = json.dumps({"model_id": model})
    add = ["curl", "-X", "POST", f"{_API}/models/add"]
    add += ["-H", "Content-Type: application/json", "-d", body]
    show = ["curl", "-G", f"{_API}/instance/previews", "--data-urlencode", f"model_id={model}"]
    yield NodeCommands(nodes[0], _WAY, (shlex.join(add), shlex.join(show)))
