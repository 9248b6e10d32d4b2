"""Imports that are calls, such as `importlib.import_module("helper")`, in code whose digest is taken.

Where the name is written out, the module is one that the code uses. Where it begins with a package, as in
`import_module(f"models.{name}")`, all of that package is. Any other name is refused: a change of the module would go
unseen, and to count every file there is would drop runs for nothing.
"""

from __future__ import annotations

import ast
from pathlib import Path

from bench.contract import InputError

BY_NAME = {
    *("__import__", "builtins.__import__", "importlib.__import__", "importlib.import_module"),
    *("runpy.run_module", "pkgutil.resolve_name", "sys.modules.get"),
}
BY_PATH = {
    *("runpy.run_path", "imp.load_source", "importlib.util.spec_from_file_location"),
    *("importlib.machinery.SourceFileLoader",),
}
IMPORTERS = BY_NAME | BY_PATH
"""Functions that import what their arguments say."""

MODULES = {"importlib", "runpy", "imp", "pkgutil", "builtins"}
"""Modules that have them: used in any other way than by an attribute, nobody knows what is called."""


def prefix(node: ast.AST | None) -> tuple[str, bool]:
    """The beginning of a text that is written out, and whether that is all of it.

    >>> [prefix(ast.parse(text, mode="eval").body) for text in ("'a.b'", "f'a.{b}'", "'a.' + b", "b")]
    [('a.b', True), ('a.', False), ('a.', False), ('', False)]
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value, True
    if isinstance(node, ast.JoinedStr) and node.values:
        return prefix(node.values[0])[0], False
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        text, _ = prefix(node.left)
        return (text.partition("%")[0] if isinstance(node.op, ast.Mod) else text), False
    return "", False


def named(call: ast.Call) -> tuple[str, bool] | None:
    """Module that a call imports by name: (module, False), or (package, True) for any in it; None if not written."""
    names = [k.value for k in call.keywords if k.arg in ("name", "mod_name")]
    text, whole = prefix(next(iter(call.args or names), None))
    text = text.partition(":")[0]  # of pkgutil.resolve_name
    if whole:
        return text, False
    package, dot, _ = text.rpartition(".")
    return (package, True) if dot and package.strip(".") else None


def by_path(call: ast.Call, folder: Path) -> Path | None:
    """The file that a call imports by its path: the only text in its arguments that is one next to the code."""
    texts = {n.value for n in ast.walk(call) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    files = {path.resolve() for text in texts if (path := folder / text).is_file()}
    return files.pop() if len(files) == 1 else None


def unknown(path: Path, node: ast.AST) -> InputError:
    """The error for an import whose module is not written out."""
    return InputError(
        f"{path}, line {getattr(node, 'lineno', 0)}: it imports a module whose name is not written out, so that a "
        "change of its code would go unseen: import it by an import statement, or by import_module('its name')"
    )
