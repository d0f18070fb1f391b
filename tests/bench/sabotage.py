"""Children that do not do what they should: a short program each, and how it is to be told."""

from __future__ import annotations

import sys
from dataclasses import dataclass

PRELUDE = """
import json, os, resource, signal, sys, time
pipe = int(sys.argv[1])
def write(data):
    while data:
        data = data[os.write(pipe, data):]
def tell(value):
    write(json.dumps(value).encode() + b"\\n")
def die(number):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    time.sleep(30)
MEMORY = {"resident_bytes": 1000, "anonymous_bytes": 600, "file_bytes": 400}
MORE = {"resident_bytes": 5000, "anonymous_bytes": 4500, "file_bytes": 500}
LOADING = {"stage": "loading", "before": MEMORY}
LOADED = {"stage": "loaded", "memory": MORE, "devices": {}, "n_ctx": 256,
          "buffers": {"CPU": {"model": 3000, "context": 800, "compute": 200}}}
DECODED = {"stage": "decoded", "memory": MORE, "devices": {}}
"""
LONG_S, SHORT_S = 20.0, 0.7


def command(body: str) -> tuple[str, ...]:
    """Return the command of a program, without the arguments that the parent appends."""
    return (sys.executable, "-I", "-S", "-c", PRELUDE + body)


@dataclass(frozen=True)
class Sabotage:
    """A program, how it is to be reported, and what the reason has to say."""

    body: str
    kind: str
    says: str = ""
    seconds: float = LONG_S


