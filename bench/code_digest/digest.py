"""Digest of a function and of all definitions that it uses in the project's or the user's files.

Files are parsed, never executed. The digest depends on what definitions do. It does not depend on comments, docstrings,
annotations and layout, on the names of locals and helpers, on the order of definitions, or on the file of each. Code of
installed packages counts by its name (rows record their versions), as does code of `bench` and `schedules`, whose
meaning `SEMANTICS` numbers.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from bench.code_digest import dynamic
from bench.code_digest.files import NUMBERED, installed, module_file, root_of
from bench.code_digest.normal_form import NormalForm, Target, Text, is_for_types, is_text
from bench.code_digest.scopes import bound
from bench.contract import InputError, digest

ALL, EFFECTS = "*", "<effects>"
"""Pseudo-names: a whole file, if its names are looked up at run time; and statements that define no name."""

DYNAMIC = {"globals", "eval", "exec", "vars", "__import__"}


EQUAL = {
    # The embedded digits are read by numpy instead of polars: the same numbers.
    "ea17e18f80bc": "b6f5398fc210",  # digits
    "12e8f211c6db": "f76e70355eeb",  # mnist5k
    "ed098f19de5d": "09bcf18b4b30",  # scenes
    # They state a margin, which no training reads.
    "c2c0eea8a26b": "80bc455f54b8",  # fsdd
    "dba1e1bef512": "0f3d38b7167b",  # speech_commands
    "5d7225efda8c": "d49de33328c0",  # speech_commands_v002_testset12
    # Data of one's own share their code: paths, other folders, one file of annotations are read, besides.
    "85d3a886f503": "371ac5164e00",  # mnist
    "213463226a49": "df3bdcbbd6f5",  # fashion_mnist
    "35ebdf11a6ae": "6d3f7715ff92",  # cifar10
    "5e53a41f93b8": "ba428291d3cf",  # cifar10_jpeg_q75
    "ccc98a5f0987": "a234512f73b8",  # cifar100
    "79764057d4be": "22e7ca003cf2",  # imagenet
    "75e8fb1c8a40": "656a998deb6c",  # glue
    "966f7463e1c6": "1f055d7f7fdd",  # coco
    "72a7ee15e532": "c37f840836c1",  # bccd
    # They name their classes, for a model that is taken home.
    "f621667f07d3": "f7b011a1149c",  # imagefolder
    "187d7fa32d5a": "402cf63c0812",  # audiofolder
    "d0f9f374adc6": "589ab25fdd6f",  # texts
    "428475a9b428": "d5a4141b4ea0",  # table
    "d5aa4410d3f7": "ddfd61a1518c",  # hub
    # Preparation waits for no device: the same bits. So it is with those above that have images, boxes or sound.
    "a5422271640f": "f0e38051c0b4",  # powerlaw
    "1f6b44873be1": "a10b1334e8c4",  # digits_ctc
}
"""Digests of code that was rewritten without a change of behaviour, with those before: runs begun before continue."""


@cache
def of(function: Callable[..., Any]) -> str:
    """Digest of a function's code; empty if it has no file (typed at a prompt)."""
    home = getattr(sys.modules.get(function.__module__), "__file__", None)
    if home is None or not home.endswith(".py"):
        return ""
    code = file(Path(home).resolve())
    name = getattr(function, "__qualname__", ALL)
    mark = of_target(code.look(name) or Target(code, ALL))
    return EQUAL.get(mark, mark)


def of_name(path: Path, name: str) -> str:
    """Digest of the code behind a name of a file, dotted or not, as the files are now.

    Raises:
        InputError: the code imports a module whose name is not written out.
    """
    refresh()
    code = file(path.resolve())
    target = code.look(name.partition(".")[0])
    if target is None or target.home is None:  # made at run time, or other people's code under another name
        return of_target(Target(code, ALL))
    return of_target(target._replace(name=target.name or ALL))


def refresh() -> None:
    """Forget files that are not as they were when they were parsed."""
    if any(not code.path.is_file() or code.path.read_bytes() != code.source for code in PARSED):
        PARSED.clear()
        file.cache_clear()
        root_of.cache_clear()


def of_target(target: Target) -> str:
    """Digest of a definition and of all definitions that it uses, numbered in the order of their first use."""
    numbers, texts, queue = {target: 0}, [], [target]
    for definition in queue:  # the loop appends to it
        words = []
        for part in definition.home.text(definition.name):
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
    """A dotted name of other code; without package and modules for the numbered packages, whose code may be moved."""
    top, *rest = name.split(".")
    if top not in NUMBERED:
        return name
    folder = Path(__file__).parents[2] / top
    while len(rest) > 1 and module_file(folder / rest[0]):
        folder, rest = folder / rest[0], rest[1:]
    return f"{NUMBERED[0]}:{'.'.join(rest)}"


@cache
def file(path: Path) -> File:
    """The file of a path, parsed once per process unless it changes (`refresh`)."""
    PARSED.append(File(path))
    return PARSED[-1]


