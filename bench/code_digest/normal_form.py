"""Normal form of definitions: details that change no behaviour are left out, and locals are numbered."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

from bench.code_digest.dynamic import IMPORTERS, MODULES
from bench.code_digest.scopes import Comprehension, bound, declared

Function = ast.FunctionDef | ast.AsyncFunctionDef

FIELDS = {"ClassVar", "InitVar", "KW_ONLY"}
"""Annotations that change the meaning of a dataclass's field; all others are left out."""

TASK = {"family", "source", "peak_lrs"}
"""A call with these keywords builds a `Task`."""

WORDS = {"source", "chance", "margin", "peak_lrs"}
"""Keywords of such a call that change no training, or that each cell's id contains anyway."""


class Target(NamedTuple):
    """Meaning of a name: a definition in a `home` file, or other code (`home` is None), which counts by its name."""

    home: Any
    name: str


Text: TypeAlias = "list[str | Target]"
Scope: TypeAlias = dict[str, str | Target | None]  # None: a name of the module


def is_text(node: ast.AST) -> bool:
    """True for a docstring, of a definition or an attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_for_types(node: ast.AST) -> bool:
    """True for the statement `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


class NormalForm:
    """Writes one definition into `text`.

    Names of parameters, methods and attributes stay, because callers may use them. Other locals become numbers.

    Args:
        look: Target of a name of the definition's module.
        attribute: Target of an attribute of a module.
        imported: Target that an import statement binds to a name.
        loaded: Targets of an import that is a call of one of `IMPORTERS`; of no call, where one is used otherwise.
    """

    def __init__(
        self,
        look: Callable[[str], Target | None],
        attribute: Callable[[Target, str], Target],
        imported: Callable[[ast.AST, str], Target],
        loaded: Callable[[ast.AST, str], list[Target]],
    ):
        self.look, self.attribute, self.imported, self.loaded = look, attribute, imported, loaded
        self.text: Text = []
        self._scopes: list[tuple[Scope, bool]] = []  # inner ones last; the flag marks scopes of classes
        self._locals = 0
        self._called: ast.AST | None = None  # the function of the call that is written

    def write(self, value: Any) -> None:
        """Write a node, a list of them, or a plain value."""
        if isinstance(value, list):
            for item in value:
                self.write(item)
        elif not isinstance(value, ast.AST):
            self.text.append(repr(value))
        elif not (is_text(value) or is_for_types(value) or isinstance(value, ast.Pass)):
            getattr(self, f"_{type(value).__name__}", self._plain)(value)

    def _plain(self, node: ast.AST, without: Iterable[str] = ()) -> None:
        self.text.append(f"({type(node).__name__}")
        for name, value in ast.iter_fields(node):
            if value is not None and value != [] and name not in ("ctx", "kind", "type_comment", *without):
                self.text.append(f"{name}:")
                self.write(value)
        self.text.append(")")

    # ------------------------------------------------------------------------------------------------ names

    def _meaning(self, name: str) -> str | Target | None:
        """The number of a local, or the target of another name; None if unknown. Methods don't see class scopes."""
        for i, (scope, is_class) in enumerate(reversed(self._scopes)):
            if name in scope and (i == 0 or not is_class):
                return self.look(name) if scope[name] is None else scope[name]
        return self.look(name)

    def _name(self, name: str) -> None:
        meaning = self._meaning(name)
        self.text.append(name if meaning is None else meaning)

    def _Name(self, node: ast.Name) -> None:  # noqa: N802  # named as the nodes are, here and below
        self._name(node.id)
        if self._importer(node) and node is not self._called:
            self.loaded(node, "")

    def _importer(self, node: ast.AST) -> str:
        """The name of a function that imports what its arguments say, or of a module that has some; else ""."""
        target = self._target(node)
        if target is None:
            builtin = isinstance(node, ast.Name) and node.id in IMPORTERS and self._meaning(node.id) is None
            return node.id if builtin and isinstance(node, ast.Name) else ""
        return target.name if target.home is None and target.name in IMPORTERS | MODULES else ""

    def _Attribute(self, node: ast.Attribute) -> None:  # noqa: N802
        if (target := self._target(node)) is not None:
            self.text.append(target)
            if self._importer(node) and node is not self._called:
                self.loaded(node, "")
        else:
            self._plain(node)

    def _Subscript(self, node: ast.Subscript) -> None:  # noqa: N802
        self._plain(node)
        if self._target(node.value) == Target(None, "sys.modules"):
            self.text += self.loaded(node, "sys.modules")

    def _target(self, node: ast.AST) -> Target | None:
        """The target of a dotted name that begins with a module."""
        if isinstance(node, ast.Name):
            meaning = self._meaning(node.id)
            return meaning if isinstance(meaning, Target) else None
        if isinstance(node, ast.Attribute) and (base := self._target(node.value)) is not None:
            return self.attribute(base, node.attr) if base.home is None or not base.name else None
        return None

    def _Global(self, node: ast.Global) -> None:  # noqa: N802
        self.write([ast.Name(name, ast.Load()) for name in node.names])

    _Nonlocal = _Global

    def _Import(self, node: ast.Import | ast.ImportFrom) -> None:  # noqa: N802
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            if not isinstance(self._meaning(name), Target) or not self._scopes:  # otherwise its uses are targets
                self._name(name)
                self.text.append(self.imported(node, name))

    _ImportFrom = _Import

    def _ExceptHandler(self, node: ast.ExceptHandler) -> None:  # noqa: N802
        if node.name:
            self._name(node.name)
        self._plain(node, ("name",))

    def _MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:  # noqa: N802
        if node.name:
            self._name(node.name)
        self._plain(node, ("name",))

    _MatchStar = _MatchAs

    def _MatchMapping(self, node: ast.MatchMapping) -> None:  # noqa: N802
        if node.rest:
            self._name(node.rest)
        self._plain(node, ("rest",))

    # ----------------------------------------------------------------------------------------------- scopes

    def _inside(self, scope: Scope, body: Any, is_class: bool = False) -> None:
        self._scopes.append((scope, is_class))
        self.write(body)
        self._scopes.pop()

    def _number(self) -> str:
        self._locals += 1
        return f"${self._locals}"

    def _arguments(self, node: ast.arguments) -> Scope:
        self.text.append("(arguments")
        self.write([*node.defaults, *(default or ast.Constant(None) for default in node.kw_defaults)])
        groups = node.posonlyargs, node.args, [node.vararg], node.kwonlyargs, [node.kwarg]
        scope: Scope = {}
        for group in groups:
            self.text.append("/")
            for a in filter(None, group):
                self.text.append(a.arg)
                scope[a.arg] = self._number()
        self.text.append(f"{len(node.defaults)})")
        return scope

    def _function(self, node: Function) -> None:
        self.text.append(f"({type(node).__name__}")
        if self._scopes:
            self._name(node.name)
        self.write(node.decorator_list)
        scope = self._arguments(node.args)
        binders: dict[str, list[ast.AST]] = {}
        for name, binder in bound(node.body):
            binders.setdefault(name, []).append(binder)
        outer: set[str] = set()
        for declaration in declared(node.body):
            outer.update(declaration.names)
            if isinstance(declaration, ast.Global):
                scope.update((name, None) for name in declaration.names)
        for name, nodes in binders.items():
            if name not in scope and name not in outer:
                only_imported = len(nodes) == 1 and isinstance(nodes[0], ast.Import | ast.ImportFrom)
                scope[name] = self.imported(nodes[0], name) if only_imported else self._number()
        self._inside(scope, node.body)
        self.text.append(")")

    _FunctionDef = _AsyncFunctionDef = _function

    def _Lambda(self, node: ast.Lambda) -> None:  # noqa: N802
        self.text.append("(Lambda")
        self._inside(self._arguments(node.args), node.body)
        self.text.append(")")

    def _ClassDef(self, node: ast.ClassDef) -> None:  # noqa: N802
        self.text.append("(ClassDef")
        if self._scopes:
            self._name(node.name)
        self.write([*node.decorator_list, *node.bases, *node.keywords])
        self._inside({name: name for name, _ in bound(node.body)}, node.body, is_class=True)
        self.text.append(")")

    def _over(self, node: Comprehension) -> None:
        first, *_ = node.generators
        self.text.append(f"({type(node).__name__}")
        self.write(first.iter)
        scope: Scope = {name: self._number() for g in node.generators for name, _ in bound([g.target])}
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        head = ast.comprehension(first.target, ast.Constant(None), first.ifs, first.is_async)
        self._inside(scope, [head, *node.generators[1:], *parts])
        self.text.append(")")

    _ListComp = _SetComp = _GeneratorExp = _DictComp = _over

    # ------------------------------------------------------------------------------ what makes no difference

    def _AnnAssign(self, node: ast.AnnAssign) -> None:  # noqa: N802
        in_class = bool(self._scopes) and self._scopes[-1][1]
        if node.value is None and not in_class:
            return
        markers = {n.id for n in ast.walk(node.annotation) if isinstance(n, ast.Name)} & FIELDS
        self.text += ["(AnnAssign" if in_class else "(Assign", *sorted(markers), "targets:"]
        self.write([node.target])
        if node.value is not None:
            self.text.append("value:")
            self.write(node.value)
        self.text.append(")")

    def _Raise(self, node: ast.Raise) -> None:  # noqa: N802  # error messages change no behaviour
        if isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name) and node.exc.func.id == "InputError":
            self.text.append("(refused)")
        else:
            self._plain(node)

    def _Assert(self, node: ast.Assert) -> None:  # noqa: N802
        self._plain(node, ("msg",))

    def _Call(self, node: ast.Call) -> None:  # noqa: N802
        if {k.arg for k in node.keywords} >= TASK:
            keywords = [k for k in node.keywords if k.arg not in WORDS]
            node = ast.Call(node.func, node.args, keywords)
        importer = self._importer(node.func)
        if importer in IMPORTERS:
            self._called = node.func
        self._plain(node)
        if importer in IMPORTERS:
            self.text += self.loaded(node, importer)

    def _JoinedStr(self, node: ast.JoinedStr) -> None:  # noqa: N802  # its texts are split differently by Python version
        texts = ""
        self.text.append("(JoinedStr")
        for part in node.values:
            if isinstance(part, ast.Constant):
                texts += str(part.value)
                continue
            self.text.append(repr(texts))
            self.write(part)
            texts = ""
        self.text += [repr(texts), ")"]
