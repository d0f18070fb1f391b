"""The form of the catalog's files of processors: what they multiply a prompt with."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - pydantic resolves it

from pydantic import Field

from whatfits.sizing.catalog.schema import Id, Positive, PositiveFloat, Row, Text

__all__ = ["ProcessorSeriesRow", "ProcessorsFile"]


class ProcessorRow(Row):
    """One processor; what was not found is left out.

    `cores` are those of all kinds and `performance_cores` the fast ones of a PC's, on which alone
    llama.cpp starts threads; `worth_in_cores` is what unequal ones are worth in the fastest where
    threads run on all; `boost_mhz` the highest clock of a core; `kinds` those of ARM's cores.
    """

    cores: Positive
    performance_cores: Positive | None = None
    worth_in_cores: PositiveFloat | None = None
    boost_mhz: Positive | None = None
    kinds: Text | None = None


class ProcessorSeriesRow(Row):
    """Processors of one platform with the same kernels; `features` are the kernel's words."""

    platform: Id
    features: tuple[Text, ...] = Field(strict=False)
    source: Text
    checked: dt.date
    cpus: dict[Text, ProcessorRow]


class ProcessorsFile(Row):
    """A file of `processors/`."""

    series: list[ProcessorSeriesRow]
