// Tables: sorted by any column, and copied as Markdown, LaTeX or CSV: what is shown, in the order shown.

const NONE = "–";

/** The number that a field begins with, NaN without one: "0.962 ± 0.004", "(−3 ± 2)e−5, clear", "> 100 %". */
function number(text) {
  const open = text.match(/^[<>]/);
  if (open) return open[0] === "<" ? -Infinity : Infinity;
  const found = text.match(/^\(?([+−-]?\d[\d,]*(?:\.\d+)?)(?: ± [\d.]+\))?(?:e([+−-]?\d+))?/);
  if (!found) return NaN;
  const plain = found.slice(1).map((part) => (part ?? "0").replace(/,/g, "").replace("−", "-"));
  return Number(`${plain[0]}e${Number(plain[1])}`);
}

/** Rows in the order of a column; `turn` is 1 or -1. What has no number stands last, either way. */
function sorted(rows, column, turn) {
  const text = (row) => row.cells[column].textContent;
  const numbers = new Map(rows.map((row) => [row, number(text(row))]));
  const numeric = rows.some((row) => !Number.isNaN(numbers.get(row)));
  return [...rows].sort((a, b) => {
    if (!numeric) return turn * text(a).localeCompare(text(b), "en", { numeric: true });
    const [x, y] = [numbers.get(a), numbers.get(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return x === y ? 0 : turn * (x < y ? -1 : 1);
  });
}

/** Make heads into buttons: ascending, descending, and back to the order of the report. */
function sortable(table) {
  const [body, heads] = [table.tBodies[0], [...table.tHead.rows[0].cells]];
  const first = [...body.rows];
  heads.forEach((head, column) => {
    const button = made("button", { type: "button" }, ...head.childNodes);
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

const line = (text) => text.split(/\s+/).filter(Boolean).join(" ");

/** What a table shows: title, notes, head, rows of {text, bold}, and which columns are read from the left. */
function content(table) {
  const box = table.closest(".table");
  const shown = (row) => [...row.cells].filter((cell) => !cell.hidden);
  const heads = shown(table.tHead.rows[0]);
  return {
    title: box.querySelector(".title").textContent,
    notes: [...box.querySelectorAll(".note")].map((note) => note.textContent),
    head: heads.map((cell) => cell.textContent),
    left: heads.map((cell, i) => i === 0 || cell.classList.contains("prose")),
    rows: [...table.tBodies[0].rows]
      .filter((row) => !row.hidden)
      .map((row) => shown(row).map((cell) => ({ text: cell.textContent, bold: cell.classList.contains("best") }))),
  };
}

const FORMS = {
  Markdown(it) {
    const plain = (text) => line(text).replace(new RegExp(DATA.escapes.markdown, "g"), "\\$1");
    const field = (item) => (item.bold ? `**${plain(item.text)}**` : plain(item.text));
    const rows = [it.head.map(plain), it.left.map((left) => (left ? "---" : "---:")), ...it.rows.map((r) => r.map(field))];
    return [`**${plain(it.title)}**`, rows.map((row) => `| ${row.join(" | ")} |`).join("\n"), ...it.notes.map(plain)].join("\n\n");
  },
  LaTeX(it) {
    const plain = (text) => [...line(text)].map((c) => DATA.escapes.latex[c] ?? c).join("");
    const field = (item) => (item.bold ? `\\textbf{${plain(item.text)}}` : plain(item.text));
    const row = (fields) => `${fields.join(" & ")} \\\\`;
    const caption = [it.title, ...it.notes].map((text) => plain(text).replace(/\.+$/, "")).join(". ");
    return [
      "\\begin{table}",
      `\\caption{${caption}.}`,
      `\\begin{tabular}{l${"r".repeat(it.head.length - 1)}}`,
      "\\toprule",
      row(it.head.map(plain)),
      "\\midrule",
      ...it.rows.map((fields) => row(fields.map(field))),
      "\\bottomrule",
      "\\end{tabular}",
      "\\end{table}",
      "",
    ].join("\n");
  },
  CSV(it) {
    const field = (text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
    const rows = [it.head, ...it.rows.map((row) => row.map((item) => item.text))];
    return rows.map((row) => `${row.map(field).join(",")}\n`).join("");
  },
};

/** Put buttons beside a table's title. */
function copyable(table) {
  const box = table.closest(".table");
  const buttons = Object.keys(FORMS).map((form) => {
    const button = made("button", { type: "button", title: `Copy this table as ${form}` }, form);
    button.addEventListener("click", () => copy(FORMS[form](content(table)), form));
    return button;
  });
  box.prepend(made("div", { class: "tools", role: "group", "aria-label": "Copy this table" }, "Copy ", ...buttons));
}

/** To the clipboard; where a browser forbids it, to a box from which it is copied by hand. */
async function copy(text, form) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied as ${form}`);
  } catch {
    const field = made("textarea", { readonly: "", rows: "12", "aria-label": `The table as ${form}` });
    field.value = text;
    const box = made("dialog", {}, made("p", {}, "This browser gives no access to the clipboard: copy from here."), field);
    box.append(made("form", { method: "dialog" }, made("button", {}, "Close")));
    box.addEventListener("close", () => box.remove());
    document.body.append(box);
    box.showModal();
    field.select();
  }
}
