"""What Python 3.12, 3.13 and 3.14 took away or warn of, found in the syntax of a module.

Source: docs.python.org, "What's New in Python" 3.12, 3.13 and 3.14: removed, deprecated, changed.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODULES: Final = {
    **dict.fromkeys(("asynchat", "asyncore", "distutils", "imp", "smtpd"), "gone in 3.12"),
    **dict.fromkeys(
        (
            *("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap"),
            *("msilib", "nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau"),
            *("telnetlib", "uu", "xdrlib"),
        ),
        "gone in 3.13",
    ),
}
_NAMES: Final = {
    **dict.fromkeys(
        ("ssl.wrap_socket", "ssl.match_hostname", "locale.format", "pkgutil.ImpImporter"),
        "gone in 3.12",
    ),
    **dict.fromkeys(
        ("datetime.datetime.utcnow", "datetime.datetime.utcfromtimestamp"), "warned of in 3.12"
    ),
    **dict.fromkeys(("locale.resetlocale", "unittest.makeSuite", "typing.io"), "gone in 3.13"),
    **dict.fromkeys(
        (
            *("ast.Num", "ast.Str", "ast.Bytes", "ast.NameConstant", "ast.Ellipsis"),
            *("pkgutil.find_loader", "pkgutil.get_loader", "sqlite3.version"),
            *("importlib.abc.ResourceReader", "importlib.abc.Traversable"),
            *("urllib.request.URLopener", "urllib.request.FancyURLopener"),
            *("asyncio.get_child_watcher", "asyncio.set_child_watcher"),
        ),
        "gone in 3.14",
    ),
    **dict.fromkeys(
        (
            *("asyncio.get_event_loop_policy", "asyncio.set_event_loop_policy", "codecs.open"),
            *("asyncio.iscoroutinefunction", "typing.ByteString", "collections.abc.ByteString"),
        ),
        "warned of in 3.14",
    ),
    # on Linux a child is no longer a fork: whoever wants one of the two says so by a context
    **dict.fromkeys(("multiprocessing.Process", "multiprocessing.Pool"), "changed in 3.14"),
}


def retired(source: str) -> list[str]:
    """Return what in a module's source newer Pythons do not have, as `LINE: name, since when`."""
    tree = ast.parse(source)
    return [f"{line}: {what}" for line, what in sorted({*_names(tree), *_leaving(tree)})]


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    known = dict(_imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            names = [f"{known.get(first, first)}.{rest}"]
        else:
            continue
        for name in names:
            since = _NAMES.get(name) or _MODULES.get(name.partition(".")[0])
            is_module = isinstance(node, ast.Import | ast.ImportFrom)
            if since and (name in _NAMES or is_module):
                yield node.lineno, f"{name}, {since}"


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield what a module calls something, and what it is called where it comes from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((a.asname, a.name) for a in node.names if a.asname)
        elif isinstance(node, ast.ImportFrom):
            yield from ((a.asname or a.name, f"{node.module}.{a.name}") for a in node.names)


def _leaving(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Find what leaves a `finally` and swallows an error on its way."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            inside = (
                child for statement in node.finalbody for child in _of_this_function(statement)
            )
            for child in inside:
                if isinstance(child, ast.Return):
                    yield child.lineno, "return in finally, warned of in 3.14"


def _of_this_function(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _of_this_function(child)
