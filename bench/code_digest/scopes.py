"""Names that code binds in its own scope."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def bound(body: Iterable[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Names that statements bind in their own scope, each with the node that binds it; without inner scopes."""
    for node in body:
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name, node
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node
                yield from bound(node.decorator_list)
                continue
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((a.asname or a.name.partition(".")[0], node) for a in names)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node
            case ast.MatchMapping(rest=str(name)):
                yield name, node
            case ast.Lambda():
                continue
        # A comprehension has its own scope, but `:=` in it binds in the scope around it.
        inner = isinstance(node, Comprehension)
        targets = [n.target for n in ast.walk(node) if isinstance(n, ast.NamedExpr)] if inner else []
        for name, binder in bound(ast.iter_child_nodes(node)):
            if not inner or any(binder is target for target in targets):
                yield name, binder


def declared(body: Iterable[ast.AST]) -> Iterator[ast.Global | ast.Nonlocal]:
    """`global` and `nonlocal` statements of a scope."""
    for node in body:
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield node
        elif not isinstance(node, SCOPES):
            yield from declared(ast.iter_child_nodes(node))
