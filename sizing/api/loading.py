"""What names and objects stand for: models, machines, workloads, placements."""

from __future__ import annotations

from whatfits.sizing.api.arguments import check_file_type, check_text
from whatfits.sizing.api.typed_fields import check_fields
from whatfits.sizing.machine import Machine
from whatfits.sizing.model import ModelSpec
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, find_runtime
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeVar

    from whatfits.probes.report import ProbeReport
    from whatfits.sizing.workload import PlacementRequest, Workload

    _T = TypeVar("_T")

__all__ = [
    "hardware",
    "load_machine",
    "load_model",
    "load_placement",
    "load_spec",
    "load_value",
    "load_workload",
    "replayed",
]


def hardware() -> ProbeReport:
    """Return what can be read of this machine, with evidence and findings."""
    from whatfits.probes import detect

    return detect()


def load_model(
    name: str,
    *,
    file_type: str | None = None,
    quick: bool = False,
    runtime: str = DEFAULT_RUNTIME,
) -> ModelSpec:
    """Return the model behind a catalog name, a path, a repository or an address, for a runtime.

    `quick`: from as few requests as can be, with an interval for the weights.

    Raises:
        BadInputError: unknown name, unreadable or malformed file, unknown file type.
    """
    from whatfits.sizing.sources import load

    check_text(name, what="model", allowed="text (of a path: str(path))")
    if file_type is not None:
        check_text(file_type, what="file type", allowed="text, as 'Q4_K_M'")
    return load(name, file_type=file_type, quick=quick, loader=find_runtime(runtime).loader)


def load_spec(
    model: str | ModelSpec,
    *,
    file_type: str | None = None,
    quick: bool = False,
    runtime: str = DEFAULT_RUNTIME,
) -> ModelSpec:
    """Return a model that is given as it is, or loaded by its name as `load_model` does.

    Raises:
        BadInputError: as there; no such runtime, which is looked at before anything is read; or
            another file type than that of a model that is given.
    """
    find_runtime(runtime)
    if isinstance(model, ModelSpec):
        check_file_type(model, file_type)
        return model
    check_text(model, what="model", allowed="text (of a path: str(path)), or a ModelSpec")
    return load_model(model, file_type=file_type, quick=quick, runtime=runtime)


def load_machine(machine: str | Machine | Mapping[str, Any] | None) -> Machine:
    """Return the machine behind an expression, a saved report, an object, or this machine.

    Raises:
        BadInputError: the expression, file or object is no machine.
    """
    if isinstance(machine, Machine):
        return machine
    if machine is None:
        return _with_measurements(hardware().machine)
    if isinstance(machine, str):
        from whatfits.sizing.sources.machine_file import read_machine

        return read_machine(machine, replay=replayed)
    from whatfits.sizing.requests import machine_from_object

    return machine_from_object(machine)


def replayed(recording: Mapping[str, Any]) -> Machine:
    """Return the machine that `whatfits hardware --doctor` recorded."""
    from whatfits.probes import detect
    from whatfits.probes.replay import ReplaySystem

    return detect(ReplaySystem(recording)).machine


def _with_measurements(machine: Machine) -> Machine:
    """Return this machine with what was measured on it: by real loads, and by `bench`."""
    from whatfits.probes.kept_paths import CALIBRATION, MEASUREMENTS, is_kept

    if is_kept(CALIBRATION):
        from whatfits.probes.calibration import default_calibration_path, with_calibration

        machine = with_calibration(machine, default_calibration_path())
    if is_kept(MEASUREMENTS):
        from whatfits.probes.measurements import (
            MeasurementStore,
            default_measurements_path,
            fingerprint,
        )
        from whatfits.probes.overheads import with_measured_overheads

        loads = MeasurementStore(default_measurements_path()).loads(machine=fingerprint(machine))
        machine = with_measured_overheads(machine, loads)
    return machine


def load_workload(given: Workload | Mapping[str, Any] | None) -> Workload:
    """Return the workload of an object, or one with every default.

    Raises:
        BadInputError: the object is no workload.
    """
    from whatfits.sizing.workload import Workload

    if given is None:
        return Workload()
    if isinstance(given, Workload):
        check_fields(given, what="workload")
        return given
    from whatfits.sizing.requests import workload_from_object

    return workload_from_object(given)


def load_placement(given: PlacementRequest | Mapping[str, Any] | None) -> PlacementRequest:
    """Return the placement request of an object, or one that leaves all open.

    Raises:
        BadInputError: the object is no placement.
    """
    from whatfits.sizing.workload import PlacementRequest

    if given is None:
        return PlacementRequest()
    if isinstance(given, PlacementRequest):
        check_fields(given, what="placement")
        return given
    from whatfits.sizing.requests import placement_from_object

    return placement_from_object(given)


def load_value(kind: type[_T], given: _T | Mapping[str, Any] | None, *, what: str) -> _T:
    """Return a value that has defaults: as it is, of an object, or with every default.

    Raises:
        BadInputError: the object has a field that is unknown or of the wrong kind; it is `what`.
    """
    if given is None or isinstance(given, kind):
        return given or kind()
    from whatfits.sizing.requests import validated

    return validated(kind, given, what=what)
