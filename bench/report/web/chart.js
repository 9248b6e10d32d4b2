// Charts: results of each strategy on a task, and LR curves.

/** Panels of one task. A strategy under the pointer or in focus stands out in all of them; a click pins it. */
function taskChart(frame, task) {
  const budgets = task.budgets.map((_, b) => b).filter((b) => shows("budget", task.labels[b]));
  const lines = task.lines.filter((line) => visible(task, line) && budgets.some((b) => line.at[b]));
  if (!lines.length) return frame.replaceChildren(element("p", { class: "note" }, "Nothing is shown of this task: see the filter."));
  const [last, words] = [budgets.at(-1), legend(task, lines, budgets.at(-1))];
  const panels = element("div", { class: "panels" }, ...[
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

function lineOf(result, points, more) {
  return { look: DATA.strategies[result.strategy], strategy: result.strategy, points, marks: false, titles: [], ...more };
}

/** Whether lines of these heights need a logarithmic axis, by the rule of the figures. */
function needsLog(lines) {
  const heights = lines.flatMap((line) => line.points.map((p) => p[1]));
  const low = Math.min(...heights);
  return low > 0 && Math.max(...heights) > DATA.span * low;
}

function againstBudget(task, lines, budgets) {
  const series = lines.map((line) => {
    const finite = budgets.filter((b) => line.at[b] && line.at[b].mean != null);
    const points = finite.map((b) => [task.budgets[b], line.at[b].mean, line.at[b].half]);
    return lineOf(line, points, { marks: true, titles: finite.map((b) => describe(task, line, b)) });
  }).filter((line) => line.points.length);
  if (!series.length) return null;
  const x = { label: `budget, of ${plain(task.epochs)} ${task.unit}`, log: true, ticks: budgets.map((b) => [task.budgets[b], task.labels[b]]) };
  return panel("Against budget", x, { label: `final test ${task.metric}`, log: task.direction === "min" && needsLog(series) }, series);
}

function againstPeak(task, lines, b) {
  const series = lines.filter((line) => line.at[b]).map((line) => {
    const points = line.at[b].peaks.filter((p) => p[1] != null);
    const name = DATA.strategies[line.strategy].name;
    const titles = points.map(([lr, mean]) => `${name}: ${plain(mean)} at peak LR ${plain(lr)}`);
    return lineOf(line, points, { marks: true, titles });
  }).filter((line) => line.points.length);
  const peaks = [...new Set(series.flatMap((line) => line.points.map((p) => p[0])))].sort((p, q) => p - q);
  if (peaks.length < 2) return null;
  const x = { label: `peak LR, at ${task.labels[b]} of the budget`, log: true, ticks: peaks.map((lr) => [lr, plain(lr)]) };
  return panel("By peak LR", x, { label: `final test ${task.metric}`, log: task.direction === "min" && needsLog(series) }, series);
}

/** Means over seeds at the chosen peak LRs, as recorded at evaluations; `field` is an index into points of a course. */
function overEpochs(task, lines, b, field, label) {
  const series = lines.filter((line) => line.at[b]).map((line) => {
    const points = line.at[b].course.filter((p) => p[field] != null).map((p) => [p[0], p[field]]);
    return lineOf(line, points);
  }).filter((line) => line.points.length > 1);
  if (!series.length) return null;
  const log = field === 2 ? needsLog(series) : field === 3 && task.direction === "min" && needsLog(series);
  return panel(`${label[0].toUpperCase()}${label.slice(1)}, at ${task.labels[b]}`, { label: task.unit, log: false }, { label, log }, series);
}

/** A strategy's value at a budget, in words. */
function describe(task, line, b) {
  const [name, at] = [DATA.strategies[line.strategy].name, line.at[b]];
  if (!at) return `${name}: nothing recorded at ${task.labels[b]}`;
  const rank = at.rank == null ? "" : `; rank ${plain(at.rank)}, ${at.word}`;
  return `${name} at ${task.labels[b]}: ${at.text}${rank}; peak LR ${at.chosen}`;
}

/** Buttons with the names of the strategies, best first, and a line of text on the strategy under the pointer. */
function legend(task, lines, b) {
  const buttons = lines.map((line) => {
    const look = DATA.strategies[line.strategy];
    const swatch = shape(
      "svg",
      { viewBox: "0 0 26 10", class: "swatch", "aria-hidden": "true", style: `--colour: ${look.colour}` },
      shape("path", { class: "stroke", d: "M1 5H25", "stroke-dasharray": look.dash }),
      shape("path", { class: "mark", d: marker(look.marker, 13, 5) }),
    );
    return element("button", { type: "button", "data-strategy": line.strategy, "aria-pressed": "false" }, swatch, look.name);
  });
  const best = lines.find((line) => line.at[b]?.mean != null) ?? lines[0];
  const readout = element("p", { class: "readout", role: "status" }, describe(task, best, b));
  const hint = element("p", { class: "note" }, "Point at a strategy to see it in every panel; press its name to pin it.");
  return element("div", { class: "legend" }, hint, element("div", { role: "group", "aria-label": "Strategies" }, ...buttons), readout);
}

/** Make a strategy stand out while it is pointed at or in focus, and for as long as its button is pressed. */
function highlight(panels, task, lines, b) {
  const [buttons, marks, readout] = [".legend button", "svg .line", ".readout"].map((css) => [...panels.querySelectorAll(css)]);
  const strategyOf = (node) => Number(node.closest("[data-strategy]")?.dataset.strategy ?? NaN);
  const byStrategy = new Map(lines.map((line) => [line.strategy, line]));
  const pinned = () => buttons.filter((button) => button.ariaPressed === "true").map(strategyOf);
  const show = (strategy) => {
    const on = new Set([...pinned(), ...(byStrategy.has(strategy) ? [strategy] : [])]);
    panels.classList.toggle("focused", on.size > 0);
    for (const node of [...buttons, ...marks]) node.classList.toggle("on", on.has(strategyOf(node)));
    for (const mark of marks) if (strategyOf(mark) === strategy) mark.parentNode.append(mark); // on top of the others
    if (byStrategy.has(strategy)) readout[0].textContent = describe(task, byStrategy.get(strategy), b);
  };
  for (const kind of ["pointerover", "focusin"]) panels.addEventListener(kind, (event) => show(strategyOf(event.target)));
  for (const kind of ["pointerleave", "focusout"]) panels.addEventListener(kind, () => show(NaN));
  for (const button of buttons) {
    button.addEventListener("click", () => {
      button.ariaPressed = String(button.ariaPressed !== "true");
      show(strategyOf(button));
    });
  }
}

// ------------------------------------------------------------------------------------------- across tasks

/** LR curves, one panel for each schedule, over all the others in grey. */
function curveChart(frame) {
  const curves = DATA.curves.filter((curve) => DATA.strategies.some((s) => s.schedule === curve.name && shows("strategy", s.name)));
  const grey = { colour: "currentColor", dash: "", marker: "o" };
  const panels = curves.map((curve) => {
    const own = DATA.strategies.find((s) => s.schedule === curve.name);
    const others = curves.filter((other) => other !== curve).map((other) => ({ look: grey, strategy: -1, points: other.points, marks: false, titles: [] }));
    return panel(curve.name, { label: "progress", log: false }, { label: "factor of peak LR", log: false }, [...others, { look: own, strategy: 0, points: curve.points, marks: false, titles: [] }]);
  });
  frame.replaceChildren(element("div", { class: "panels small" }, ...panels));
}
