"""`whatfits check --exact`: compute buffers from llama.cpp's own plan, where it can be asked."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

from whatfits.sizing.errors import InvalidRequestError, ProbeError
from whatfits.sizing.sources.claims import is_address
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import Workload

__all__ = ["ExactPlan"]


class ExactPlan:
    """Asks llama.cpp for the plan of the chosen trial, and remembers what it said."""

    def __init__(
        self, model: ModelSpec, machine: Machine, workload: Workload, *, is_here: bool
    ) -> None:
        """Ask nothing yet; `is_here`: the machine is this one.

        Raises:
            MissingExtraError: llama-cpp-python is not installed.
        """
        from whatfits.bench.loads import require_llama_cpp

        require_llama_cpp()
        self._model = model
        self._machine = machine
        self._workload = workload
        self._is_here = is_here
        self._notes: tuple[str, ...] = ()
        self._asked = False

    def refined(self, trial: Trial) -> Trial:
        """Return the trial with llama.cpp's compute buffers; as it was where it cannot be asked."""
        from whatfits.bench.exact import exact_trial

        try:
            accelerators = self._accelerators(trial)
            with _file_of(self._model) as path:
                exact = exact_trial(
                    self._model,
                    path,
                    trial,
                    workload=self._workload,
                    machine=self._machine,
                    accelerators=accelerators,
                )
        except (ProbeError, InvalidRequestError) as error:
            self._notes = (f"The compute buffers are predicted, not llama.cpp's own: {error}.",)
            return trial
        self._asked = True
        # another CPU may rearrange its weights in another way
        self._notes = exact.differences if self._is_here else ()
        return exact.trial

    def explained(self, plan: Plan) -> Plan:
        """Return the plan with what llama.cpp said, and with the source of its numbers."""
        from whatfits.bench.exact import is_compute, planned_basis

        basis = plan.basis
        if self._asked:
            basis = tuple(planned_basis(b) if is_compute(b) else b for b in basis)
        return replace(plan, notes=(*plan.notes, *self._notes), basis=basis)

    def _accelerators(self, trial: Trial) -> dict[str, str]:
        """Return device id → llama.cpp's name of the accelerators of a trial.

        Raises:
            ProbeError: this build of llama.cpp does not see one of them.
        """
        placed = [device.id for device in trial.placement.accelerators]
        if not placed:
            return {}
        if not self._is_here:
            raise ProbeError("the accelerators of another machine cannot be asked")
        from whatfits.bench.devices import named_accelerators

        seen = named_accelerators(self._machine)
        missing = [name for name in placed if name not in seen]
        if missing:
            raise ProbeError(
                f"the installed llama.cpp was built without a back end for {', '.join(missing)}"
            )
        return {name: seen[name] for name in placed}


@contextmanager
def _file_of(model: ModelSpec) -> Iterator[Path]:
    """Return the model's file; a catalog model gets one without weights, for as long as needed.

    Raises:
        ProbeError: it is not on this disk or not made yet, and the catalog has no table of it.
        InvalidRequestError: there is no room for that one.
    """
    if is_address(model.source):
        raise ProbeError("the file is not on this disk")
    if model.planned:
        raise ProbeError(f"the {model.file_type} file that is sized here has yet to be made")
    if model.source != "catalog":
        yield Path(model.file or model.source)
        return
    if not model.tensors or model.file_type is None:
        raise ProbeError("the catalog has no tensor table of this model")
    from whatfits.bench.synthetic import write_catalog_model
    from whatfits.bench.temporary import put_down, temporary_folder

    with temporary_folder() as folder:
        path = folder / "synthetic.gguf"
        with put_down():
            write_catalog_model(path, model.name, file_type=model.file_type)
        yield path
