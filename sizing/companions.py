"""What a model comes with is loaded beside it, unless the request names something else there."""

from __future__ import annotations

from whatfits.sizing.extras import Adapter, Extras, Projector
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.extras import Companion
    from whatfits.sizing.workload import Workload

__all__ = ["with_companions"]


def with_companions(
    workload: Workload, extras: Extras, companions: Sequence[Companion]
) -> tuple[Workload, Extras]:
    """Return a request and what was read for it, both with what the model comes with.

    A projector or draft model that is asked for takes the place of the model's own; adapters are
    added after it, as they were made for the model as it comes. Without drafting (`spec_type` none
    or by the model itself) its draft model stays away.
    """
    lora: list[str] = []
    adapters: list[Adapter] = []
    for companion in companions:
        match companion.content:
            case Adapter() as adapter:
                lora.append(companion.file)
                adapters.append(adapter)
            case Projector() as projector:
                if workload.mmproj is None:
                    workload = replace(workload, mmproj=companion.file)
                    extras = replace(extras, projector=projector)
            case draft:
                if workload.model_draft is None and workload.spec_type in (None, "draft-simple"):
                    workload = replace(workload, model_draft=companion.file)
                    extras = replace(extras, draft=draft)
    return (
        replace(workload, lora=(*lora, *workload.lora)),
        replace(extras, adapters=(*adapters, *extras.adapters)),
    )