class File:
    """Top level of a file: the statements that define each name, and their normal forms."""

    def __init__(self, path: Path):
        self.path, self.source = path, path.read_bytes()
        self.table: dict[str, list[ast.stmt]] = {}
        self._stars: list[ast.ImportFrom] = []
        self._effects: list[ast.stmt] = []
        self._texts: dict[str, Text] = {}
        for node in ast.parse(self.source).body:
            if not (is_text(node) or is_for_types(node) or _is_main(node)):
                self._enter(node)

    def _enter(self, node: ast.stmt) -> None:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            self._stars.append(node)
            return
        names = {name for name, _ in bound([node])}
        if not names:
            names = self._changed(node)
        for name in names:
            self.table.setdefault(name, []).append(node)
        if not names and not isinstance(node, ast.Import | ast.ImportFrom):
            self._effects.append(node)

    def _changed(self, node: ast.stmt) -> set[str]:
        """Names of this file whose values a statement changes: TABLE["more"] = 1, or TABLE.update(more=1)."""
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            targets = [node.value.func]
        else:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
        roots = {root for target in targets if (root := _root(target))}
        names = roots & self.table.keys()
        return {name for name in names if not isinstance(self.table[name][0], ast.Import | ast.ImportFrom)}

    def text(self, name: str) -> Text:
        """A definition in normal form."""
        if name not in self._texts:
            writer = NormalForm(self.look, attribute, self.imported, self.loaded)
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
        """The target of a name of this file; None if it is a built-in or unknown."""
        if (statements := self.table.get(name)) is None:
            for star in self._stars:
                base = self._from(star)
                if base.home is not None and (target := base.home.look(name)):
                    return Target(*target)
            return None
        if len(statements) == 1 and isinstance(statements[0], ast.Import | ast.ImportFrom):
            return self.imported(statements[0], name)
        return Target(self, name)

    def imported(self, node: ast.AST, name: str) -> Target:
        """The target that an import statement binds to a name."""
        assert isinstance(node, ast.Import | ast.ImportFrom)
        alias = next(a for a in node.names if name == (a.asname or a.name.partition(".")[0]))
        if isinstance(node, ast.ImportFrom):
            base = self._from(node)
            return submodule(self, alias.name) if base.home is self else attribute(base, alias.name)
        return self._module(alias.name if alias.asname else name)

    def loaded(self, node: ast.AST, importer: str) -> list[Target]:
        """The files that an import which is a call runs: see `dynamic`; none that an installed package does not name.

        Raises:
            InputError: what it imports is not written out.
        """
        try:
            return self._loaded(node, importer)
        except InputError:
            if installed(self.path):
                return []
            raise

    def _loaded(self, node: ast.AST, importer: str) -> list[Target]:
        if isinstance(node, ast.Subscript):  # of sys.modules
            if isinstance(node.slice, ast.Name) and node.slice.id == "__name__":
                return [Target(self, ALL)]
            node = ast.copy_location(ast.Call(node.value, [node.slice], []), node)
        if not isinstance(node, ast.Call):
            raise dynamic.unknown(self.path, node)
        if importer in dynamic.BY_PATH:
            if (path := dynamic.by_path(node, self.path.parent)) is None:
                raise dynamic.unknown(self.path, node)
            return [Target(file(path), ALL)]
        if (module := dynamic.named(node)) is None:
            raise dynamic.unknown(self.path, node)
        name, has_more = module
        if name in dynamic.MODULES:
            raise dynamic.unknown(self.path, node)
        level = len(name) - len(name.lstrip("."))
        base = self._from(ast.ImportFrom(name.lstrip(".") or None, [], level)) if level else self._module(name)
        parts = name.lstrip(".").split(".")
        outer = [] if level else [self._module(".".join(parts[:n])) for n in range(1, len(parts))]
        found = [target.home for target in (*outer, base) if target.home is not None]
        if has_more and base.home is not None:
            found += [file(path.resolve()) for path in sorted(base.home.path.parent.rglob("*.py"))]
        return [Target(home, ALL) for home in found]

    def _from(self, node: ast.ImportFrom) -> Target:
        if not node.level:
            return self._module(node.module or "")
        folder = self.path.parents[node.level - 1]
        names = node.module.split(".") if node.module else []
        if (path := module_file(folder.joinpath(*names))) is not None:
            return Target(file(path), "")
        return Target(None, "." * node.level + ".".join(names))

    def _module(self, dotted: str) -> Target:
        top, *rest = dotted.split(".")
        root = root_of(top, self.path)
        path = None if root is None else module_file(root.joinpath(top, *rest))
        return Target(None, dotted) if path is None else Target(file(path), "")


PARSED: list[File] = []
"""The files that were parsed in this process."""


def attribute(base: Target, name: str) -> Target:
    """The target of `base.name`, where `base` is a module or other code."""
    if base.home is None:
        return Target(None, f"{base.name}.{name}")
    if (target := base.home.look(name)) is not None:
        return Target(*target)
    return submodule(base.home, name)


def submodule(package: File, name: str) -> Target:
    """The module of a package's folder; all of the file where it is no package, or has no such module."""
    inner = module_file(package.path.parent / name) if package.path.name == "__init__.py" else None
    return Target(package, ALL) if inner is None else Target(file(inner), "")


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def _root(node: Any) -> str | None:
    """The name at the beginning of attributes and items; None if it is no name."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
