// Charts: what becomes of each strategy on a task, ranks across tasks, and the LR curves.

/** Panels of one task. A strategy under the pointer or the focus stands out in all of them; a click keeps it. */
function taskChart(frame, task) {
  const budgets = task.budgets.map((_, b) => b).filter((b) => shows("budget", task.labels[b]));
  const lines = task.lines.filter((it) => visible(task, it) && budgets.some((b) => it.at[b]));
  if (!lines.length) return frame.replaceChildren(made("p", { class: "note" }, "Nothing is shown of this task: see the filter."));
  const [last, words] = [budgets.at(-1), legend(task, lines, budgets.at(-1))];
  const panels = made("div", { class: "panels" }, ...[
    againstBudget(task, lines, budgets),
    againstPeak(task, lines, last),
    overEpochs(task, lines, last, 1, "learning rate"),
    overEpochs(task, lines, last, 2, "training loss"),
    overEpochs(task, lines, last, 3, `test ${task.metric}`),
    words,
  ].filter(Boolean));
  highlight(panels, task, lines, last);
  frame.replaceChildren(panels);
}

function lineOf(it, points, more) {
  return { look: DATA.strategies[it.strategy], strategy: it.strategy, points, marks: false, says: [], ...more };
}

/** Whether lines of these heights need a logarithmic axis, by the rule of the figures. */
function wide(lines) {
  const heights = lines.flatMap((it) => it.points.map((p) => p[1]));
  const low = Math.min(...heights);
  return low > 0 && Math.max(...heights) > DATA.span * low;
}

function againstBudget(task, lines, budgets) {
  const made = lines.map((it) => {
    const seen = budgets.filter((b) => it.at[b] && it.at[b].mean != null);
    const points = seen.map((b) => [task.budgets[b], it.at[b].mean, it.at[b].half]);
    return lineOf(it, points, { marks: true, says: seen.map((b) => said(task, it, b)) });
  }).filter((it) => it.points.length);
  if (!made.length) return null;
  const x = { label: `budget, of ${plain(task.epochs)} ${task.unit}`, log: true, ticks: budgets.map((b) => [task.budgets[b], task.labels[b]]) };
  return panel("Against budget", x, { label: `final test ${task.metric}`, log: task.direction === "min" && wide(made) }, made);
}

function againstPeak(task, lines, b) {
  const made = lines.filter((it) => it.at[b]).map((it) => {
    const points = it.at[b].peaks.filter((p) => p[1] != null);
    const says = points.map((p) => `${DATA.strategies[it.strategy].name}: ${plain(p[1])} at peak LR ${plain(p[0])}`);
    return lineOf(it, points, { marks: true, says });
  }).filter((it) => it.points.length);
  const places = [...new Set(made.flatMap((it) => it.points.map((p) => p[0])))].sort((p, q) => p - q);
  if (places.length < 2) return null;
  const x = { label: `peak LR, at ${task.labels[b]} of the budget`, log: true, ticks: places.map((p) => [p, plain(p)]) };
  return panel("By peak LR", x, { label: `final test ${task.metric}`, log: task.direction === "min" && wide(made) }, made);
}

/** Means over seeds at the chosen peak LRs, as they were recorded at evaluations; `field` is a place in a course. */
function overEpochs(task, lines, b, field, label) {
  const made = lines.filter((it) => it.at[b]).map((it) => {
    const points = it.at[b].course.filter((p) => p[field] != null).map((p) => [p[0], p[field]]);
    return lineOf(it, points);
  }).filter((it) => it.points.length > 1);
  if (!made.length) return null;
  const log = field === 2 ? wide(made) : field === 3 && task.direction === "min" && wide(made);
  return panel(`${label[0].toUpperCase()}${label.slice(1)}, at ${task.labels[b]}`, { label: task.unit, log: false }, { label, log }, made);
}

/** A strategy's value at a budget, in words. */
function said(task, it, b) {
  const [name, at] = [DATA.strategies[it.strategy].name, it.at[b]];
  if (!at) return `${name}: nothing recorded at ${task.labels[b]}`;
  const rank = at.rank == null ? "" : `; rank ${plain(at.rank)}, ${at.word}`;
  return `${name} at ${task.labels[b]}: ${at.text}${rank}; peak LR ${at.chosen}`;
}

