"""`whatfits hardware`: what was read of this machine, from where, how to raise a limit."""

from __future__ import annotations

import sys

from whatfits.sizing.cli.parser import Parser, add_output_options
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.probes.report import ProbeReport
    from whatfits.sizing.cli.hardware_answer import HardwareAnswer

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0, also when a source could not be read (that is a finding)."""
    parser = Parser(command="hardware", description="What was read of this machine.")
    parser.add_argument("--machine", metavar="NAME|FILE", help="show another machine instead")
    parser.add_argument(
        "--doctor",
        action="store_true",
        help="a redacted recording of everything that was read, for a bug report",
    )
    add_output_options(parser)
    options = parser.read(arguments)
    if options.doctor and options.machine:
        raise InvalidRequestError(
            what="--doctor with --machine",
            got=options.machine,
            allowed="one of them: what is recorded is this machine",
        )
    if options.doctor:
        return _doctor()
    from whatfits.probes.report import ProbeReport
    from whatfits.sizing.api import hardware, load_machine

    if options.machine:
        report = ProbeReport(load_machine(options.machine))
    else:
        report = _with_calibration(_with_loads(hardware()))
    if options.json:
        sys.stdout.write(dump_json(_answer(report)) + "\n")
    else:
        from whatfits.sizing.cli.hardware_text import hardware_document
        from whatfits.sizing.cli.render import show

        show(hardware_document(report), plain=options.plain)
    return 0


def _doctor() -> int:
    from whatfits.probes.doctor import record

    sys.stdout.write(dump_json(record(), indent=1) + "\n")
    return 0


def _with_loads(report: ProbeReport) -> ProbeReport:
    """Return a report of this machine with what real loads on it have measured."""
    from whatfits.probes.kept_paths import MEASUREMENTS, is_kept

    if not is_kept(MEASUREMENTS):
        return report
    from whatfits.probes.measurements import default_measurements_path
    from whatfits.probes.overheads import measured_report

    return measured_report(report, default_measurements_path())


def _with_calibration(report: ProbeReport) -> ProbeReport:
    """Return a report of this machine with what `bench` has measured."""
    from whatfits.probes.kept_paths import CALIBRATION, is_kept

    if not is_kept(CALIBRATION):
        return report
    from datetime import UTC, datetime

    from whatfits.probes.calibrated_report import calibrated_report
    from whatfits.probes.calibration import default_calibration_path

    return calibrated_report(report, default_calibration_path(), now=datetime.now(UTC))


def _answer(report: ProbeReport) -> HardwareAnswer:
    from whatfits.sizing.cli.hardware_answer import HardwareAnswer

    return HardwareAnswer(
        SCHEMA_VERSION,
        report.machine,
        report.evidence,
        report.findings,
        report.holders,
        report.free_disk_bytes,
    )
