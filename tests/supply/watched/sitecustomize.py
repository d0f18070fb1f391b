"""Refuses every use of the network in a Python process, and writes down what was tried.

Python imports a module of this name when it starts, in children too. An audit hook sees what any
library does with sockets, at the place where the interpreter does it, and cannot be taken off
again. A socket between processes of this machine (AF_UNIX) is no network. The log lies beside this
file: a child may know no more of its parent than where Python finds its modules.
"""

from __future__ import annotations

import json
import os
import socket
import sys

_LOG = os.open(f"{__file__}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
_NAMES = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_USES = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
_PROGRAMS = {"subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.fork"}
_LOCAL = getattr(socket, "AF_UNIX", None)


def _write(kind: str, what: object) -> None:
    os.write(_LOG, (json.dumps([kind, str(what)]) + "\n").encode())


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event in _PROGRAMS:
        _write("program", event)
    elif event in _NAMES:
        _write("name", arguments[0])
        raise OSError("this process may not use the network")
    elif event in _USES and getattr(arguments[0], "family", None) != _LOCAL:
        _write(event.removeprefix("socket."), arguments[-1])
        raise OSError("this process may not use the network")


_write("start", sys.orig_argv)
sys.addaudithook(_watch)
