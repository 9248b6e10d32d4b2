// Tables: sorting by any column, and copying as Markdown, LaTeX or CSV. A copy has the visible rows in their order.

const NONE = "–";

/** The number at the start of a field; NaN if there is none: "0.962 ± 0.004", "(−3 ± 2)e−5, clear", "> 100 %". */
function number(text) {
  const bound = text.match(/^[<>]/);
  if (bound) return bound[0] === "<" ? -Infinity : Infinity;
  const match = text.match(/^\(?([+−-]?\d[\d,]*(?:\.\d+)?)(?: ± [\d.]+\))?(?:e([+−-]?\d+))?/);
  if (!match) return NaN;
  const [digits, exponent] = match.slice(1).map((part) => (part ?? "0").replace(/,/g, "").replace("−", "-"));
  return Number(`${digits}e${Number(exponent)}`);
}

/** Rows in the order of a column; `sign` is 1 or -1. Fields without a number come last in both orders. */
function sorted(rows, column, sign) {
  const text = (row) => row.cells[column].textContent;
  const numbers = new Map(rows.map((row) => [row, number(text(row))]));
  const numeric = rows.some((row) => !Number.isNaN(numbers.get(row)));
  return [...rows].sort((a, b) => {
    if (!numeric) return sign * text(a).localeCompare(text(b), "en", { numeric: true });
    const [x, y] = [numbers.get(a), numbers.get(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return x === y ? 0 : sign * (x < y ? -1 : 1);
  });
}

/** Turn heads into buttons that sort: ascending, descending, and back to the order of the report. */
function sortable(table) {
  const [body, heads] = [table.tBodies[0], [...table.tHead.rows[0].cells]];
  const first = [...body.rows];
  heads.forEach((head, column) => {
    const button = element("button", { type: "button" }, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: null }[head.ariaSort] ?? (head.ariaSort ? null : "ascending");
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) head.ariaSort = next;
      body.append(...(next ? sorted(first, column, next === "ascending" ? 1 : -1) : first));
    });
  });
}

// ----------------------------------------------------------------------------------------------- copying

const oneLine = (text) => text.split(/\s+/).filter(Boolean).join(" ");

/** The visible content of a table: title, notes, head, rows of {text, bold}, and whether each column is left-aligned. */
function content(table) {
  const box = table.closest(".table");
  const visibleCells = (row) => [...row.cells].filter((cell) => !cell.hidden);
  const heads = visibleCells(table.tHead.rows[0]);
  return {
    title: box.querySelector(".title").textContent,
    notes: [...box.querySelectorAll(".note")].map((note) => note.textContent),
    head: heads.map((cell) => cell.textContent),
    prose: heads.map((cell, i) => i === 0 || cell.classList.contains("prose")),
    rows: [...table.tBodies[0].rows]
      .filter((row) => !row.hidden)
      .map((row) => visibleCells(row).map((cell) => ({ text: cell.textContent, bold: cell.classList.contains("first") }))),
  };
}

const FORMS = {
  Markdown(table) {
    const plain = (text) => oneLine(text).replace(new RegExp(DATA.escapes.markdown, "g"), "\\$1");
    const field = (item) => (item.bold ? `**${plain(item.text)}**` : plain(item.text));
    const rows = [table.head.map(plain), table.prose.map((prose) => (prose ? "---" : "---:")), ...table.rows.map((r) => r.map(field))];
    return [`**${plain(table.title)}**`, rows.map((row) => `| ${row.join(" | ")} |`).join("\n"), ...table.notes.map(plain)].join("\n\n");
  },
  LaTeX(table) {
    const plain = (text) => [...oneLine(text)].map((c) => DATA.escapes.latex[c] ?? c).join("");
    const field = (item) => (item.bold ? `\\textbf{${plain(item.text)}}` : plain(item.text));
    const row = (fields) => `${fields.join(" & ")} \\\\`;
    const caption = [table.title, ...table.notes].map((text) => plain(text).replace(/\.+$/, "")).join(". ");
    return [
      "\\begin{table}",
      `\\caption{${caption}.}`,
      `\\begin{tabular}{l${"r".repeat(table.head.length - 1)}}`,
      "\\toprule",
      row(table.head.map(plain)),
      "\\midrule",
      ...table.rows.map((fields) => row(fields.map(field))),
      "\\bottomrule",
      "\\end{tabular}",
      "\\end{table}",
      "",
    ].join("\n");
  },
  CSV(table) {
    const field = (text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
    const rows = [table.head, ...table.rows.map((row) => row.map((item) => item.text))];
    return rows.map((row) => `${row.map(field).join(",")}\n`).join("");
  },
};

/** Add buttons next to a table's title. */
function copyable(table) {
  const box = table.closest(".table");
  const buttons = Object.keys(FORMS).map((form) => {
    const button = element("button", { type: "button", title: `Copy this table as ${form}` }, form);
    button.addEventListener("click", () => copy(FORMS[form](content(table)), form));
    return button;
  });
  box.prepend(element("div", { class: "tools", role: "group", "aria-label": "Copy this table" }, "Copy ", ...buttons));
}

/** Copy text to the clipboard; if the browser forbids it, show the text in a box to copy it from by hand. */
async function copy(text, form) {
  try {
    await navigator.clipboard.writeText(text);
    announce(`Copied as ${form}`);
  } catch {
    const field = element("textarea", { readonly: "", rows: "12", "aria-label": `The table as ${form}` });
    field.value = text;
    const box = element("dialog", {}, element("p", {}, "This browser gives no access to the clipboard: copy from here."), field);
    box.append(element("form", { method: "dialog" }, element("button", {}, "Close")));
    box.addEventListener("close", () => box.remove());
    document.body.append(box);
    box.showModal();
    field.select();
  }
}
