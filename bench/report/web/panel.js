// One panel of a chart: axes, and a line with a band for each strategy. Sizes are in units of the view box.

const SIZE = { width: 380, height: 250, left: 52, right: 12, top: 24, bottom: 40 };

/** Marker shapes, after matplotlib's letters: corners, turn in degrees, and inner radius where it is a star. */
const SHAPES = {
  o: [20, 0], s: [4, 45], D: [4, 0], "^": [3, 0], v: [3, 180], "<": [3, 270], ">": [3, 90],
  P: [4, 0, 0.4], X: [4, 45, 0.4], p: [5, 0], h: [6, 0], "*": [5, 0, 0.45], d: [2, 0, 0.5],
};

/** Path of a marker about a point. */
function marker(letter, x, y, radius = 3.6) {
  const [corners, turn, inner] = SHAPES[letter];
  const count = inner ? 2 * corners : corners;
  const points = Array.from({ length: count }, (_, i) => {
    const angle = ((i / count) * 360 + turn - 90) * (Math.PI / 180);
    const r = inner && i % 2 ? radius * inner : radius;
    return `${(x + r * Math.cos(angle)).toFixed(2)},${(y + r * Math.sin(angle)).toFixed(2)}`;
  });
  return `M${points.join("L")}Z`;
}

/** A map from values to places. */
function scale(low, high, from, to, log) {
  const by = log ? Math.log : (value) => value;
  const [a, b] = [by(low), by(high)];
  return (value) => from + ((by(value) - a) / (b - a)) * (to - from);
}

/** Low and high of some values with a margin; a single value gets room on both sides. */
function room(values, log, margin = 0.06) {
  const by = log ? Math.log : (value) => value;
  const [low, high] = [by(Math.min(...values)), by(Math.max(...values))];
  const more = high > low ? margin * (high - low) : log ? 0.5 : Math.abs(high) * 0.1 || 0.5;
  return log ? [Math.exp(low - more), Math.exp(high + more)] : [low - more, high + more];
}

/** Round places for ticks between two values: [place, text]. */
function ticks(low, high, log) {
  const spread = log ? Math.log10(high / low) : high - low;
  if (log && spread >= 1) {
    const every = Math.ceil(spread / 5);
    const first = Math.ceil(Math.log10(low) - 1e-9);
    const decades = Array.from({ length: Math.floor(Math.log10(high) - first + 1e-9) + 1 }, (_, i) => first + i);
    if (decades.length > 1) return decades.filter((_, i) => i % every === 0).map((d) => [10 ** d, plain(10 ** d)]);
  }
  const rough = (high - low) / 6;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((n) => n * unit >= rough);
  const places = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) places.push(i * step);
  return places.filter((at) => !log || at > 0).map((at) => [at, plain(Number(at.toPrecision(10)))]);
}

/** A number in few signs. */
function plain(value) {
  const size = Math.abs(value);
  const text = size && (size < 1e-3 || size >= 1e5) ? value.toExponential(2).replace(/\.?0+e/, "e") : String(value);
  return text.replace(/-/g, "−");
}

let panels = 0;

/**
 * A panel. `x` is {label, log, ticks}, `y` {label, log}; a line is {look, strategy, points: [[x, y, half]], marks, says}.
 * The y axis spans the means; bands that reach beyond it are cut.
 */
function panel(title, x, y, lines) {
  const { width, height, left, right, top, bottom } = SIZE;
  const points = lines.flatMap((it) => it.points);
  const [ax, bx] = room([...points.map((p) => p[0]), ...(x.ticks ?? []).map((tick) => tick[0])], x.log, 0.04);
  const [ay, by] = room(points.map((p) => p[1]), y.log, 0.08);
  const to = { x: scale(ax, bx, left, width - right, x.log), y: scale(ay, by, height - bottom, top, y.log) };
  const clip = `clip${panels++}`;
  const window = { x: left, y: top - 4, width: width - left - right + 4, height: height - top - bottom + 8 };
  return drawn(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${y.label} against ${x.label}` },
    drawn("clipPath", { id: clip }, drawn("rect", window)),
    drawn("text", { x: left, y: 13, class: "head" }, title),
    ...axis(x.ticks ?? ticks(ax, bx, x.log), ticks(ay, by, y.log), to),
    drawn("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" }, x.label),
    drawn("g", { "clip-path": `url(#${clip})` }, ...lines.map((it) => stroke(it, to, y.log ? ay : -Infinity))),
  );
}

/** Ticks with their texts and grid lines; texts that would touch are left out. */
function axis(across, up, to) {
  const { width, height, left, right, top, bottom } = SIZE;
  const made = [];
  let edge = -Infinity;
  for (const [at, text] of across) {
    const [place, half] = [to.x(at), text.length * 2.9];
    made.push(drawn("path", { class: "grid", d: `M${place.toFixed(1)} ${top}V${height - bottom}` }));
    if (place - half < edge) continue;
    edge = place + half + 3;
    made.push(drawn("text", { x: place, y: height - bottom + 14, "text-anchor": "middle" }, text));
  }
  for (const [at, text] of up) {
    const place = to.y(at);
    made.push(drawn("path", { class: "grid", d: `M${left} ${place.toFixed(1)}H${width - right}` }));
    made.push(drawn("text", { x: left - 5, y: place + 4, "text-anchor": "end" }, text));
  }
  return made;
}

/** One line: its band, its stroke, and its markers, each with a title that says its value. */
function stroke(it, to, floor) {
  const { colour, dash, marker: letter } = it.look;
  const place = ([x, y]) => `${to.x(x).toFixed(1)},${to.y(y).toFixed(1)}`;
  const group = drawn("g", { class: "line", "data-strategy": it.strategy, style: `--colour: ${colour}` });
  const banded = it.points.filter((p) => p[2] != null);
  if (banded.length > 1) {
    const up = banded.map(([x, y, half]) => place([x, y + half]));
    const down = banded.map(([x, y, half]) => place([x, Math.max(y - half, floor)])).reverse();
    group.append(drawn("path", { class: "band", d: `M${[...up, ...down].join("L")}Z` }));
  }
  group.append(drawn("path", { class: "stroke", d: `M${it.points.map(place).join("L")}`, "stroke-dasharray": dash }));
  for (const [i, [x, y, half]] of (it.marks ? it.points : []).entries()) {
    if (half != null) {
      const [a, b] = [to.y(Math.max(y - half, floor)), to.y(y + half)].map((v) => v.toFixed(1));
      group.append(drawn("path", { class: "bar", d: `M${to.x(x).toFixed(1)} ${a}V${b}` }));
    }
    const said = drawn("title", {}, it.says[i]);
    group.append(drawn("path", { class: "mark", d: marker(letter, to.x(x), to.y(y)) }, said));
  }
  return group;
}
