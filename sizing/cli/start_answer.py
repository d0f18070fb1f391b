"""The JSON answer of `whatfits start`."""

from __future__ import annotations

from whatfits.probes.report import Finding
from whatfits.probes.runtimes.report import InstalledRuntime, RunningServer
from whatfits.sizing.connecting import Connection
from whatfits.sizing.machine import Machine
from whatfits.sizing.starting import Level, Pick
from whatfits.sizing.values import dataclass

__all__ = ["StackLayer", "StartAnswer"]


@dataclass(frozen=True, slots=True)
class StackLayer:
    """One of the two layers: its name, and what it is for."""

    name: str
    meaning: str


@dataclass(frozen=True, slots=True)
class StartAnswer:
    """`whatfits start`: what is here, what to begin with, how to connect.

    Attributes:
        machine: what the picks are for.
        looked: whether this machine was looked at; not, when another one was named.
        level: the level that was asked for.
        users: people at once.
        layers: the two layers.
        installed: runtimes and apps that are here.
        servers: servers that answer here.
        findings: what could not be read.
        picks: what to begin with, for every level.
        connection: how to talk to the server that runs, or to the one picked.
    """

    schema_version: str
    machine: Machine
    looked: bool
    level: Level
    users: int
    layers: tuple[StackLayer, ...]
    installed: tuple[InstalledRuntime, ...]
    servers: tuple[RunningServer, ...]
    findings: tuple[Finding, ...]
    picks: tuple[Pick, ...]
    connection: Connection
