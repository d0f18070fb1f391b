"""No module of the packages holds what would let a file's contents run; every rule is proved."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from dangers import dangers

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("sizing", "probes", "bench", "webapp")
    for path in (ROOT / folder).rglob("*.py")
)
# Module → the dangers it holds, and why they are none there.
ALLOWED = {
    "sizing/values.py": ["exec"],  # `__init__` of our own classes, as the standard library does it
    "webapp/history.py": ["unsafe_allow_javascript="],  # a script that is written there, whole
}


class Sample(NamedTuple):
    """What must be caught.

    Attributes:
        code: the body of a module.
        rules: of ruff, as the project has them; none where only the syntax test knows it.
    """

    code: str
    rules: frozenset[str] = frozenset()


def sample(code: str, *rules: str) -> Sample:
    return Sample(code, frozenset(rules))


BAD = {
    "pickle": sample("import pickle\npickle.loads(b'')", "TID251", "S301"),
    "pickle from": sample("from pickle import loads", "TID251"),
    "marshal": sample("import marshal\nmarshal.loads(b'')", "TID251", "S302"),
    "shelve": sample("import shelve\nshelve.open('x')", "TID251", "S301"),
    "dill": sample("import dill\ndill.loads(b'')", "TID251", "S301"),
    "cloudpickle": sample("import cloudpickle", "TID251"),
    "joblib": sample("from joblib import load", "TID251"),
    "pickle by name": sample(
        "from importlib import import_module\nimport_module('pickle').loads(b'')"
    ),
    "numpy's pickles": sample("import numpy as np\nnp.load('x', allow_pickle=True)"),
    "yaml": sample("import yaml\nyaml.load('')", "TID251", "S506"),
    "yaml, safely": sample("import yaml\nyaml.safe_load('')"),
    "yaml from": sample("from yaml import load", "TID251"),
    "jinja2": sample("import jinja2\njinja2.Template('')", "TID251"),
    "jinja2 from": sample("from jinja2.sandbox import SandboxedEnvironment", "TID251"),
    "eval": sample("eval('1')", "S307"),
    "eval handed on": sample("list(map(eval, ['1']))"),
    "exec": sample("exec('1')", "S102"),
    "exec, silenced": sample("exec('1')  # noqa: S102"),
    "compile": sample("compile('1', 'x', 'eval')"),
    "__import__": sample("__import__('pickle')"),
    "os.system": sample("import os\nos.system(f'ls {os.sep}')", "S605"),
    "os.popen": sample("import os\nos.popen(f'ls {os.sep}')", "S605"),
    "getoutput": sample("import subprocess\nsubprocess.getoutput(f'ls {1}')", "S605"),
    "shell": sample("import subprocess\nsubprocess.run('ls', shell=True)", "S602"),
    "shell, perhaps": sample(
        "import subprocess\ndef run(shell):\n    subprocess.run('ls', shell=shell)"
    ),
    "shell, worked out": sample(
        "from subprocess import Popen\nPopen('ls', shell=1 == 1)"  # ruff sees literals alone
    ),
    "html in Markdown": sample(
        "import streamlit as st\nst.markdown('<b>x</b>', unsafe_allow_html=True)"
    ),
    "html of a name": sample("import streamlit as st\nst.html(f'<b>{st.title}</b>')"),
    "a frame of a name": sample(
        "import streamlit.components.v1 as components\ncomponents.html(str(components))"
    ),
    "scripts in html": sample(
        "import streamlit as st\nst.html('<i>', unsafe_allow_javascript=bool(1))"
    ),
    "a pickled cache": sample(
        "import streamlit as st\n@st.cache_data\ndef f():\n    return 1", "TID251"
    ),
    "a pickled cache from": sample("from streamlit import cache_data", "TID251"),
}
GOOD = {
    "a program, no shell": "import subprocess\nsubprocess.run(['/bin/ls'], shell=False)",
    "a pattern": "import re\nre.compile('x')",
    "html written here": "import streamlit as st\nst.html('<style>' 'b {}' '</style>')",
    "a cache of objects": "import streamlit as st\n@st.cache_resource\ndef f():\n    return 1",
    "a word in text": "PICKLE = 'pickle'  # eval(x), yaml.load(x)",
}


def test_no_module_holds_a_danger_but_those_with_a_reason() -> None:
    assert len(FILES) > 500
    found = {name: dangers((ROOT / name).read_text("utf-8")) for name in FILES}
    kinds = {name: [text.partition(": ")[2] for text in texts] for name, texts in found.items()}
    assert {name: texts for name, texts in kinds.items() if texts} == ALLOWED


@pytest.mark.parametrize("name", BAD)
def test_a_bad_sample_is_caught(name: str) -> None:
    assert dangers(BAD[name].code)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_sample_is_let_through(name: str) -> None:
    assert dangers(GOOD[name]) == []


@pytest.fixture(scope="module")
def ruff_found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Return the rules of ruff that each bad sample breaks, with the project's settings."""
    folder = tmp_path_factory.mktemp("samples") / "sizing"
    folder.mkdir()
    for number, bad in enumerate(BAD.values()):
        (folder / f"sample_{number}.py").write_text(f"{bad.code}\n", "utf-8")
    settings = ("--config", str(ROOT / "pyproject.toml"), "--no-cache", "--output-format", "json")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *settings, str(folder)],
        capture_output=True,
        check=False,
        text=True,
    )
    found: dict[str, set[str]] = {name: set() for name in BAD}
    names = list(BAD)
    for one in json.loads(done.stdout):
        number = int(Path(one["filename"]).stem.rpartition("_")[2])
        found[names[number]].add(one["code"])
    return found


@pytest.mark.parametrize("name", [name for name, bad in BAD.items() if bad.rules])
def test_the_linter_catches_it_too(name: str, ruff_found: dict[str, set[str]]) -> None:
    assert ruff_found[name] >= BAD[name].rules
