"""The document as one self-contained HTML page: no script, no request, figures inlined as SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from bench.evidence.markup import Facts, Figure, Item, Section, Table
from bench.evidence.plots import INK

TEMPLATE = Path(__file__).with_name("page.html")

LONG = 40
"""Characters of a field that is broken into lines rather than widening its column."""


def html(sections: Sequence[Section], figures: Path) -> str:
    """The page. `figures` is the folder that holds the SVG files that the sections name."""
    anchors = [f"part{i}" for i in range(len(sections))]
    links = [f'<a href="#{a}">{escape(s.title)}</a>' for a, s in zip(anchors, sections, strict=True)][1:]
    parts = [_section(s, a, figures) for s, a in zip(sections, anchors, strict=True)]
    parts.insert(1, f"<nav>{''.join(links)}</nav>")
    page = Template(TEMPLATE.read_text(encoding="utf-8"))
    return page.substitute(title=escape(sections[0].title), body="\n".join(parts))


def _section(section: Section, anchor: str, figures: Path) -> str:
    tag = "h1" if anchor == "part0" else "h2"
    blocks = "\n".join(_block(block, figures) for block in section.blocks)
    return f'<section id="{anchor}">\n<{tag}>{escape(section.title)}</{tag}>\n{blocks}\n</section>'


def _block(block: str | Table | Figure | Facts, figures: Path) -> str:
    match block:
        case Table():
            return _table(block)
        case Figure(_, caption):
            drawn = f'<div class="drawn">{_drawing(block, figures)}</div>'
            return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"
        case Facts(lines):
            return f"<dl>{''.join(f'<dt>{escape(name)}</dt>{_fact(text)}' for name, text in lines)}</dl>"
        case str():
            return f"<p>{escape(block)}</p>"


def _fact(text: str) -> str:
    """A value; of several lines, it is laid out as it was typed."""
    look = ' class="typed"' if "\n" in text else ""
    return f"<dd{look}>{escape(text)}</dd>"


def _table(table: Table) -> str:
    looks = [' class="prose"' if i and table.prose(i) else "" for i in range(len(table.head))]
    head = "".join(f'<th scope="col"{look}>{escape(text)}</th>' for look, text in zip(looks, table.head, strict=True))
    rows = "\n".join(f"<tr>{''.join(map(_field, row, [True, *[False] * len(row)]))}</tr>" for row in table.rows)
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    return (
        f'<p class="title">{escape(table.title)}</p>\n<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr>'
        f"</thead>\n<tbody>\n{rows}\n</tbody></table></div>\n{notes}"
    )


def _field(it: Item, first: bool) -> str:
    if first:
        return f'<th scope="row">{escape(it.text)}</th>'
    look = " ".join(filter(None, (it.mark, "long" * (len(it.text) > LONG))))
    look = f' class="{look}"' if look else ""
    return f"<td{look}>{escape(it.text)}</td>"


def _drawing(figure: Figure, figures: Path) -> str:
    """An SVG file as part of the page: ids of its own, and the page's ink."""
    svg = (figures / f"{figure.name}.svg").read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{figure.name}-", svg)
    wide = re.search(r'<svg[^>]* width="([\d.]+pt)"', svg)
    style = f' style="--natural: {wide[1]}"' if wide else ""
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(figure.caption)}"{style}', 1)