CASES = {
    "does all that is asked": Sabotage("tell(LOADING); tell(LOADED); tell(DECODED)", "measured"),
    "prints and complains beside it": Sabotage(
        "print('x' * 100000); print('y' * 100000, file=sys.stderr);"
        "tell(LOADING); tell(LOADED); tell(DECODED)",
        "measured",
    ),
    "crashes once all is measured": Sabotage(
        "tell(LOADING); tell(LOADED); tell(DECODED); die(signal.SIGSEGV)", "measured"
    ),
    "hangs once all is measured": Sabotage(
        "tell(LOADING); tell(LOADED); tell(DECODED); time.sleep(60)", "measured"
    ),
    "answers in single bytes": Sabotage(
        "for value in (LOADING, LOADED, DECODED):\n"
        "  for byte in json.dumps(value).encode() + b'\\n': write(bytes([byte]))",
        "measured",
    ),
    "sleeps for ever": Sabotage("time.sleep(999)", "timed_out", "loading", SHORT_S),
    "sleeps for ever while decoding": Sabotage(
        "tell(LOADING); tell(LOADED); time.sleep(999)", "timed_out", "decoding", SHORT_S
    ),
    "computes for ever": Sabotage("while True: pass", "timed_out", "loading", SHORT_S),
    "ignores every signal it can": Sabotage(
        "for n in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}: "
        "signal.signal(n, signal.SIG_IGN)\ntime.sleep(999)",
        "timed_out",
        "loading",
        SHORT_S,
    ),
    "stops itself": Sabotage(
        "os.kill(os.getpid(), signal.SIGSTOP)", "timed_out", "loading", SHORT_S
    ),
    "has no line end": Sabotage("write(b'{'); time.sleep(99)", "timed_out", "loading", SHORT_S),
    "ends without a word": Sabotage("", "no_answer", "without a result"),
    "ends after loading": Sabotage("tell(LOADING); tell(LOADED)", "no_answer", "while decoding"),
    "ends with status 1": Sabotage("sys.exit(1)", "no_answer", "without a result"),
    "ends with a traceback": Sabotage("1 / 0", "no_answer", "without a result"),
    "ends in the middle of a line": Sabotage('write(b\'{"stage": "lo\')', "no_answer", "result"),
    "closes the pipe and goes on": Sabotage(
        "tell(LOADING); os.close(pipe); time.sleep(60)", "no_answer", "went on"
    ),
    "closes the pipe and ends": Sabotage("os.close(pipe)", "no_answer", "without a result"),
    "floods the pipe with one line": Sabotage(
        "while True: write(b'x' * 65536)", "no_answer", "no result"
    ),
    "floods the pipe with lines": Sabotage(
        "while True: write(b'{}\\n' * 9999)", "no_answer", "no result"
    ),
    "writes what is no JSON": Sabotage("write(b'hello\\n')", "no_answer", "no result"),
    "writes an empty line": Sabotage("write(b'\\n')", "no_answer", "no result"),
    "writes zeros": Sabotage("write(b'\\0' * 100 + b'\\n')", "no_answer", "no result"),
    "writes what is no UTF-8": Sabotage("write(b'\\xff\\xfe{}\\n')", "no_answer", "no result"),
    "writes deep brackets": Sabotage("write(b'[' * 200000 + b'\\n')", "no_answer", "no result"),
    "writes deep objects": Sabotage(
        "write(b'{\"a\":' * 100000 + b'\\n')", "no_answer", "no result"
    ),
    "writes a long number": Sabotage("write(b'9' * 900000 + b'\\n')", "no_answer", "no result"),
    "writes a list": Sabotage("tell([LOADING])", "no_answer", "no result"),
    "writes a number": Sabotage("tell(7)", "no_answer", "no result"),
    "writes null": Sabotage("tell(None)", "no_answer", "no result"),
    "names a stage that is none": Sabotage("tell({'stage': 'flying'})", "no_answer", "no result"),
    "names a stage with a list": Sabotage("tell({'stage': ['loaded']})", "no_answer", "no result"),
    "skips a stage": Sabotage("tell(LOADING); tell(DECODED)", "no_answer", "no result"),
    "begins with the end": Sabotage("tell(DECODED)", "no_answer", "no result"),
    "repeats a stage": Sabotage("tell(LOADING); tell(LOADING)", "no_answer", "no result"),
    "writes garbage in between": Sabotage(
        "tell(LOADING); write(b'}\\n'); tell(LOADED); tell(DECODED)", "no_answer", "no result"
    ),
    "is refused": Sabotage("tell({'error': 'unknown model architecture'})", "refused", "unknown"),
    "is refused, then crashes": Sabotage(
        "tell({'error': 'wrong number of tensors'}); die(signal.SIGABRT)", "refused", "tensors"
    ),
    "is refused with controls": Sabotage(
        "tell({'error': '\\x1b[2J\\n' + 'x' * 9999})", "refused", "\N{REPLACEMENT CHARACTER}[2J"
    ),
    "gives a reason that is no text": Sabotage("tell({'error': {}})", "no_answer", "no result"),
    "has no memory for a buffer": Sabotage(
        "tell(LOADING); tell({'error': 'failed to allocate CPU buffer of size 9'})",
        "out_of_memory",
        "failed to allocate",
    ),
    "has no memory for an object": Sabotage(
        "tell({'error': 'error loading model: std::bad_alloc'})", "out_of_memory", "bad_alloc"
    ),
    "has no memory to map": Sabotage(
        "tell({'error': 'mmap failed: Cannot allocate memory'})", "out_of_memory", "mmap"
    ),
    "is out of processor time": Sabotage(
        "resource.setrlimit(resource.RLIMIT_CPU, (1, 3))\nwhile True: pass",
        "timed_out",
        "processor time",
    ),
    "leaves a child that holds the pipe": Sabotage(
        "os.fork() == 0 and time.sleep(99)", "no_answer", "without a result"
    ),
    "leaves a child in a session of its own": Sabotage(
        "if os.fork() == 0:\n  os.setsid()\n  time.sleep(99)", "no_answer", "without a result"
    ),
    "waits for a child that sleeps": Sabotage(
        "if os.fork() == 0: time.sleep(99)\nos.wait()", "timed_out", "loading", SHORT_S
    ),
    "forks and measures all the same": Sabotage(
        "if os.fork() == 0: time.sleep(99)\ntell(LOADING); tell(LOADED); tell(DECODED)", "measured"
    ),
}
CASES |= {
    "uses up its address space": Sabotage(
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))\n"
        "try: held = bytearray(1 << 30)\n"
        "except MemoryError: tell({'error': 'out of memory'})",
        "out_of_memory",
        "out of memory",
    ),
    "becomes a daemon and goes on": Sabotage(
        "if os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
        "os.close(pipe); time.sleep(99)",
        "no_answer",
        "without a result",
    ),
    "becomes a daemon that answers": Sabotage(
        "if os.fork() == 0:\n  os.setsid(); tell(LOADING); time.sleep(99)\ntime.sleep(0.2)",
        "no_answer",
        "without a result",
    ),
    "leaves a hundred children": Sabotage(
        "for _ in range(100):\n  if os.fork() == 0: time.sleep(99)", "no_answer", "without a result"
    ),
    "changes its folder and measures": Sabotage(
        "os.chdir('/'); tell(LOADING); tell(LOADED); tell(DECODED)", "measured"
    ),
    "fills the disk up to its limit": Sabotage(
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\ntell(LOADING)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "file = open('big', 'wb', 0)\nwhile True: file.write(bytes(4096))",
        "crashed",
        "SIGXFSZ) while loading",
    ),
    "reads its standard input": Sabotage(
        "sys.stdin.read(); tell(LOADING); tell(LOADED); tell(DECODED)", "measured"
    ),
    "ends its own group": Sabotage(
        "tell(LOADING); os.killpg(0, signal.SIGKILL); time.sleep(30)", "killed", "SIGKILL"
    ),
    "ends with another status": Sabotage("tell(LOADING); os._exit(137)", "no_answer", "loading"),
    "changes a figure's type half-way": Sabotage(
        "tell(LOADING); tell({**LOADED, 'n_ctx': '256'}); tell(DECODED)", "no_answer", "no result"
    ),
}
for _name in ("SEGV", "ABRT", "BUS", "FPE", "ILL", "SYS", "TRAP"):
    CASES[f"crashes with SIG{_name}"] = Sabotage(
        f"tell(LOADING); die(signal.SIG{_name})", "crashed", f"SIG{_name}) while loading"
    )
