"""Parser of GraphQL documents, as far as a server needs: the operation's name and the fields it requests."""

import re
from typing import NamedTuple

TOKEN = re.compile(r'"""(?:.|\n)*?"""|"(?:\\.|[^"\\])*"|\.\.\.|#[^\n]*|[{}()@:=!\[\]$,]|[^\s{}()@:=!\[\]$,#".]+|\.')


class ProtocolError(Exception):
    """A request violates the protocol; `code` is the HTTP status of the answer."""

    def __init__(self, reason, code=400):
        super().__init__(reason)
        self.reason, self.code = reason, code


class Json(dict):
    """An object that GraphQL treats as a single value."""


class Document(NamedTuple):
    kind: str
    name: str
    variables: frozenset  # declared
    fields: dict  # requested: {answer's key: (field, fields beneath or None)}


def read(text):
    """Parse the single operation of a document and insert its fragments."""
    tokens = [t for t in TOKEN.findall(text) if not t.startswith(("#", '"""')) and t != ","]
    operation, fragments, at = None, {}, 0
    while at < len(tokens):
        kind, name = tokens[at], tokens[at + 1]
        opening = at + 2
        if kind == "fragment":
            opening = tokens.index("{", at)
            fragments[name], at = _selection(tokens, opening)
        elif kind in ("query", "mutation"):
            declared = []
            if tokens[opening] == "(":
                end = _closing(tokens, opening)
                declared = [tokens[i + 1] for i in range(opening, end) if tokens[i] == "$"]
                opening = end + 1
            fields, at = _selection(tokens, opening)
            operation = (kind, name, frozenset(declared), fields)
        else:
            raise ProtocolError(f"a document may not begin with {kind!r}")
    if operation is None:
        raise ProtocolError("no operation")
    return Document(*operation[:3], _spread(operation[3], fragments))


def _closing(tokens, at):
    """Index of the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[i], 0)
        if not depth:
            return i
    raise ProtocolError("unbalanced brackets")


def _selection(tokens, at):
    """Fields between the braces that open at `at`, and the index after them. Spreads have keys like '...name'."""
    fields, at = {}, at + 1
    while tokens[at] != "}":
        if tokens[at] == "...":
            if tokens[at + 1] == "on":
                beneath, at = _selection(tokens, at + 3)
                fields |= beneath
            else:
                fields[f"...{tokens[at + 1]}"], at = (None, None), at + 2
            continue
        key = field = tokens[at]
        at += 1
        if tokens[at] == ":":
            field, at = tokens[at + 1], at + 2
        if tokens[at] == "(":
            at = _closing(tokens, at) + 1
        while tokens[at] == "@":  # @include(if: $x): it does no harm to answer excluded fields
            at = _closing(tokens, at + 2) + 1
        beneath = None
        if tokens[at] == "{":
            beneath, at = _selection(tokens, at)
        fields[key] = (field, beneath)
    return fields, at + 1


def _spread(fields, fragments):
    out = {}
    for key, (field, beneath) in fields.items():
        if key.startswith("..."):
            out |= _spread(fragments[key[3:]], fragments)
        else:
            out[key] = (field, beneath and _spread(beneath, fragments))
    return out


def answer(value, fields, where="data"):
    """The requested fields of a resolver's result. A field that the result lacks is refused."""
    if value is None or fields is None:
        if fields is None and isinstance(value, dict) and not isinstance(value, Json):
            raise ProtocolError(f"{where} is an object: a query says which of its fields it wants")
        return value
    if isinstance(value, list):
        return [answer(item, fields, where) for item in value]
    out = {}
    for key, (field, beneath) in fields.items():
        if field not in value:
            raise ProtocolError(f"unknown field {field!r} of {where}")
        out[key] = answer(value[field], beneath, f"{where}.{field}")
    return out
