"""Definitions in normal form: what makes no difference to what code does is left out, and locals are numbered."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

from bench.code_digest.scopes import Comprehension, bound, declared

Function = ast.FunctionDef | ast.AsyncFunctionDef

FIELDS = {"ClassVar", "InitVar", "KW_ONLY"}
"""Annotations by which a dataclass tells fields apart; all others are left out."""

TASK = {"family", "source", "peak_lrs"}
"""A call with these keywords fills in a `Task`."""

WORDS = {"source", "chance", "peak_lrs"}
"""What such a call tells the reader, or what is in each cell's id by itself."""


class Target(NamedTuple):
    """What a name of a module means: a definition in a file of ours (`home`), or code that counts by its name."""

    home: Any
    name: str


Text: TypeAlias = "list[str | Target]"
Scope: TypeAlias = dict[str, str | Target | None]  # None: of the module


def is_text(node: ast.AST) -> bool:
    """Whether a statement is a docstring, or one beside an attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_for_types(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


class NormalForm:
    """Writes one definition. `look` says what a name of its module means, `imported` what an import binds.

    Names of parameters, methods and attributes stay, for callers may spell them; those of other locals are numbers.
    """

    def __init__(
        self,
        look: Callable[[str], Target | None],
        attribute: Callable[[Target, str], Target],
        imported: Callable[[ast.AST, str], Target],
    ):
        self.look, self.attribute, self.imported = look, attribute, imported
        self.text: Text = []
        self._scopes: list[tuple[Scope, bool]] = []  # and whether it is a class's
        self._locals = 0

    def write(self, value: Any) -> None:
        """Write a node, a list of them, or a plain value."""
        if isinstance(value, list):
            for each in value:
                self.write(each)
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
        for i, (scope, is_class) in enumerate(reversed(self._scopes)):
            if name in scope and (i == 0 or not is_class):
                return self.look(name) if scope[name] is None else scope[name]
        return self.look(name)

    def _name(self, name: str) -> None:
        meaning = self._meaning(name)
        self.text.append(name if meaning is None else meaning)

    def _Name(self, node: ast.Name) -> None:  # noqa: N802  # named as the nodes are, here and below
        self._name(node.id)

    def _Attribute(self, node: ast.Attribute) -> None:  # noqa: N802
        if (target := self._target(node)) is not None:
            self.text.append(target)
        else:
            self._plain(node)

    def _target(self, node: ast.AST) -> Target | None:
        """What a dotted name means that begins with a module."""
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
            if not isinstance(self._meaning(name), Target) or not self._scopes:  # else its uses say what it means
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

    def _arguments(self, it: ast.arguments) -> Scope:
        self.text.append("(arguments")
        self.write([*it.defaults, *(d or ast.Constant(None) for d in it.kw_defaults)])
        groups = it.posonlyargs, it.args, [it.vararg], it.kwonlyargs, [it.kwarg]
        scope: Scope = {}
        for group in groups:
            self.text.append("/")
            for a in filter(None, group):
                self.text.append(a.arg)
                scope[a.arg] = self._number()
        self.text.append(f"{len(it.defaults)})")
        return scope

    def _function(self, node: Function) -> None:
        self.text.append(f"({type(node).__name__}")
        if self._scopes:
            self._name(node.name)
        self.write(node.decorator_list)
        scope = self._arguments(node.args)
        binders: dict[str, list[ast.AST]] = {}
        for name, by in bound(node.body):
            binders.setdefault(name, []).append(by)
        elsewhere = list(declared(node.body))
        outer = {name for it in elsewhere for name in it.names}
        scope.update((name, None) for it in elsewhere if isinstance(it, ast.Global) for name in it.names)
        for name, places in binders.items():
            if name not in scope and name not in outer:
                only = len(places) == 1 and isinstance(places[0], ast.Import | ast.ImportFrom)
                scope[name] = self.imported(places[0], name) if only else self._number()
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
        told = {n.id for n in ast.walk(node.annotation) if isinstance(n, ast.Name)} & FIELDS
        self.text += ["(AnnAssign" if in_class else "(Assign", *sorted(told), "targets:"]
        self.write([node.target])
        if node.value is not None:
            self.text.append("value:")
            self.write(node.value)
        self.text.append(")")

    def _Raise(self, node: ast.Raise) -> None:  # noqa: N802  # the words of a refusal decide nothing
        if isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name) and node.exc.func.id == "InputError":
            self.text.append("(refused)")
        else:
            self._plain(node)

    def _Assert(self, node: ast.Assert) -> None:  # noqa: N802
        self._plain(node, ("msg",))

    def _Call(self, node: ast.Call) -> None:  # noqa: N802
        if {k.arg for k in node.keywords} >= TASK:
            kept = [k for k in node.keywords if k.arg not in WORDS]
            node = ast.Call(node.func, node.args, kept)
        self._plain(node)

    def _JoinedStr(self, node: ast.JoinedStr) -> None:  # noqa: N802  # Pythons cut its texts at different places
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
