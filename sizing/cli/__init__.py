"""The command line: the composition root.

One file a command, imported only when it is asked for. Standard output carries nothing but the
answer; errors are one line on standard error, or JSON on standard output with `--json`.
Exit codes: 0 answered, 1 the answer is no or cannot be known, 2 bad input, 3 our own failure.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
from importlib import import_module

from whatfits.sizing.errors import BadInputError, InvalidRequestError, WhatfitsError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

__all__ = ["COMMANDS", "console", "main"]

COMMANDS: Final = (
    ("hardware", "what was read of this machine, from where, and how to raise a limit"),
    ("list", "ranked models for this machine"),
    ("check", "does MODEL fit: verdict, bytes, interval, largest context, speed"),
    ("plan", "the best file type, context and placement for MODEL, and every runtime's commands"),
    ("need", "which machines run MODEL: cards, shared memory, RAM, what to add to this one"),
    ("cost", "MODEL here, at an API or on rented GPUs: cost a day, and when it breaks even"),
    ("serve", "how many users a server of MODEL carries, what each gets, the command for it"),
    ("together", "do several MODELs stay loaded at once, each with a server of its own"),
    ("fleet", "several machines or a Ray cluster: copies or a cut of MODEL, and what starts it"),
    ("start", "runtimes and apps here, which to begin with, how to connect to a server"),
    ("bench", "measure this machine, a file or a running server, and let answers use it"),
    ("verify", "predicted bytes against llama.cpp's plan, a real load, or a running server"),
    ("quants", "the table of file types: bits per weight, quality, size for MODEL"),
    ("explain", "a label (Q4_K_M), a term (kv cache), or the numbers of MODEL"),
    ("web", "the calculator in a browser"),
    ("batch", "JSON Lines of requests in, answers out"),
    ("schema", "JSON Schema of every --json answer"),
)
_MODULES: Final = {"list": "list_models"}
_INTERRUPTED: Final = 130
_OBJECTS_BEFORE_SEARCH: Final = 100_000
_ACT_AT_THE_END: Final = frozenset({"atexit", "threading"})


def console() -> int:
    """Run the installed command: `main` in a process of its own, which mostly ends soon.

    Objects that point at each other are looked for rarely: most live until the answer is written.
    Where nothing that was imported has anything to do at the end, what is left goes with the
    process: to take it apart first is a twentieth of a whole `check` or `plan`.
    """
    gc.set_threshold(_OBJECTS_BEFORE_SEARCH)
    code = main()
    if _ACT_AT_THE_END.isdisjoint(sys.modules):
        _flush()
        os._exit(code)
    gc.freeze()
    return code


def _flush() -> None:
    """Hand over what is still buffered; a reader that has gone is told nothing."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # None: it was closed
            stream.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments or arguments[:1] == ["batch"]
    _prepare_streams(as_json=as_json)
    try:
        code = _answered(arguments, as_json=as_json)
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon_output()  # the reader has gone (`| head`): nothing is left to say
        return 0
    except OSError as error:  # no space left, or a device that refuses
        if os.environ.get("WHATFITS_DEBUG"):
            raise
        _abandon_output()
        _complain(f"error: the answer cannot be written: {error.strerror}")
        return WhatfitsError.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def _answered(arguments: list[str], *, as_json: bool) -> int:
    """Return the exit code of a command, after saying what went wrong if anything did."""
    try:
        return _dispatch(arguments)
    except WhatfitsError as error:
        return _fail(error, as_json=as_json)
    except BrokenPipeError:
        raise
    except Exception as error:  # our own failure must not show a traceback
        if os.environ.get("WHATFITS_DEBUG"):
            raise
        return _fail(_own_failure(error), as_json=as_json)


def _prepare_streams(*, as_json: bool) -> None:
    """Make standard output take every answer: JSON is UTF-8, text gives way where it must."""
    if sys.stdout is None:  # closed by the caller (`>&-`)
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as above
    if isinstance(sys.stdout, io.TextIOWrapper):
        if as_json:
            sys.stdout.reconfigure(encoding="utf-8")
        else:
            sys.stdout.reconfigure(errors="replace")


def _abandon_output() -> None:
    """Send what is still buffered nowhere, so that Python does not complain at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(arguments: list[str]) -> int:
    name = arguments[0] if arguments else ""
    if name in ("-V", "--version"):
        return _print_version()
    if name in ("-h", "--help", "help"):
        return _print_help()
    if name in dict(COMMANDS):
        return _run(_MODULES.get(name, name), arguments[1:])
    if not name or name.startswith("-"):
        return _run("home", arguments)
    from difflib import get_close_matches

    near = get_close_matches(name, [command for command, _ in COMMANDS], n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'?" if near else f"to size a model: whatfits check {name}"
    raise InvalidRequestError(
        what="command",
        got=name,
        allowed=", ".join(command for command, _ in COMMANDS),
        next_step=hint,
    )


def _run(module: str, arguments: list[str]) -> int:
    code: int = import_module(f"whatfits.sizing.cli.{module}").run(arguments)
    return code


def _fail(error: WhatfitsError, *, as_json: bool) -> int:
    if as_json:
        from whatfits.sizing.json_values import dump_json
        from whatfits.sizing.version import SCHEMA_VERSION

        sys.stdout.write(
            dump_json({"schema_version": SCHEMA_VERSION, "error": error.to_dict()}) + "\n"
        )
    else:
        kind = "" if isinstance(error, BadInputError) else "error: "
        _complain(f"{kind}{error}")
    return error.exit_code


def _complain(sentence: str) -> None:
    """Say what went wrong; where nobody can hear it, the exit code says it alone."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"whatfits: {sentence}\n")


def _own_failure(error: Exception) -> WhatfitsError:
    return WhatfitsError(
        f"internal error: {type(error).__name__}: {error}; "
        "set WHATFITS_DEBUG=1 for the traceback and report it"
    )


def _print_version() -> int:
    from whatfits.sizing.version import VERSION

    sys.stdout.write(f"whatfits {VERSION}\n")
    return 0


def _print_help() -> int:
    width = max(len(name) for name, _ in COMMANDS)
    lines = [
        "whatfits: what can this machine run? Answered before anything is downloaded.",
        "",
        "  whatfits                 this machine, the biggest models that fit, what to do next",
        "  whatfits COMMAND --help  the options of a command",
        "",
        *(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS),
        "",
        "MODEL: a catalog name (llama-3.1-8b) or its Hugging Face id, a .gguf, a checkpoint,",
        "hf:org/repo[:TYPE], ollama:NAME[:TAG], https://….gguf; only headers are read.",
        "Exit codes: 0 answered, 1 the answer is no or unknown, 2 bad input, 3 our own failure.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