/** Buttons that name the strategies, best first, and a line that says what is under the pointer. */
function legend(task, lines, b) {
  const buttons = lines.map((it) => {
    const look = DATA.strategies[it.strategy];
    const swatch = drawn(
      "svg",
      { viewBox: "0 0 26 10", class: "swatch", "aria-hidden": "true", style: `--colour: ${look.colour}` },
      drawn("path", { class: "stroke", d: "M1 5H25", "stroke-dasharray": look.dash }),
      drawn("path", { class: "mark", d: marker(look.marker, 13, 5) }),
    );
    return made("button", { type: "button", "data-strategy": it.strategy, "aria-pressed": "false" }, swatch, look.name);
  });
  const best = lines.find((it) => it.at[b]?.mean != null) ?? lines[0];
  const readout = made("p", { class: "readout", role: "status" }, said(task, best, b));
  const hint = made("p", { class: "note" }, "Point at a strategy to see it in every panel; press its name to keep it.");
  return made("div", { class: "legend" }, hint, made("div", { role: "group", "aria-label": "Strategies" }, ...buttons), readout);
}

/** Let a strategy stand out while it is pointed at or focused, and for good once it is pressed. */
function highlight(panels, task, lines, b) {
  const [buttons, marks, readout] = [".legend button", "svg .line", ".readout"].map((css) => [...panels.querySelectorAll(css)]);
  const name = (element) => Number(element.closest("[data-strategy]")?.dataset.strategy ?? NaN);
  const of = new Map(lines.map((it) => [it.strategy, it]));
  const kept = () => buttons.filter((it) => it.ariaPressed === "true").map(name);
  const show = (strategy) => {
    const on = new Set([...kept(), ...(of.has(strategy) ? [strategy] : [])]);
    panels.classList.toggle("focused", on.size > 0);
    for (const it of [...buttons, ...marks]) it.classList.toggle("on", on.has(name(it)));
    for (const it of marks) if (name(it) === strategy) it.parentNode.append(it); // on top of the others
    if (of.has(strategy)) readout[0].textContent = said(task, of.get(strategy), b);
  };
  for (const kind of ["pointerover", "focusin"]) panels.addEventListener(kind, (event) => show(name(event.target)));
  for (const kind of ["pointerleave", "focusout"]) panels.addEventListener(kind, () => show(NaN));
  for (const it of buttons) {
    it.addEventListener("click", () => {
      it.ariaPressed = String(it.ariaPressed !== "true");
      show(name(it));
    });
  }
}

// ------------------------------------------------------------------------------------------- across tasks

/** Ranks: strategies down, tasks and budgets across, the better the darker. */
function rankChart(frame) {
  const columns = DATA.tasks.filter((task) => shows("task", task.name)).flatMap((task) =>
    task.budgets.map((_, b) => [task, b]).filter(([, b]) => shows("budget", task.labels[b])));
  const spans = new Map();
  for (const [task] of columns) spans.set(task, (spans.get(task) ?? 0) + 1);
  const corner = made("th", { scope: "col", rowspan: 2 }, "strategy");
  const tasks = [...spans].map(([task, span]) => made("th", { scope: "colgroup", colspan: span }, task.name));
  const labels = columns.map(([task, b]) => made("th", { scope: "col" }, task.labels[b]));
  const rows = DATA.strategies.map((strategy, s) => {
    const fields = columns.map(([task, b]) => rankField(task, task.lines.find((it) => it.strategy === s && visible(task, it)), b));
    return fields.some((it) => it.textContent) ? [made("tr", {}, made("th", { scope: "row" }, strategy.name), ...fields)] : [];
  }).flat();
  const table = made("table", { class: "ranks" }, made("thead", {}, made("tr", {}, corner, ...tasks), made("tr", {}, ...labels)), made("tbody", {}, ...rows));
  frame.replaceChildren(made("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Ranks by task and budget" }, table));
}

function rankField(task, it, b) {
  const at = it?.at[b];
  if (at?.rank == null) return made("td");
  const most = Math.max(...task.lines.map((other) => other.at[b]?.rank ?? 1));
  const share = most > 1 ? (most - at.rank) / (most - 1) : 1; // 1 the best, 0 the last of the column
  return made("td", { style: `--share: ${share.toFixed(3)}`, class: share > 0.55 ? "deep" : "", title: said(task, it, b) }, plain(at.rank));
}

/** LR curves, one panel a schedule, over all others in grey. */
function curveChart(frame) {
  const shown = DATA.curves.filter((it) => DATA.strategies.some((s) => s.schedule === it.name && shows("strategy", s.name)));
  const grey = { colour: "currentColor", dash: "", marker: "o" };
  const panels = shown.map((it) => {
    const own = DATA.strategies.find((s) => s.schedule === it.name);
    const others = shown.filter((other) => other !== it).map((other) => ({ look: grey, strategy: -1, points: other.points, marks: false, says: [] }));
    return panel(it.name, { label: "progress", log: false }, { label: "factor of peak LR", log: false }, [...others, { look: own, strategy: 0, points: it.points, marks: false, says: [] }]);
  });
  frame.replaceChildren(made("div", { class: "panels small" }, ...panels));
}
