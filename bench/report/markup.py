"""Documents, written as Markdown and LaTeX. Users' text is escaped when it is written, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

Mark = Literal["", "better", "worse", "first", "first better", "first worse", "prose"]
"""Look of a field: better or worse than the reference (each has one colour in a whole report), first of its column
(bold), or text."""


class Item(NamedTuple):
    """A field of a table. The text is complete in itself; the mark tells a page how to highlight it."""

    text: str
    mark: Mark = ""

    @property
    def bold(self) -> bool:
        return self.mark.startswith("first")


class Table(NamedTuple):
    """The first column names the rows; the others hold numbers, or are marked as prose."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Item, ...], ...]
    notes: tuple[str, ...] = ()

    def prose(self, i: int) -> bool:
        """Whether column i is aligned on the left, and may wrap."""
        return i == 0 or any(row[i].mark == "prose" for row in self.rows)


class Figure(NamedTuple):
    """A drawing, `figures/NAME.svg` and `.pdf`."""

    name: str
    caption: str


class Facts(NamedTuple):
    """Names and values, for reference."""

    lines: tuple[tuple[str, str], ...]


Plain = str | Table | Figure | Facts
"""A block by itself; a text is a paragraph."""


class Columns(NamedTuple):
    """Two columns of blocks side by side, where there is room."""

    left: tuple[Plain, ...]
    right: tuple[Plain, ...]


class Fold(NamedTuple):
    """Blocks that a page shows once their title is clicked."""

    title: str
    blocks: tuple[Plain, ...]


Block = Plain | Columns | Fold


class Section(NamedTuple):
    """A heading and its blocks, in reading order. Of a folded one a page shows heading and `brief`, until clicked."""

    title: str
    blocks: tuple[Block, ...]
    folded: bool = False
    brief: str = ""


def tables(sections: Iterable[Section]) -> Iterator[Table]:
    """All tables, in reading order."""
    for section in sections:
        for block in section.blocks:
            yield from (plain for plain in _plain(block) if isinstance(plain, Table))


def _plain(block: Block) -> tuple[Plain, ...]:
    match block:
        case Columns(left, right):
            return left + right
        case Fold(_, blocks):
            return blocks
        case _:
            return (block,)


# ------------------------------------------------------------------------------------------------ Markdown


def markdown(sections: Sequence[Section]) -> str:
    """The document as Markdown (GitHub's tables)."""
    parts: list[str] = []
    for i, section in enumerate(sections):
        parts.append(f"{'##' if i else '#'} {_md(section.title)}")
        parts += [_md(section.brief)] * bool(section.brief)
        parts += map(passage, section.blocks)
    return "\n\n".join(parts) + "\n"


def passage(block: Block) -> str:
    """One block as Markdown."""
    match block:
        case Columns(left, right):
            return "\n\n".join(map(passage, left + right))
        case Fold(title, blocks):
            return "\n\n".join([f"### {_md(title)}", *map(passage, blocks)])
        case Table():
            return _md_table(block)
        case Figure(name, caption):
            return f"![{_md(caption)}](figures/{name}.svg)"
        case Facts(lines):
            return "\n".join(f"- {_md(name)}: {_md(text)}" for name, text in lines)
        case str():
            return _md(block)


def _md_table(table: Table) -> str:
    head = [_md(text) for text in table.head]
    rule = ["---" if table.prose(i) else "---:" for i in range(len(table.head))]
    rows = [[_md_field(item) for item in row] for row in table.rows]
    lines = [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]
    return "\n\n".join([f"**{_md(table.title)}**", "\n".join(lines), *map(_md, table.notes)])


def _md_field(item: Item) -> str:
    return f"**{_md(item.text)}**" if item.bold else _md(item.text)


MARKDOWN = r"([\\`*_\[\]<>|#~$&!])"
"""Characters that Markdown needs a backslash for; the expression is the same in Python and on the page."""


def _md(text: str) -> str:
    return re.sub(MARKDOWN, r"\\\1", _line(text))


# --------------------------------------------------------------------------------------------------- LaTeX

TEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "'": r"\textquotesingle{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "×": r"$\times$",
    "−": r"$-$",
    "–": "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "“": "``",
    "”": "''",
}
"""Characters that LaTeX writes in another way."""


def latex(tables: Iterable[Table]) -> str:
    """The tables as LaTeX, for a document that loads booktabs."""
    return "\n".join(map(_tex_table, tables))


def _tex_table(table: Table) -> str:
    rows = [[_tex_field(item) for item in row] for row in table.rows]
    lines = [" & ".join(row) + r" \\" for row in ([_tex(h) for h in table.head], *rows)]
    lines.insert(1, r"\midrule")
    caption = ". ".join(_tex(text).rstrip(".") for text in (table.title, *table.notes)) + "."
    return "\n".join(
        [
            r"\begin{table}",
            f"\\caption{{{caption}}}",
            f"\\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _tex_field(item: Item) -> str:
    return f"\\textbf{{{_tex(item.text)}}}" if item.bold else _tex(item.text)


def _tex(text: str) -> str:
    return "".join(TEX.get(c, c) for c in _line(text))


def _line(text: str) -> str:
    return " ".join(text.split())
