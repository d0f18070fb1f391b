"""Who may import whom, and what the pure part may touch: read from the source, file by file.

import-linter checks the same layers through chains of imports; here, nothing is left out by a list.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
FOLDERS = ("sizing", "probes", "webapp", "bench")
MAY_IMPORT = {
    "sizing": {"sizing"},
    "probes": {"probes", "sizing"},
    "webapp": {"webapp", "probes", "sizing"},
    "bench": {"bench", "probes", "sizing"},
}
# The composition roots: they may import the others, but only inside a function.
ROOTS = ("sizing/cli/", "sizing/api/")
# The forms of JSON answers: pydantic reads their annotations, so they import what they name; they
# are themselves only imported inside functions.
FORMS = (
    "sizing/cli/answers.py",
    "sizing/cli/hardware_answer.py",
    "sizing/cli/start_answer.py",
)
# Where sizing does input and output: commands, and the sources a model is read from.
IMPURE = ("sizing/cli/", "sizing/sources/")
OUTSIDE = frozenset(
    {
        *("os", "sys", "subprocess", "socket", "time", "platform", "pathlib", "io", "tempfile"),
        *(
            "shutil",
            "glob",
            "threading",
            "multiprocessing",
            "asyncio",
            "signal",
            "random",
            "locale",
        ),
        *("urllib", "http", "ssl", "httpx", "requests", "huggingface_hub", "psutil", "getpass"),
        *("datetime", "logging", "ctypes", "mmap", "secrets", "uuid"),
    }
)
# Module → what of the outside it needs, and why that changes no answer.
REASONS = {
    "sizing/__main__.py": {"sys"},  # the exit code
    "sizing/catalog/index_file.py": {"os"},  # opens packaged data: dirname and join
    "sizing/catalog/sources.py": {"pathlib"},  # reads the catalog's sources for the build
    "sizing/catalog/build.py": {"sys"},  # a program: writes the index
    "sizing/catalog/bits.py": {"sys", "pathlib"},  # same
    "sizing/catalog/shares_build.py": {"sys", "pathlib"},  # same
    "sizing/catalog/checks.py": {"datetime"},  # compares dates of rows, asks no clock
    "sizing/catalog/schema.py": {"datetime"},  # the type of a date
    "sizing/catalog/memory_schema.py": {"datetime"},  # same
    "sizing/catalog/processor_schema.py": {"datetime"},  # same
    "sizing/catalog/quants_schema.py": {"datetime"},  # same
    "sizing/catalog/cost_schema.py": {"datetime"},  # same
    "sizing/needing/renting.py": {"datetime"},  # the days between two dates, asks no clock
    "sizing/api/arguments.py": {"datetime"},  # the type of a date
}
# The library's front door, and the program that sizes every catalog model for the index.
READERS_OF_MODELS = ("sizing/api/", "sizing/catalog/shares_build.py")
# Module → what it calls that the pure part otherwise does not, and why that changes no answer.
CALLS = {
    "sizing/catalog/index_file.py": {"open"},  # packaged data
    "sizing/values.py": {"exec"},  # `__init__` of our own classes, as the standard library does it
}
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
)
PURE = [name for name in FILES if name.startswith("sizing/") and not name.startswith(IMPURE)]


def imports(node: ast.AST, *, lazily: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield (module, whether inside a function) of every import that runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, lazily) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield child.module or "", lazily
            yield from ((f"{child.module}.{alias.name}", lazily) for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from (pair for other in child.orelse for pair in imports(other, lazily=lazily))
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from imports(child, lazily=lazily or is_function)


def imports_of(name: str) -> set[tuple[str, bool]]:
    return set(imports(ast.parse((ROOT / name).read_text("utf-8"), name)))


def ours(module: str) -> str | None:
    """Return the folder of a module of this project, or None."""
    parts = module.split(".")
    return parts[1] if parts[0] == "whatfits" and len(parts) > 1 else None


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", FILES)
def test_a_folder_imports_only_what_it_stands_on(name: str) -> None:
    folder = name.split("/", maxsplit=1)[0]
    outside = {
        (module, lazily)
        for module, lazily in imports_of(name)
        if ours(module) not in {None, *MAY_IMPORT[folder]}
    }
    if name.startswith(ROOTS):
        outside = {(module, lazily) for module, lazily in outside if not lazily}
    if name not in FORMS:
        assert outside == set()


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_of_answers_are_only_imported_inside_functions(form: str) -> None:
    module = f"whatfits.{form.removesuffix('.py').replace('/', '.')}"
    users = {name for name in FILES if (module, True) in imports_of(name)}
    assert users
    eager = {name for name in FILES if (module, False) in imports_of(name)}
    assert eager <= set(FORMS)  # one form may be made of another


@pytest.mark.parametrize("name", PURE)
def test_the_pure_part_reaches_for_nothing_outside(name: str) -> None:
    used = {module.split(".")[0] for module, _ in imports_of(name)}
    assert used & OUTSIDE == REASONS.get(name, set()) & used


@pytest.mark.parametrize("name", PURE)
def test_the_pure_part_opens_and_prints_nothing(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text("utf-8"), name)
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called & {"open", "input", "print", "exec", "eval", "breakpoint"} <= CALLS.get(
        name, set()
    )


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("sizing/")])
def test_only_the_roots_import_the_roots(name: str) -> None:
    if name.startswith(("sizing/cli/", "sizing/__main__.py")):
        return
    roots = ["whatfits.sizing.cli."]
    if not name.startswith("sizing/api/"):
        roots.append("whatfits.sizing.api.")
    modules = {module for module, _ in imports_of(name)}
    assert {module for module in modules if f"{module}.".startswith(tuple(roots))} == set()


@pytest.mark.parametrize("name", [name for name in PURE if not name.startswith(READERS_OF_MODELS)])
def test_the_pure_part_reads_no_model_by_itself(name: str) -> None:
    modules = {module for module, _ in imports_of(name)}
    assert {m for m in modules if f"{m}.".startswith("whatfits.sizing.sources.")} == set()


def test_every_reason_is_still_needed() -> None:
    for name, allowed in REASONS.items():
        assert allowed <= {module.split(".")[0] for module, _ in imports_of(name)}, name


def test_the_contracts_cover_every_folder(settings: dict[str, Any]) -> None:
    linter = settings["tool"]["importlinter"]
    names = {f"whatfits.{folder}" for folder in FOLDERS}
    assert set(linter["root_packages"]) == names
    layers, roots = linter["contracts"]
    assert {name.strip() for layer in layers["layers"] for name in layer.split("|")} == names
    assert roots["source_modules"] == ["whatfits.sizing.*"]
