"""The document as one self-contained HTML page, which asks for nothing: `web/` holds its style and its script.

Tables are written here and stand without the script, which sorts, copies and filters them, and draws the figures that
it has numbers for; the others are inlined as SVG.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from bench.report.figures import INK
from bench.report.markup import MARKDOWN, TEX, Facts, Figure, Item, Section, Table

WEB = Path(__file__).with_name("web")
SCRIPTS = ("dom.js", "table.js", "panel.js", "chart.js", "filter.js")
"""In the order in which they build on each other."""

NOTHING: Mapping[str, Any] = {"figures": {}, "strategies": [], "tasks": [], "curves": []}

LONG = 40
"""Characters of a field that is broken into lines rather than widening its column."""


def html(sections: Sequence[Section], figures: Path, drawing: Mapping[str, Any] = NOTHING) -> str:
    """The page. `figures` is the folder with the SVG files that the sections name; `drawing` is for the script."""
    anchors = [f"part{i}" for i in range(len(sections))]
    links = [f'<a href="#{a}">{escape(s.title)}</a>' for a, s in zip(anchors, sections, strict=True)][1:]
    drawn = drawing["figures"]
    parts = [_section(s, a, figures, drawn) for s, a in zip(sections, anchors, strict=True)]
    parts.insert(1, f"<nav>{''.join(links)}</nav>")
    page = Template((WEB / "page.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(sections[0].title),
        body="\n".join(parts),
        style=(WEB / "page.css").read_text(encoding="utf-8"),
        script="\n".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS),
        data=_json(drawing),
    )


def _json(drawing: Mapping[str, Any]) -> str:
    """For the script: the numbers to draw, and what Markdown and LaTeX spell otherwise. No `<` ends the element."""
    data = {k: v for k, v in drawing.items() if k != "figures"} | {"escapes": {"markdown": MARKDOWN, "latex": TEX}}
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _section(section: Section, anchor: str, figures: Path, drawn: Mapping[str, Any]) -> str:
    tag = "h1" if anchor == "part0" else "h2"
    blocks = "\n".join(_block(block, figures, drawn) for block in section.blocks)
    return f'<section id="{anchor}">\n<{tag}>{escape(section.title)}</{tag}>\n{blocks}\n</section>'


def _block(block: str | Table | Figure | Facts, figures: Path, drawn: Mapping[str, Any]) -> str:
    match block:
        case Table():
            return _table(block)
        case Figure(name, caption):
            picture = _chart(name, drawn[name]) if name in drawn else _inlined(block, figures)
            return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
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
        f'<div class="table"><p class="title">{escape(table.title)}</p>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>\n{notes}</div>"
    )


def _field(it: Item, first: bool) -> str:
    if first:
        return f'<th scope="row">{escape(it.text)}</th>'
    look = " ".join(filter(None, (it.mark, "long" * (len(it.text) > LONG))))
    look = f' class="{look}"' if look else ""
    return f"<td{look}>{escape(it.text)}</td>"


def _chart(name: str, what: Mapping[str, Any]) -> str:
    """Where the script draws; without it, the file is named."""
    data = "".join(f' data-{key}="{escape(str(value))}"' for key, value in what.items())
    return f'<div class="chart"{data}><noscript><p>figures/{escape(name)}.svg</p></noscript></div>'


def _inlined(figure: Figure, figures: Path) -> str:
    """An SVG file as part of the page: ids of its own, and the page's ink."""
    svg = (figures / f"{figure.name}.svg").read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{figure.name}-", svg)
    wide = re.search(r'<svg[^>]* width="([\d.]+pt)"', svg)
    style = f' style="--natural: {wide[1]}"' if wide else ""
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(figure.caption)}"{style}', 1)
    return f'<div class="drawn">{svg}</div>'
