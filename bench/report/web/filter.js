// The filter by task, budget, optimizer and strategy; and the set-up of the page, which comes last.

const FACETS = {
  task: DATA.tasks.map((task) => task.name),
  budget: [...new Map(DATA.tasks.flatMap((task) => task.budgets.map((b, i) => [task.labels[i], b]))).entries()].sort((a, b) => a[1] - b[1]).map(([label]) => label),
  optimizer: [...new Set(DATA.tasks.flatMap((task) => task.lines.map((line) => line.optimizer)))],
  strategy: DATA.strategies.map((strategy) => strategy.name),
};
const hidden = Object.fromEntries(Object.keys(FACETS).map((facet) => [facet, new Set()]));

const shows = (facet, name) => !hidden[facet].has(name);
const visible = (task, line) =>
  shows("task", task.name) && shows("optimizer", line.optimizer) && shows("strategy", DATA.strategies[line.strategy].name);

/** Whether a strategy is visible on the task of this name; on any task if there is no name. */
function visibleOn(taskName, name) {
  return DATA.tasks.some((task) => (!taskName || task.name === taskName) &&
    task.lines.some((line) => DATA.strategies[line.strategy].name === name && visible(task, line)));
}

/** Hide sections, rows and columns. Their first field is the name of a strategy, a task, or a budget. */
function applyFilter() {
  const [tasks, strategies, budgets] = [FACETS.task, FACETS.strategy, FACETS.budget].map((names) => new Set(names));
  for (const section of document.querySelectorAll("section")) {
    const title = section.querySelector("h1, h2").textContent;
    section.hidden = tasks.has(title) && !shows("task", title);
    document.querySelector(`nav a[href="#${section.id}"]`)?.toggleAttribute("hidden", section.hidden);
    if (section.hidden) continue;
    for (const table of section.querySelectorAll(".table table")) {
      for (const row of table.tBodies[0].rows) {
        const name = row.cells[0].textContent;
        if (strategies.has(name)) row.hidden = !visibleOn(tasks.has(title) ? title : null, name);
        else if (tasks.has(name)) row.hidden = !shows("task", name);
      }
      [...table.tHead.rows[0].cells].forEach((head, i) => {
        const label = head.textContent.match(/^[\d.]+ %/)?.[0];
        if (i && budgets.has(label)) for (const row of table.rows) row.cells[i].hidden = !shows("budget", label);
      });
    }
  }
}

const CHARTS = { task: (frame, i) => taskChart(frame, DATA.tasks[i]), curves: curveChart };

/** Draw the charts in sight: none of a hidden or folded section. */
function redraw() {
  for (const frame of document.querySelectorAll(".chart")) {
    if (!frame.closest("section").hidden && !frame.closest("details:not([open])")) CHARTS[frame.dataset.kind](frame, frame.dataset.task);
  }
}

function refresh() {
  applyFilter();
  redraw();
  summarise();
}

/** Write into the closed filter how much is shown. */
function summarise() {
  const counts = Object.entries(FACETS).map(([facet, names]) => {
    const count = names.filter((name) => shows(facet, name)).length;
    const plural = facet === "strategy" ? "strategies" : `${facet}s`;
    return count === names.length ? `all ${plural}` : `${count} of ${names.length} ${plural}`;
  });
  document.querySelector("#filter summary span").textContent = counts.join(" · ");
}

/** The boxes of one facet, one for each name, and buttons for all or none. */
function facet(kind, names) {
  const boxes = names.map((name) => {
    const box = element("input", { type: "checkbox", checked: "", value: name });
    box.addEventListener("change", () => {
      hidden[kind][box.checked ? "delete" : "add"](name);
      refresh();
    });
    return box;
  });
  const toggleAll = (on) => {
    const button = element("button", { type: "button" }, on ? "all" : "none");
    button.addEventListener("click", () => {
      hidden[kind] = new Set(on ? [] : names);
      for (const box of boxes) box.checked = on;
      refresh();
    });
    return button;
  };
  const labels = boxes.map((box) => element("label", {}, box, " ", box.value));
  return element("fieldset", {}, element("legend", {}, kind, " ", toggleAll(true), toggleAll(false)), element("div", {}, ...labels));
}

function filter() {
  const facets = Object.entries(FACETS).map(([kind, names]) => facet(kind, names));
  const title = element("summary", {}, "Filter: ", element("span"));
  const box = element("details", { id: "filter" }, title, element("form", {}, ...facets));
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && box.open) {
      box.open = false;
      title.focus();
    }
  });
  document.querySelector("main > section").after(box);
}

/** Unfold the section that a link points to. */
function unfold() {
  document.getElementById(location.hash.slice(1))?.querySelector(":scope > details")?.setAttribute("open", "");
}

for (const fold of document.querySelectorAll("details:has(.chart)")) fold.addEventListener("toggle", () => fold.open && redraw());
addEventListener("hashchange", unfold);
unfold();
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("main details:not(#filter)")) fold.open = true;
  redraw();
});
document.body.append(notice);
for (const table of document.querySelectorAll(".table table")) {
  sortable(table);
  copyable(table);
}
if (DATA.tasks.length) {
  filter();
  refresh();
}
