"""What code means, as a digest: of a function and all that it uses of the project's or the user's own files.

Files are parsed, never executed. Comments, docstrings, annotations, layout, names of locals and of helpers, the order
of definitions and the file that each stands in make no difference; what a definition does, does. Code of installed
packages counts by its name alone (rows tell their versions), and so do `bench` and `schedules`, whose meaning
`SEMANTICS` numbers.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from bench.code_digest.normal_form import NormalForm, Target, Text, is_for_types, is_text
from bench.code_digest.scopes import bound
from bench.contract import digest

OURS = "tasks"
"""The package whose code counts even where it is installed beside others."""

NUMBERED = ("bench", "schedules")
"""Packages whose meaning a version number covers."""

ALL, EFFECTS = "*", "<effects>"
"""All of a file, where names of it are looked up at run time; and what its import does besides defining names."""

DYNAMIC = {"globals", "eval", "exec", "vars", "__import__"}


@cache
def of(function: Callable[..., Any]) -> str:
    """Digest of a function's code; empty where its file is not there (typed at a prompt)."""
    home = getattr(sys.modules.get(function.__module__), "__file__", None)
    if home is None or not home.endswith(".py"):
        return ""
    at = file(Path(home).resolve())
    name = getattr(function, "__qualname__", ALL)
    return of_target(at.look(name) or Target(at, ALL))


def of_target(target: Target) -> str:
    """Digest of a definition's text and of all that it uses, numbered in the order of their mention."""
    numbers, texts, queue = {target: 0}, [], [target]
    for at in queue:  # which grows
        words = []
        for part in at.home.text(at.name):
            if isinstance(part, str):
                words.append(part)
            elif part.home is None:
                words.append(_plain(part.name))
            else:
                part = part._replace(name=part.name or ALL)
                if part not in numbers:
                    numbers[part] = len(numbers)
                    queue.append(part)
                words.append(f"@{numbers[part]}")
        texts.append(" ".join(words))
    return digest("\n".join(texts))


def _plain(name: str) -> str:
    """A dotted name of other code; of the numbered packages without package and modules, which may be moved."""
    top, *rest = name.split(".")
    if top not in NUMBERED:
        return name
    folder = Path(__file__).parents[2] / top
    while len(rest) > 1 and _module(folder / rest[0]):
        folder, rest = folder / rest[0], rest[1:]
    return f"{NUMBERED[0]}:{'.'.join(rest)}"


@cache
def file(path: Path) -> File:
    """Each file is read once in a process."""
    return File(path)


class File:
    """The top level of a file: which statements define each name, and what each of them means."""

    def __init__(self, path: Path):
        self.path = path
        self.table: dict[str, list[ast.stmt]] = {}
        self._stars: list[ast.ImportFrom] = []
        self._effects: list[ast.stmt] = []
        self._texts: dict[str, Text] = {}
        for node in ast.parse(path.read_bytes()).body:
            if not (is_text(node) or is_for_types(node) or _is_main(node)):
                self._enter(node)

    def _enter(self, node: ast.stmt) -> None:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            self._stars.append(node)
            return
        names = {name for name, _ in bound([node])}
        if not names:  # TABLE["more"] = 1, or TABLE.update(more=1)
            at = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
            targets = [at] if at else getattr(node, "targets", [getattr(node, "target", None)])
            names = {root for target in targets if (root := _root(target))} & self.table.keys()
            names = {n for n in names if not isinstance(self.table[n][0], ast.Import | ast.ImportFrom)}
        for name in names:
            self.table.setdefault(name, []).append(node)
        if not names and not isinstance(node, ast.Import | ast.ImportFrom):
            self._effects.append(node)

    def text(self, name: str) -> Text:
        """A definition in normal form."""
        if name not in self._texts:
            writer = NormalForm(self.look, attribute, self.imported)
            if name == ALL:
                for each in sorted(self.table):
                    writer.text += [each, self.look(each) or each]
                for star in self._stars:
                    writer.text.append(self._from(star))
            else:
                writer.write(self._effects if name == EFFECTS else self.table[name])
            if any(part in DYNAMIC for part in writer.text if isinstance(part, str)) and name != ALL:
                writer.text.append(Target(self, ALL))
            if self._effects and name != EFFECTS:
                writer.text.append(Target(self, EFFECTS))
            self._texts[name] = writer.text
        return self._texts[name]

    def look(self, name: str) -> Target | None:
        """What a name means here: None where it is Python's own, or unknown."""
        if (by := self.table.get(name)) is None:
            for star in self._stars:
                base = self._from(star)
                if base.home is not None and (target := base.home.look(name)):
                    return Target(*target)
            return None
        if len(by) == 1 and isinstance(by[0], ast.Import | ast.ImportFrom):
            return self.imported(by[0], name)
        return Target(self, name)

    def imported(self, node: ast.AST, name: str) -> Target:
        """What an import statement binds to a name."""
        assert isinstance(node, ast.Import | ast.ImportFrom)
        alias = next(a for a in node.names if name == (a.asname or a.name.partition(".")[0]))
        if isinstance(node, ast.ImportFrom):
            return attribute(self._from(node), alias.name)
        return self._module(alias.name if alias.asname else name)

    def _from(self, node: ast.ImportFrom) -> Target:
        if not node.level:
            return self._module(node.module or "")
        folder = self.path.parents[node.level - 1]
        names = node.module.split(".") if node.module else []
        if (found := _module(folder.joinpath(*names))) is not None:
            return Target(file(found), "")
        return Target(None, "." * node.level + ".".join(names))

    def _module(self, dotted: str) -> Target:
        top, *rest = dotted.split(".")
        root = root_of(top, self.path)
        found = None if root is None else _module(root.joinpath(top, *rest))
        return Target(None, dotted) if found is None else Target(file(found), "")


def attribute(base: Target, name: str) -> Target:
    """What `base.name` means, of a module or of other code."""
    if base.home is None:
        return Target(None, f"{base.name}.{name}")
    if (target := base.home.look(name)) is not None:
        return Target(*target)
    path: Path = base.home.path
    inner = _module(path.parent / name) if path.name == "__init__.py" else None
    return Target(base.home, ALL) if inner is None else Target(file(inner), "")


@cache
def root_of(top: str, path: Path) -> Path | None:
    """The folder in which a package or module of ours lies that a file imports; None of all other code."""
    if top in NUMBERED or top in sys.stdlib_module_names:
        return None
    folder = path.parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    if path.is_relative_to(folder / top) or (not _installed(folder) and _module(folder / top)):
        return folder
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or not (spec.origin or "").endswith(".py"):
        return None
    origin = Path(str(spec.origin)).resolve()
    if top != OURS and _installed(origin):
        return None
    return origin.parent.parent if origin.name == "__init__.py" else origin.parent


def _installed(path: Path) -> bool:
    standard = Path(sysconfig.get_paths()["stdlib"]).resolve()
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts) or path.is_relative_to(standard)


def _module(path: Path) -> Path | None:
    for found in (path / "__init__.py", path.with_name(path.name + ".py")):
        if found.is_file():
            return found.resolve()
    return None


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def _root(node: Any) -> str | None:
    """The name that an attribute or an item begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
