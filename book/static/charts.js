/* Charts of the playable figures: SVG, a unit a pixel, without any data of their own. */
window.accelCharts = (function () {
  "use strict";
  const LEFT = 58, RIGHT = 14, TOP = 10, BOTTOM = 44; // margins
  const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
  const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
  const whole = (value) => value.toLocaleString("en");
  const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const power = (value) => "10" + String(value).replace("-", "⁻").replace(/\d/g, (it) => SUPERSCRIPTS[it]);
  const short = (value) => {
    if (value === 0 || Math.abs(value) >= 1e-3) return String(Number(value.toPrecision(3)));
    const [digits, exponent] = value.toExponential(2).split("e");
    return `${Number(digits)} × ${power(exponent)}`;
  };

  function draw(parent, tag, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  }

  /** Whole powers of ten, or some five round numbers, of the axis's range. */
  function ticks([low, high], log, wanted) {
    if (log) [low, high] = [Math.log10(low), Math.log10(high)];
    const rough = (high - low) / wanted, scale = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((it) => it * scale).find((it) => it >= rough && !(log && it < 1)) ?? 1;
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) {
      const value = Number((i * step).toPrecision(6));
      found.push(log ? [10 ** value, power(value)] : [value, String(value)]);
    }
    return found;
  }

  /** Axes in `svg`, emptied: x and y are {range, label, log}; returns the maps to pixels, and a group
      for what is drawn inside. With `equal`, a unit has the same length in both directions. */
  function chart(svg, x, y, { height = 260, equal = false } = {}) {
    svg.querySelectorAll(":scope > :not(title)").forEach((node) => node.remove());
    const width = Math.max(300, Math.round(svg.parentElement.clientWidth) || 700);
    let [left, right, top, bottom] = [LEFT, width - RIGHT, TOP, height - BOTTOM];
    if (equal) {
      const span = y.range[1] - y.range[0], wide = x.range[1] - x.range[0];
      const unit = Math.min((right - left) / wide, 300 / span);
      bottom = top + Math.max(70, unit * span);
      height = bottom + BOTTOM;
      x = { ...x, range: [x.range[0], x.range[0] + (right - left) / unit] };
      y = { ...y, range: [y.range[0], y.range[0] + (bottom - top) / unit] };
    }
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const scaled = ({ range: [low, high], log }, from, to) => (value) =>
      from + (log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low)) * (to - from);
    const across = scaled(x, left, right), up = scaled(y, bottom, top);
    const clip = draw(svg, "clipPath", { id: `${svg.id}-clip` });
    draw(clip, "rect", { x: left, y: top, width: right - left, height: bottom - top });
    const grid = draw(svg, "g", { class: "grid" });
    for (const [value, label] of ticks(x.range, x.log, width / 110)) {
      draw(grid, "path", { d: `M${across(value)} ${top}V${bottom}` });
      draw(grid, "text", { x: across(value), y: bottom + 16, "text-anchor": "middle" }, label);
    }
    for (const [value, label] of y.ticks ?? ticks(y.range, y.log, (bottom - top) / 45)) {
      draw(grid, "path", { d: `M${left} ${up(value)}H${right}` });
      draw(grid, "text", { x: left - 6, y: up(value) + 4, "text-anchor": "end" }, label);
    }
    draw(svg, "text", { x: (left + right) / 2, y: height - 8, "text-anchor": "middle" }, x.label);
    const middle = (top + bottom) / 2;
    draw(svg, "text", { x: 13, y: middle, "text-anchor": "middle", transform: `rotate(-90 13 ${middle})` }, y.label ?? "");
    const inside = draw(svg, "g", { "clip-path": `url(#${svg.id}-clip)` });
    return { across, up, inside, left, right, top, bottom };
  }

  /** Points in pixels, without those that would not be seen apart; each keeps its number. */
  function thinned({ across, up }, points) {
    let last = null;
    return points.map(([x, y], i) => [across(x), up(y), i]).filter((at, i) => {
      if (last && i < points.length - 1 && Math.hypot(at[0] - last[0], at[1] - last[1]) < 0.7) return false;
      return (last = at);
    });
  }

  const line = (pixels) => "M" + pixels.map((at) => `${at[0].toFixed(1)} ${at[1].toFixed(1)}`).join("L");

  /** What a form's controls stand at; each slider says its value. */
  function controls(form, say = (name, value) => short(value)) {
    const at = {};
    for (const it of form.querySelectorAll("input, select")) {
      if (it.type === "checkbox") at[it.name] = it.checked;
      else if (it.type !== "range") at[it.name] = it.value;
      else {
        at[it.name] = "log" in it.dataset ? 10 ** it.valueAsNumber : it.valueAsNumber;
        const text = say(it.name, at[it.name]);
        if (it.nextElementSibling?.tagName === "OUTPUT") it.nextElementSibling.value = text;
        it.setAttribute("aria-valuetext", text); // of a logarithmic slider, not its exponent
      }
    }
    return at;
  }

  return { draw, chart, thinned, line, controls, least, most, whole, short };
})();
