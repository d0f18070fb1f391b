"""What would let a file's contents run, or be drawn as HTML: found in the syntax of a module.

Ruff has rules for most of it, but a comment silences them. Here nothing does.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODULES: Final = {
    **dict.fromkeys(
        ("pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"),
        "reading it runs what the file says",
    ),
    **dict.fromkeys(("yaml", "ruamel"), "its tags make objects; JSON and TOML do not"),
    **dict.fromkeys(("jinja2", "mako"), "a model's template is a program, never rendered"),
}
_BUILTINS: Final = {"eval", "exec", "compile", "__import__"}
_SHELLS: Final = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
_PICKLES: Final = {"cache_data": "keeps what a function returned as a pickle"}
_HTML: Final = {"html", "iframe"}  # of streamlit and of its components
# Keywords that are dangerous unless they are plainly off.
_KEYWORDS: Final = {"shell", "allow_pickle", "unsafe_allow_html", "unsafe_allow_javascript"}


def dangers(source: str) -> list[str]:
    """Return each danger in a module's source, as `LINE: what`."""
    return [f"{line}: {what}" for line, what in sorted(set(_found(ast.parse(source))))]


def _found(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            yield from _import(node.lineno, node.module or "")
            for alias in node.names:
                yield from _name(node.lineno, f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Name) and node.id in _BUILTINS:
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield from _name(node.lineno, ast.unparse(node))
        elif isinstance(node, ast.Call):
            yield from _call(node)


def _import(line: int, module: str) -> Iterator[tuple[int, str]]:
    root = module.partition(".")[0]
    if root in _MODULES:
        yield line, f"{root}: {_MODULES[root]}"


def _name(line: int, name: str) -> Iterator[tuple[int, str]]:
    """Find a function that is dangerous however it is called, handed on or renamed."""
    last = name.rpartition(".")[2]
    if name in _SHELLS:
        yield line, name
    if last in _PICKLES:
        yield line, f"{last}: {_PICKLES[last]}"


def _call(call: ast.Call) -> Iterator[tuple[int, str]]:
    for keyword in call.keywords:
        is_off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg in _KEYWORDS and not is_off:
            yield call.lineno, f"{keyword.arg}="
    name = ast.unparse(call.func)
    if name.rpartition(".")[2] in _HTML and not all(
        isinstance(argument, ast.Constant) for argument in call.args
    ):
        yield call.lineno, f"{name} of text that is not written here"
    if name.endswith("import_module") and call.args and isinstance(call.args[0], ast.Constant):
        yield from _import(call.lineno, str(call.args[0].value))
