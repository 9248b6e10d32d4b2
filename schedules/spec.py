"""Calls as text: from `wsd(cooldown=0.2, shape='sqrt')` to an object, by an explicit catalogue, and back.

Schedules, tasks and optimizers are written this way on the command line, in ledgers and in tables.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from schedules.contract import InputError

REFERENCE = r"[\w.~/\\-]+:[A-Za-z_][\w.]*(?:@[0-9a-f]+)?"
"""Object in a file or a module, `my_file.py:mine`, `mypkg.mymod:mine`, or one version, `my_file.py:mine@1f0c`."""

OWN = {
    "schedule": "my_file.py:function",
    "suite": "a Python file with a function suite(), my_suite.py",
    "optimizer": "my_file.py:Class, a torch.optim.Optimizer",
    "task": "my_task.py:function, as in CONTRIBUTING.md",
    "model": "my_model.py:Class",
}
"""Form of a user's own entry, which no catalogue has, by kind."""

_TOKENS = re.compile(rf"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|({REFERENCE})(\s*\()?""")


@dataclass(frozen=True)
class Call:
    """A parsed call; arguments are literals, tuples of literals, or calls themselves."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = field(default=())


def parse(text: str) -> Call:
    """Parse one call; a bare name is a call without arguments.

    >>> parse("warmup(cosine, epochs=1)")
    Call(name='warmup', args=(Call(name='cosine', args=(), kwargs=()),), kwargs=(('epochs', 1),))

    A reference is a name, too; one with a space is put in quotes, `'my file.py:mine'(k=3)`.

    >>> parse("my_file.py:mine(k=3)")
    Call(name='my_file.py:mine', args=(), kwargs=(('k', 3),))
    """
    calls = parse_list(text)
    if len(calls) != 1:
        raise InputError(f"{text!r} should name one thing, such as wsd(cooldown=0.2)")
    return calls[0]


def parse_list(text: str) -> list[Call]:
    """Parse the calls of a comma-separated list: `cosine, rex, wsd(cooldown=0.2)`."""
    try:
        tree = ast.parse(f"[{_TOKENS.sub(_quoted, text)}\n]", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise InputError(f"cannot read {text!r}: write names or calls, such as cosine, wsd(cooldown=0.2)") from None
    if not isinstance(tree, ast.List) or not tree.elts:
        raise InputError(f"cannot read {text!r}: write names or calls, such as cosine, wsd(cooldown=0.2)")
    return [_call(node, text) for node in tree.elts]


def _quoted(token: re.Match[str]) -> str:
    """Turn a reference, which is not Python, into a call of a string; strings stay as they are."""
    text, reference, opening = token.groups()
    return text or repr(reference) + (opening or "()")


def _call(node: ast.expr, text: str) -> Call:
    if isinstance(node, ast.Call) and all(k.arg for k in node.keywords):
        args = tuple(_value(a, text) for a in node.args)
        kwargs = tuple((str(k.arg), _value(k.value, text)) for k in node.keywords)
        return Call(_name(node.func, text), args, kwargs)
    return Call(_name(node, text))


def _name(node: ast.expr, text: str) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value, text)}.{node.attr}"
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
        return node.value
    raise InputError(f"cannot read {text!r}: {ast.unparse(node)!r} is not a name or a call")


def _value(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Call | ast.Name | ast.Attribute):
        return _call(node, text)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_value(e, text) for e in node.elts)
    try:
        value = ast.literal_eval(node)
    except ValueError:
        value = ...
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputError(f"cannot read {text!r}: {ast.unparse(node)!r} is not a number, a text, a list or a call")


def names(call: Call) -> set[str]:
    """Names in a call: its own and those of the calls inside."""
    values = [*call.args, *(value for _, value in call.kwargs)]
    return {call.name}.union(*map(_names, values))


def _names(value: Any) -> set[str]:
    if isinstance(value, tuple):
        return set[str]().union(*map(_names, value))
    return names(value) if isinstance(value, Call) else set()


def build(call: Call, catalogue: Mapping[str, Callable[..., Any]], kind: str) -> Any:
    """Object that `call` makes with `catalogue`; nested calls use the same catalogue.

    Raises:
        InputError: unknown name or argument, with the allowed ones; or an error of the factory itself.
    """
    factory = choose(call.name, catalogue, kind)
    args = [_build_value(a, catalogue, kind) for a in call.args]
    kwargs = {k: _build_value(v, catalogue, kind) for k, v in call.kwargs}
    signature = inspect.signature(factory)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        usage = call.name + signature_text(signature)
        raise InputError(f"{kind} {call.name}: {error}; it is called as {usage}") from None
    return factory(*args, **kwargs)


def _build_value(value: Any, catalogue: Mapping[str, Callable[..., Any]], kind: str) -> Any:
    if isinstance(value, Call):
        return build(value, catalogue, kind)
    if isinstance(value, tuple):
        return tuple(_build_value(v, catalogue, kind) for v in value)
    return value


def choose(name: str, catalogue: Mapping[str, Any], kind: str) -> Any:
    """`catalogue[name]`, or an error with the nearest name, all names, and the form of a user's own entry.

    >>> choose("emma", {"ema": 1, "swa": 2}, "averaging")
    Traceback (most recent call last):
        ...
    schedules.contract.InputError: unknown averaging 'emma' (did you mean ema?); there are: ema, swa
    """
    if not isinstance(name, str):  # a setting of the user's may be anything
        raise InputError(f"{kind} {name!r}: it should be one of {', '.join(sorted(catalogue))}")
    if name in catalogue:
        return catalogue[name]
    plain = kind.partition(" of ")[0]  # "model of digits"
    own = f"; one of your own: {OWN[plain]}" if plain in OWN else ""
    raise InputError(f"unknown {kind} {name!r}{hint(name, catalogue)}; there are: {', '.join(sorted(catalogue))}{own}")


def hint(name: str, catalogue: Iterable[str]) -> str:
    """The names in `catalogue` nearest to an unknown one, as a question in brackets; "" if none is near.

    >>> hint("Cosin", ["cosine", "rex"]), hint("cifar", ["cifar10", "cifar100"]), hint("noise", ["rex"])
    (' (did you mean cosine?)', ' (did you mean cifar10 or cifar100?)', '')
    """
    spellings = {candidate.casefold(): candidate for candidate in catalogue}
    matches = difflib.get_close_matches(name.casefold(), spellings, n=3, cutoff=0.75)
    matches = matches or difflib.get_close_matches(name.casefold(), spellings, n=1)
    return f" (did you mean {' or '.join(spellings[match] for match in matches)}?)" if matches else ""


def signature_text(signature: inspect.Signature) -> str:
    """The parameters of a function with their defaults, in brackets, without types."""
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(bare))


def render(name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    """Canonical text of a call, which parses back to it. A value with a `text` is written as that.

    >>> render("wsd", (), {"cooldown": 0.2, "shape": "sqrt"}), render("cosine", (), {})
    ("wsd(cooldown=0.2, shape='sqrt')", 'cosine')
    """
    inner = ", ".join([*map(_spell, args), *(f"{k}={_spell(v)}" for k, v in kwargs.items())])
    return f"{name}({inner})" if inner else name


def _spell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_spell, value))}]"
    return getattr(value, "text", None) or repr(value)


class Named:
    """Base of frozen dataclasses with fields that are the arguments of a call; all have defaults."""

    always: ClassVar[frozenset[str]] = frozenset()  # always in the text, even at their defaults

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def kwargs(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """Canonical call, without arguments at their defaults."""
        defaults = type(self)().kwargs
        kwargs = {k: v for k, v in self.kwargs.items() if v != defaults[k] or k in self.always}
        return render(self.name, (), kwargs)