CASES["crashes while decoding"] = Sabotage(
    "tell(LOADING); tell(LOADED); die(signal.SIGSEGV)", "crashed", "while decoding"
)
CASES["crashes in the middle of a line"] = Sabotage(
    "tell(LOADING); write(b'{\"st'); die(signal.SIGABRT)", "crashed", "SIGABRT) while loading"
)
CASES["ends by a signal without a name"] = Sabotage("die(40)", "crashed", "signal 40")
for _name in ("KILL", "TERM", "INT", "HUP"):
    CASES[f"is ended with SIG{_name}"] = Sabotage(
        f"tell(LOADING); die(signal.SIG{_name})"
        if _name != "KILL"
        else "tell(LOADING); os.kill(os.getpid(), signal.SIGKILL); time.sleep(30)",
        "killed",
        f"SIG{_name}) while loading",
    )

# what each field may not be, at each place where it stands
WRONG = {
    "before is missing": ({"stage": "loading"},),
    "before is a list": ({"stage": "loading", "before": [1]},),
    "before lacks the resident": ({"stage": "loading", "before": {"file_bytes": 1}},),
    "before names what nobody knows": (
        {"stage": "loading", "before": {"resident_bytes": 1, "other": 2}},
    ),
    **{
        f"the resident is {value!r}": ({"stage": "loading", "before": {"resident_bytes": value}},)
        for value in (None, "1", 1.5, True, -1, [], {}, 2**63, 1e300, float("nan"))
    },
}
WRONG_LOADED = {
    "no buffers": {"buffers": {}},
    "buffers that are null": {"buffers": None},
    "buffers that are a list": {"buffers": [{"model": 1, "context": 1, "compute": 1}]},
    "a buffer that is a number": {"buffers": {"CPU": 5}},
    "a buffer without a column": {"buffers": {"CPU": {"model": 1, "context": 1}}},
    "a buffer with a further column": {
        "buffers": {"CPU": {"model": 1, "context": 1, "compute": 1, "more": 1}}
    },
    "a column that is text": {"buffers": {"CPU": {"model": "1", "context": 1, "compute": 1}}},
    "a column below zero": {"buffers": {"CPU": {"model": -1, "context": 1, "compute": 1}}},
    "a column of 2^64": {"buffers": {"CPU": {"model": 2**64, "context": 1, "compute": 1}}},
    "a thousand buffers": {
        "buffers": {str(i): {"model": 1, "context": 1, "compute": 1} for i in range(1000)}
    },
    "no context": {"n_ctx": None},
    "a context of nothing": {"n_ctx": 0},
    "a context that is true": {"n_ctx": True},
    "memory that is text": {"memory": "much"},
    "devices that are a list": {"devices": ["CUDA0"]},
    "a device with text": {"devices": {"CUDA0": "1"}},
}
