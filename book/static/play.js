/* Two points to play with: the simulation, then its drawing. A classic script without any data of
   its own, so that the page also runs from a file. Formulas: accel_core.theory.two_points. */
(function () {
  "use strict";
  const BOUND = 4; // a run has diverged when ‖w‖ is more than this many y_1
  const TOLERANCE = 0.1; // the target: |w_i − y_i| ≤ TOLERANCE · y_i for both i

  // ---- simulation: pure functions; problem = {p, y: [y_1, y_2]}, w = [w_1, w_2] ------------------
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1];
  const product = (factors) => factors.reduce((a, b) => a * b, 1);
  const residual = (w, problem) => [w[0] - problem.y[0], w[1] - problem.y[1]];
  /** (1/p) Σ|w_i − y_i|^p */
  function loss(w, problem) {
    const r = residual(w, problem);
    return (Math.abs(r[0]) ** problem.p + Math.abs(r[1]) ** problem.p) / problem.p;
  }

  function gradient(w, problem) {
    return residual(w, problem).map((r) => Math.sign(r) * Math.abs(r) ** (problem.p - 1));
  }

  /** ‖w‖^{2−2/N} (g + (N−1) Pr_w{g}): what depth N makes of the gradient g (Claim 2) */
  function field(w, problem, depth) {
    const g = gradient(w, problem);
    const square = dot(w, w);
    const factor = square ** (1 - 1 / depth);
    const along = square > 0 ? ((depth - 1) * dot(w, g)) / square : 0;
    return [factor * (g[0] + along * w[0]), factor * (g[1] + along * w[1])];
  }

  /** The single layer that moves by the field of `depth`: its state is w itself. */
  const rule = (depth) => ({
    start: (w) => w,
    end: (w) => w,
    step(w, problem, rate) {
      const f = field(w, problem, depth);
      return [w[0] - rate * f[0], w[1] - rate * f[1]];
    },
  });

  /** N layers of width 1: `first` is W_1, `scalars` are W_2, …, W_N; balanced at the start. */
  const layers = (depth) => ({
    start(w) {
      const norm = Math.hypot(w[0], w[1]);
      const scalar = norm ** (1 / depth);
      const first = norm > 0 ? [(w[0] / norm) * scalar, (w[1] / norm) * scalar] : [0, 0];
      return { first, scalars: Array(depth - 1).fill(scalar) };
    },
    end({ first, scalars }) {
      const scale = product(scalars);
      return [scale * first[0], scale * first[1]];
    },
    step({ first, scalars }, problem, rate) {
      const scale = product(scalars);
      const g = gradient([scale * first[0], scale * first[1]], problem);
      const others = scalars.map((_, j) => product(scalars.filter((_, i) => i !== j)));
      return {
        first: [first[0] - rate * scale * g[0], first[1] - rate * scale * g[1]],
        scalars: scalars.map((a, j) => a - rate * dot(g, first) * others[j]),
      };
    },
  });

  /** The run up to `steps`: path and losses, and the iterations of arrival and of divergence. */
  function simulate(model, problem, rate, start, steps) {
    const path = [start], losses = [loss(start, problem)];
    let state = model.start(start), reached = null, diverged = null;
    for (let t = 0; ; t++) {
      const r = residual(path[t], problem);
      const arrived = r.every((it, i) => Math.abs(it) <= TOLERANCE * problem.y[i]);
      if (arrived && reached === null) reached = t;
      if (t === steps) break;
      state = model.step(state, problem, rate);
      const w = model.end(state);
      if (!(Math.hypot(w[0], w[1]) <= BOUND * problem.y[0])) diverged = t + 1;
      if (diverged !== null) break;
      path.push(w);
      losses.push(loss(w, problem));
    }
    return { path, losses, reached, diverged };
  }

  /** The largest rate at which w_1 alone never overshoots: c(p, N) y_1^{−(p−2/N)} (Statement 14.2) */
  function limit(problem, depth) {
    const a = 2 - 2 / depth, b = problem.p - 2;
    const constant = (a + b) ** (a + b) / (depth * a ** a * b ** b);
    return constant * problem.y[0] ** -(problem.p - 2 / depth);
  }

  /** Everything that the page shows, from the values of its controls. */
  function compute(at) {
    const problem = { p: at.p, y: [at.ratio, 1] };
    const start = [at.scale * at.w1, at.scale * at.w2];
    const deep = at.rate * limit(problem, at.depth);
    const plain = at.same ? deep : at.plain * limit(problem, 1);
    const runs = [
      { kind: "plain", depth: 1, name: "depth 1", model: rule(1), rate: plain },
      { kind: "layers", depth: at.depth, name: `depth ${at.depth}, its layers`, model: layers(at.depth), rate: deep },
      { kind: "rule", depth: at.depth, name: `depth ${at.depth}, the rule of Claim 2`, model: rule(at.depth), rate: deep },
    ].map((run) => ({ ...run, ...simulate(run.model, problem, run.rate, start, at.steps) }));
    return { at, problem, start, runs };
  }

  // ---- drawing: SVG in the units of its viewBox --------------------------------------------------
  const WIDTH = 380, HEIGHT = 330, LEFT = 50, RIGHT = 364, TOP = 10, BOTTOM = 286;
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const least = (values) => values.reduce((a, b) => Math.min(a, b));
  const most = (values) => values.reduce((a, b) => Math.max(a, b));

  function draw(parent, tag, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  }

  /** Whole powers of ten, or some five round numbers, of the axis's range. */
  function ticks([low, high], log) {
    if (log) [low, high] = [Math.log10(low), Math.log10(high)];
    const rough = (high - low) / 6, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((it) => it * power).find((it) => it >= rough && !(log && it < 1));
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) {
      const value = Number((i * step).toPrecision(6));
      found.push(log ? [10 ** value, `1e${value}`] : [value, String(value)]);
    }
    return found;
  }

  /** Axes of a chart in `svg`, emptied; returns the maps from its quantities to its units. */
  function chart(svg, x, y) {
    svg.querySelectorAll(":scope > :not(title)").forEach((node) => node.remove());
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    const scaled = ({ range: [low, high], log }, from, to) => (value) => {
      const share = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
      return from + share * (to - from);
    };
    const across = scaled(x, LEFT, RIGHT), up = scaled(y, BOTTOM, TOP);
    const clip = draw(svg, "clipPath", { id: `${svg.id}-clip` });
    draw(clip, "rect", { x: LEFT, y: TOP, width: RIGHT - LEFT, height: BOTTOM - TOP });
    const grid = draw(svg, "g", { class: "grid" });
    for (const [value, label] of ticks(x.range, x.log)) {
      draw(grid, "path", { d: `M${across(value)} ${TOP}V${BOTTOM}` });
      draw(grid, "text", { x: across(value), y: BOTTOM + 16, "text-anchor": "middle" }, label);
    }
    for (const [value, label] of ticks(y.range, y.log)) {
      draw(grid, "path", { d: `M${LEFT} ${up(value)}H${RIGHT}` });
      draw(grid, "text", { x: LEFT - 6, y: up(value) + 4, "text-anchor": "end" }, label);
    }
    draw(svg, "text", { x: (LEFT + RIGHT) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, x.label);
    const middle = (TOP + BOTTOM) / 2;
    draw(svg, "text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, y.label);
    const inside = draw(svg, "g", { "clip-path": `url(#${svg.id}-clip)` });
    return { across, up, inside };
  }

  /** The curve through the points; those that would not be seen apart are left out. */
  function curve({ across, up, inside }, points, run) {
    let last = null;
    const kept = points.map(([x, y]) => [across(x), up(y)]).filter((at, i) => {
      if (last && i < points.length - 1 && Math.hypot(at[0] - last[0], at[1] - last[1]) < 0.5) return false;
      return (last = at);
    });
    const line = kept.map((at) => at.map((it) => it.toFixed(1)).join(" ")).join("L");
    draw(inside, "path", { d: `M${line}`, class: `run ${run.kind} depth-${run.depth}` });
    if (run.diverged === null) return;
    const x = clamp(last[0], LEFT + 5, RIGHT - 5), y = clamp(last[1], TOP + 5, BOTTOM - 5);
    draw(inside, "path", { d: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10`, class: "cross" });
  }

  function drawPlane(svg, { problem, start, runs, at }) {
    const [y1, y2] = problem.y;
    const range = (y, i) => { // what the paths visit, but no more than three labels' worth each way
      const seen = runs.flatMap((run) => run.path.map((w) => clamp(w[i] / y, -1.5, 3)));
      return [Math.min(-0.2, start[i] / y, least(seen)) * 1.1 * y, Math.max(1.4, start[i] / y, most(seen)) * 1.1 * y];
    };
    const x = { range: range(y1, 0), label: "w₁" }, y = { range: range(y2, 1), label: "w₂" };
    const axes = chart(svg, x, y);
    drawField(axes, x.range, y.range, problem, [[1, runs[0].rate], [at.depth, runs[1].rate]]);
    const box = { x: axes.across(y1 * (1 - TOLERANCE)), y: axes.up(y2 * (1 + TOLERANCE)) };
    const far = { x: axes.across(y1 * (1 + TOLERANCE)), y: axes.up(y2 * (1 - TOLERANCE)) };
    draw(axes.inside, "rect", { ...box, width: far.x - box.x, height: far.y - box.y, class: "target" });
    for (const run of runs) curve(axes, run.path, run);
    draw(axes.inside, "circle", { cx: axes.across(start[0]), cy: axes.up(start[1]), r: 4, class: "start" });
  }

  /** Needles: the step of both models from points of a grid; lengths as the 1/4 power of the step's. */
  function drawField({ across, up, inside }, [left, right], [low, high], problem, models) {
    const needles = [];
    for (let i = 0.5; i < 11; i++) {
      for (let j = 0.5; j < 9; j++) {
        const w = [left + ((right - left) * i) / 11, low + ((high - low) * j) / 9];
        draw(inside, "circle", { cx: across(w[0]), cy: up(w[1]), r: 1.3, class: "point" });
        for (const [depth, rate] of models) {
          const f = field(w, problem, depth);
          const seen = [across(w[0] - rate * f[0]) - across(w[0]), up(w[1] - rate * f[1]) - up(w[1])];
          needles.push({ w, f, depth, seen, length: Math.hypot(...seen) });
        }
      }
    }
    const longest = Math.max(...needles.map((it) => it.length));
    for (const { w, f, depth, seen, length } of needles) {
      const share = length > 0 ? (24 * (length / longest) ** 0.25) / length : 0;
      const d = `M${across(w[0])} ${up(w[1])}l${seen[0] * share} ${seen[1] * share}`;
      draw(inside, "path", { d, class: `needle depth-${depth}`, "data-w": w, "data-field": f });
    }
  }

  function drawLosses(svg, { runs, at }) {
    const all = runs.flatMap((run) => run.losses);
    const highest = most(all) * 1.5, lowest = Math.max(least(all) / 1.5, highest * 1e-16);
    const x = { range: [1, at.steps + 1], log: true, label: "iteration + 1" }; // the start is on it, too
    const axes = chart(svg, x, { range: [lowest, highest], log: true, label: "loss" });
    for (const run of runs) {
      curve(axes, run.losses.map((value, t) => [t + 1, Math.max(value, lowest)]), run);
      if (run.reached === null) continue;
      const where = { cx: axes.across(run.reached + 1), cy: axes.up(Math.max(run.losses[run.reached], lowest)) };
      draw(axes.inside, "circle", { ...where, r: 4, class: `reached depth-${run.depth}` });
    }
  }

  // ---- the page: controls in, numbers out --------------------------------------------------------
  const whole = (value) => value.toLocaleString("en");
  const short = (value) =>
    value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(3) : String(Number(value.toPrecision(4)));

  function sentence({ runs, at }) {
    const fate = ({ name, reached, diverged }) =>
      `${name}: ` + (reached !== null ? `target reached at iteration ${whole(reached)}`
        : diverged !== null ? `diverged at iteration ${whole(diverged)}`
          : `target not reached in ${whole(at.steps)} iterations`);
    const [plain, ...deep] = runs;
    const speed = (run) => run.reached <= plain.reached
      ? `${short(plain.reached / run.reached)} times as fast` : `${short(run.reached / plain.reached)} times slower`;
    const arrived = plain.reached > 0 && at.depth > 1 ? deep.filter((run) => run.reached > 0) : [];
    const said = arrived.map((run) => `${run.kind === "rule" ? "the rule is" : "its layers are"} ${speed(run)}`);
    const gain = said.length ? ` Against depth 1, ${said.join("; ")}.` : "";
    return `${runs.map(fate).join("; ")}.${gain}`.replace(/^d/, "D");
  }

  function fillTable(body, runs) {
    const cell = (value, text) => `<td><data value="${value ?? ""}">${text}</data></td>`;
    body.innerHTML = runs.map((run) => {
      const end = run.path.length - 1;
      const events = [run.reached, run.diverged].map((it) => cell(it, it === null ? "–" : whole(it)));
      const numbers = [run.rate, run.losses[end], ...run.path[end]].map((it) => cell(it, short(it)));
      return `<tr><th scope="row">${run.name}</th>${[...events, ...numbers].join("")}</tr>`;
    }).join("");
  }

  function csv({ runs }) {
    const rows = runs.flatMap((run) => run.path.map((w, t) => [run.kind, run.depth, t, ...w, run.losses[t]]));
    return ["model,depth,iteration,w_1,w_2,loss", ...rows.map((row) => row.join(","))].join("\n") + "\n";
  }

  function attach(page) {
    const form = page.querySelector("form"), find = (name) => page.querySelector(`[data-part=${name}]`);
    const sliders = [...form.querySelectorAll("input[type=range]")];
    let shown = null, later = null;

    function show() {
      const at = { same: form.elements.same.checked };
      for (const it of sliders) at[it.name] = "log" in it.dataset ? 10 ** it.valueAsNumber : it.valueAsNumber;
      at.steps = Math.round(at.steps);
      form.elements.plain.disabled = at.same;
      for (const it of sliders) {
        const text = it.name === "steps" ? whole(at.steps) : short(at[it.name]);
        it.nextElementSibling.value = text;
        it.setAttribute("aria-valuetext", text); // of a logarithmic slider, not its exponent
      }
      shown = compute(at);
      drawPlane(find("plane"), shown);
      drawLosses(find("losses"), shown);
      fillTable(find("numbers"), shown.runs);
      page.querySelectorAll("[data-depth]").forEach((it) => (it.textContent = at.depth));
      page.querySelectorAll(".swatch.deep").forEach((it) => it.setAttribute("data-colour", at.depth));
      clearTimeout(later); // a moving slider is not read out at every stop
      later = setTimeout(() => (find("summary").textContent = sentence(shown)), 300);
    }

    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(show));
    form.addEventListener("click", ({ target }) => {
      if (!target.dataset.preset) return;
      form.reset();
      for (const [name, value] of new URLSearchParams(target.dataset.preset)) {
        if (name === "same") form.elements.same.checked = true;
        else form.elements[name].value = value;
      }
    });
    find("download").addEventListener("click", ({ currentTarget }) => {
      URL.revokeObjectURL(currentTarget.href);
      currentTarget.href = URL.createObjectURL(new Blob([csv(shown)], { type: "text/csv" }));
    });
    show();
  }

  const page = document.getElementById("two-points-live");
  if (page) attach(page);
})();
