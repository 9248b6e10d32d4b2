// The filter, and what it hides; then the page is set up. Facets are of tasks, budgets, optimizers and strategies.

const FACETS = {
  task: DATA.tasks.map((task) => task.name),
  budget: [...new Map(DATA.tasks.flatMap((task) => task.budgets.map((b, i) => [task.labels[i], b]))).entries()].sort((a, b) => a[1] - b[1]).map(([label]) => label),
  optimizer: [...new Set(DATA.tasks.flatMap((task) => task.lines.map((it) => it.optimizer)))],
  strategy: DATA.strategies.map((it) => it.name),
};
const hidden = Object.fromEntries(Object.keys(FACETS).map((facet) => [facet, new Set()]));

const shows = (facet, name) => !hidden[facet].has(name);
const visible = (task, it) =>
  shows("task", task.name) && shows("optimizer", it.optimizer) && shows("strategy", DATA.strategies[it.strategy].name);

/** Whether a strategy is to be seen: on a task, or on any. */
function seen(name, only) {
  return DATA.tasks.some((task) => (!only || task.name === only) && task.lines.some((it) => DATA.strategies[it.strategy].name === name && visible(task, it)));
}

/** Rows and columns know what they are by their first field: a strategy, a task, or a budget. */
function sift() {
  const [tasks, strategies, budgets] = [FACETS.task, FACETS.strategy, FACETS.budget].map((names) => new Set(names));
  for (const section of document.querySelectorAll("section")) {
    const title = section.querySelector("h1, h2").textContent;
    section.hidden = tasks.has(title) && !shows("task", title);
    document.querySelector(`nav a[href="#${section.id}"]`)?.toggleAttribute("hidden", section.hidden);
    if (section.hidden) continue;
    for (const table of section.querySelectorAll(".table table")) {
      for (const row of table.tBodies[0].rows) {
        const name = row.cells[0].textContent;
        if (strategies.has(name)) row.hidden = !seen(name, tasks.has(title) ? title : null);
        else if (tasks.has(name)) row.hidden = !shows("task", name);
      }
      [...table.tHead.rows[0].cells].forEach((head, i) => {
        const label = head.textContent.match(/^[\d.]+ %/)?.[0];
        if (i && budgets.has(label)) for (const row of table.rows) row.cells[i].hidden = !shows("budget", label);
      });
    }
  }
}

const CHARTS = { task: (frame, i) => taskChart(frame, DATA.tasks[i]), ranks: rankChart, curves: curveChart };

function redraw() {
  for (const frame of document.querySelectorAll(".chart")) {
    if (!frame.closest("section").hidden) CHARTS[frame.dataset.kind](frame, frame.dataset.task);
  }
}

function refresh() {
  sift();
  redraw();
  summarise();
}

/** Say in the closed filter what is shown. */
function summarise() {
  const counts = Object.entries(FACETS).map(([facet, names]) => {
    const count = names.filter((name) => shows(facet, name)).length;
    const plural = facet === "strategy" ? "strategies" : `${facet}s`;
    return count === names.length ? `all ${plural}` : `${count} of ${names.length} ${plural}`;
  });
  document.querySelector("#filter summary span").textContent = counts.join(" · ");
}

/** One facet: a box for each name, and all or none at once. */
function facet(kind, names) {
  const boxes = names.map((name) => {
    const box = made("input", { type: "checkbox", checked: "", value: name });
    box.addEventListener("change", () => {
      hidden[kind][box.checked ? "delete" : "add"](name);
      refresh();
    });
    return box;
  });
  const every = (on) => {
    const button = made("button", { type: "button" }, on ? "all" : "none");
    button.addEventListener("click", () => {
      hidden[kind] = new Set(on ? [] : names);
      for (const box of boxes) box.checked = on;
      refresh();
    });
    return button;
  };
  const labels = boxes.map((box) => made("label", {}, box, " ", box.value));
  return made("fieldset", {}, made("legend", {}, kind, " ", every(true), every(false)), made("div", {}, ...labels));
}

function filter() {
  const facets = Object.entries(FACETS).map(([kind, names]) => facet(kind, names));
  const title = made("summary", {}, "Filter: ", made("span"));
  const box = made("details", { id: "filter" }, title, made("form", {}, ...facets));
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && box.open) {
      box.open = false;
      title.focus();
    }
  });
  document.querySelector("nav").after(box);
}

document.body.append(voice);
for (const table of document.querySelectorAll(".table table")) {
  sortable(table);
  copyable(table);
}
if (DATA.tasks.length) {
  filter();
  refresh();
}
