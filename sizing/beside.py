"""Everything a server holds beside the model and its context, part by part."""

from __future__ import annotations

from whatfits.sizing.extras import NO_EXTRAS
from whatfits.sizing.growth import NO_GROWTH, growth_of
from whatfits.sizing.speculation import draft_type
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.extras import Extras
    from whatfits.sizing.growth import Growth
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.draft import DraftModel, PredictionLayers
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.share import Part, Share

__all__ = ["Beside"]


class Beside:
    """What a request loads beside the model; keeps what does not depend on the placement."""

    def __init__(
        self,
        model: ModelSpec,
        workload: Workload | None = None,
        request: PlacementRequest | None = None,
        extras: Extras = NO_EXTRAS,
    ) -> None:
        """Prepare the drafts.

        Raises:
            InvalidRequestError: the request asks for a kind of draft that is not there.
        """
        self._model = model
        self._workload = workload or Workload()
        self._request = request or PlacementRequest()
        self._extras = extras
        self._draft: DraftModel | None = None
        self._predicting: PredictionLayers | None = None
        kind = draft_type(self._workload)
        if kind == "draft-simple" and extras.draft is not None:
            from whatfits.sizing.runtimes.draft import DraftModel  # noqa: PLC0415 - rarely needed

            self._draft = DraftModel(extras.draft, self._workload, self._request)
        elif kind == "draft-mtp":
            from whatfits.sizing.runtimes.draft import PredictionLayers  # noqa: PLC0415 - same

            self._predicting = PredictionLayers(model, self._workload)

    def parts(
        self, settings: Settings, placement: Placement, machine: Machine, taken: Sequence[Share]
    ) -> list[Part]:
        """Return the parts in the order they are loaded; `taken` is what the model itself takes."""
        parts: list[Part] = []
        if self._extras.adapters:
            from whatfits.sizing.adapters import adapter_part  # noqa: PLC0415 - rarely needed

            parts += [adapter_part(a, settings, placement) for a in self._extras.adapters]
        if self._draft is not None:
            parts.append(self._draft.part(settings, placement, machine, taken))
        if self._predicting is not None:
            parts.append(self._predicting.part(settings, placement))
        if self._extras.projector is not None:
            from whatfits.sizing.projector import projector_part  # noqa: PLC0415 - rarely needed

            offload = self._request.mmproj_offload is not False
            parts.append(projector_part(self._extras.projector, placement, offload=offload))
        return parts

    def growth(self, settings: Settings, *, is_server: bool) -> Growth:
        """Return what the caches on the host may grow to."""
        if not is_server:
            return NO_GROWTH
        return growth_of(self._model, settings, self._workload, draft=self._extras.draft)
