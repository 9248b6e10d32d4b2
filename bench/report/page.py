"""The document as one self-contained HTML page, which makes no requests. `web/` holds its style and its scripts.

Tables are written here and can be read without the scripts, which sort, copy and filter them. The scripts also draw
the figures that they have numbers for; other figures are inlined as SVG.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from bench.report.answer_figures import INK
from bench.report.markup import MARKDOWN, TEX, Block, Columns, Facts, Figure, Fold, Item, Section, Table

WEB = Path(__file__).with_name("web")
SCRIPTS = ("dom.js", "table.js", "panel.js", "chart.js", "filter.js")
"""Scripts in the order of loading: each uses those before it."""

NO_CHARTS: Mapping[str, Any] = {"figures": {}, "strategies": [], "tasks": [], "curves": []}

LONG = 30
"""Most characters of a field before it is broken into lines, so as not to widen its column."""


def html(sections: Sequence[Section], figures: Path, drawing: Mapping[str, Any] = NO_CHARTS) -> str:
    """The page. `figures` is the folder with the SVG files that the sections name; `drawing` is for the script."""
    anchors = [f"part{i}" for i in range(len(sections))]
    flat = [(a, s.title) for a, s in zip(anchors, sections, strict=True) if not s.folded][1:]
    links = [f'<a href="#{anchor}">{escape(title)}</a>' for anchor, title in flat]  # folded ones are a list already
    charts = drawing["figures"]
    parts = [_section(s, a, figures, charts) for s, a in zip(sections, anchors, strict=True)]
    parts[1:1] = [f"<nav>{''.join(links)}</nav>"] * bool(links)
    page = Template((WEB / "page.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(sections[0].title),
        body="\n".join(parts),
        style=(WEB / "page.css").read_text(encoding="utf-8"),
        script="\n".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS),
        data=_json(drawing),
    )


def _json(drawing: Mapping[str, Any]) -> str:
    """Data for the scripts: the numbers to draw, and the escapes of Markdown and LaTeX. `<` is escaped as well."""
    data = {k: v for k, v in drawing.items() if k != "figures"} | {"escapes": {"markdown": MARKDOWN, "latex": TEX}}
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _section(section: Section, anchor: str, figures: Path, charts: Mapping[str, Any]) -> str:
    tag = "h1" if anchor == "part0" else "h2"
    head = f"<{tag}>{escape(section.title)}</{tag}>"
    blocks = "\n".join(_block(block, figures, charts) for block in section.blocks)
    if section.folded:
        brief = f"<span>{escape(section.brief)}</span>" if section.brief else ""
        return f'<section id="{anchor}">\n<details><summary>{head}{brief}</summary>\n{blocks}\n</details></section>'
    return f'<section id="{anchor}">\n{head}\n{blocks}\n</section>'


def _block(block: Block, figures: Path, charts: Mapping[str, Any]) -> str:
    match block:
        case Columns():
            sides = ("\n".join(_block(plain, figures, charts) for plain in side) for side in block)
            return f'<div class="columns">{"".join(f"<div>{side}</div>" for side in sides)}</div>'
        case Fold(title, blocks):
            inner = "\n".join(_block(plain, figures, charts) for plain in blocks)
            return f"<details><summary>{escape(title)}</summary>\n{inner}\n</details>"
        case Table():
            return _table(block)
        case Figure(name, caption):
            picture = _chart(name, charts[name]) if name in charts else _inlined(block, figures)
            return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
        case Facts(lines):
            return f"<dl>{''.join(f'<dt>{escape(name)}</dt>{_fact(text)}' for name, text in lines)}</dl>"
        case str():
            return f"<p>{escape(block)}</p>"


def _fact(text: str) -> str:
    """A value; one of several lines keeps its line breaks."""
    look = ' class="typed"' if "\n" in text else ""
    return f"<dd{look}>{escape(text)}</dd>"


def _table(table: Table) -> str:
    looks = [' class="prose"' if i and table.prose(i) else "" for i in range(len(table.head))]
    head = "".join(f'<th scope="col"{look}>{escape(text)}</th>' for look, text in zip(looks, table.head, strict=True))
    rows = "\n".join(f"<tr>{''.join(map(_field, row, ['', *table.head[1:]]))}</tr>" for row in table.rows)
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    return (
        f'<div class="table"><p class="title">{escape(table.title)}</p>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>\n{notes}</div>"
    )


def _field(item: Item, head: str) -> str:
    """A field; the first of a row has no head. One of several lines has its head with it, for narrow screens."""
    if not head:
        return f'<th scope="row">{escape(item.text)}</th>'
    what, _, how = item.text.partition("\n")
    look = " ".join(filter(None, (item.mark, "advice" if how else "long" * (len(item.text) > LONG))))
    look = f' class="{look}"' if look else ""
    if how:
        return (
            f'<td{look} data-head="{escape(head)}"><strong>{escape(what)}</strong>\n<small>{escape(how)}</small></td>'
        )
    return f"<td{look}>{escape(item.text)}</td>"


def _chart(name: str, attributes: Mapping[str, Any]) -> str:
    """The element that a script draws in. Without scripts it shows the name of the file."""
    data = "".join(f' data-{key}="{escape(str(value))}"' for key, value in attributes.items())
    return f'<div class="chart"{data}><noscript><p>figures/{escape(name)}.svg</p></noscript></div>'


def _inlined(figure: Figure, figures: Path) -> str:
    """An SVG file as part of the page, with ids that are unique there, and the page's colour of text."""
    svg = (figures / f"{figure.name}.svg").read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{figure.name}-", svg)
    wide = re.search(r'<svg[^>]* width="([\d.]+pt)"', svg)
    style = f' style="--natural: {wide[1]}"' if wide else ""
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(figure.caption)}"{style}', 1)
    return f'<div class="drawn">{svg}</div>'
