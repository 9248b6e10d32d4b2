// One panel of a chart: axes, and a line with a band for each strategy. Sizes are in units of the view box.

const SIZE = { width: 380, height: 250, left: 52, right: 12, top: 24, bottom: 40 };

/** Marker shapes by matplotlib's letters: corners, rotation in degrees, and the inner radius of a star. */
const MARKERS = {
  o: [20, 0], s: [4, 45], D: [4, 0], "^": [3, 0], v: [3, 180], "<": [3, 270], ">": [3, 90],
  P: [4, 0, 0.4], X: [4, 45, 0.4], p: [5, 0], h: [6, 0], "*": [5, 0, 0.45], d: [2, 0, 0.5],
};

/** Path of a marker around a point. */
function marker(letter, x, y, radius = 3.6) {
  const [corners, turn, inner] = MARKERS[letter];
  const count = inner ? 2 * corners : corners;
  const points = Array.from({ length: count }, (_, i) => {
    const angle = ((i / count) * 360 + turn - 90) * (Math.PI / 180);
    const r = inner && i % 2 ? radius * inner : radius;
    return `${(x + r * Math.cos(angle)).toFixed(2)},${(y + r * Math.sin(angle)).toFixed(2)}`;
  });
  return `M${points.join("L")}Z`;
}

/** A function from values between `low` and `high` to positions between `start` and `end`. */
function scale(low, high, start, end, log) {
  const transform = log ? Math.log : (value) => value;
  const [a, b] = [transform(low), transform(high)];
  return (value) => start + ((transform(value) - a) / (b - a)) * (end - start);
}

/** Lowest and highest of some values with a margin on both sides, also around a single value. */
function range(values, log, margin = 0.06) {
  const transform = log ? Math.log : (value) => value;
  const [low, high] = [transform(Math.min(...values)), transform(Math.max(...values))];
  const more = high > low ? margin * (high - low) : log ? 0.5 : Math.abs(high) * 0.1 || 0.5;
  return log ? [Math.exp(low - more), Math.exp(high + more)] : [low - more, high + more];
}

/** Ticks at round values between two values: [value, text]. */
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
  const values = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) values.push(i * step);
  return values.filter((value) => !log || value > 0).map((value) => [value, plain(Number(value.toPrecision(10)))]);
}

/** A number as short text. */
function plain(value) {
  const size = Math.abs(value);
  const text = size && (size < 1e-3 || size >= 1e5) ? value.toExponential(2).replace(/\.?0+e/, "e") : String(value);
  return text.replace(/-/g, "−");
}

let panelCount = 0;

/**
 * A panel. `x` is {label, log, ticks}, `y` {label, log}; a line is {look, strategy, points: [[x, y, half]], marks, titles}.
 * The y axis spans the means; bands that reach beyond are cut off.
 */
function panel(title, x, y, lines) {
  const { width, height, left, right, top, bottom } = SIZE;
  const points = lines.flatMap((line) => line.points);
  const [ax, bx] = range([...points.map((p) => p[0]), ...(x.ticks ?? []).map((tick) => tick[0])], x.log, 0.04);
  const [ay, by] = range(points.map((p) => p[1]), y.log, 0.08);
  const scales = { x: scale(ax, bx, left, width - right, x.log), y: scale(ay, by, height - bottom, top, y.log) };
  const clip = `clip${panelCount++}`;
  const frame = { x: left, y: top - 4, width: width - left - right + 4, height: height - top - bottom + 8 };
  return shape(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${y.label} against ${x.label}` },
    shape("clipPath", { id: clip }, shape("rect", frame)),
    shape("text", { x: left, y: 13, class: "head" }, title),
    ...axis(x.ticks ?? ticks(ax, bx, x.log), ticks(ay, by, y.log), scales),
    shape("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" }, x.label),
    shape("g", { "clip-path": `url(#${clip})` }, ...lines.map((line) => stroke(line, scales, y.log ? ay : -Infinity))),
  );
}

/** Ticks with their texts and grid lines. Texts that would overlap are left out. */
function axis(across, up, scales) {
  const { width, height, left, right, top, bottom } = SIZE;
  const marks = [];
  let edge = -Infinity;
  for (const [value, text] of across) {
    const [x, half] = [scales.x(value), text.length * 2.9];
    marks.push(shape("path", { class: "grid", d: `M${x.toFixed(1)} ${top}V${height - bottom}` }));
    if (x - half < edge) continue;
    edge = x + half + 3;
    marks.push(shape("text", { x, y: height - bottom + 14, "text-anchor": "middle" }, text));
  }
  for (const [value, text] of up) {
    const y = scales.y(value);
    marks.push(shape("path", { class: "grid", d: `M${left} ${y.toFixed(1)}H${width - right}` }));
    marks.push(shape("text", { x: left - 5, y: y + 4, "text-anchor": "end" }, text));
  }
  return marks;
}

/** One line: its band, its stroke, and its markers, each with its value as a title. */
function stroke(line, scales, floor) {
  const { colour, dash, marker: letter } = line.look;
  const position = ([x, y]) => `${scales.x(x).toFixed(1)},${scales.y(y).toFixed(1)}`;
  const group = shape("g", { class: "line", "data-strategy": line.strategy, style: `--colour: ${colour}` });
  const banded = line.points.filter((p) => p[2] != null);
  if (banded.length > 1) {
    const up = banded.map(([x, y, half]) => position([x, y + half]));
    const down = banded.map(([x, y, half]) => position([x, Math.max(y - half, floor)])).reverse();
    group.append(shape("path", { class: "band", d: `M${[...up, ...down].join("L")}Z` }));
  }
  group.append(shape("path", { class: "stroke", d: `M${line.points.map(position).join("L")}`, "stroke-dasharray": dash }));
  for (const [i, [x, y, half]] of (line.marks ? line.points : []).entries()) {
    if (half != null) {
      const [a, b] = [scales.y(Math.max(y - half, floor)), scales.y(y + half)].map((v) => v.toFixed(1));
      group.append(shape("path", { class: "bar", d: `M${scales.x(x).toFixed(1)} ${a}V${b}` }));
    }
    const title = shape("title", {}, line.titles[i]);
    group.append(shape("path", { class: "mark", d: marker(letter, scales.x(x), scales.y(y)) }, title));
  }
  return group;
}
