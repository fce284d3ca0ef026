/* Two points to play with: the simulation, then its drawing. A classic script without any data of
   its own, so that the page also runs from a file. Formulas: accel_core.theory.two_points. */
(function () {
  "use strict";
  const { draw, chart, thinned, line, controls, least, most, whole, short } = window.accelCharts;
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

  /** The run up to `steps`, or if `brief` to the target: path and losses, and the iterations of
      arrival and of divergence. */
  function simulate(model, problem, rate, start, steps, brief) {
    const path = [start], losses = [loss(start, problem)];
    let state = model.start(start), reached = null, diverged = null;
    for (let t = 0; ; t++) {
      const r = residual(path[t], problem);
      const arrived = r.every((it, i) => Math.abs(it) <= TOLERANCE * problem.y[i]);
      if (arrived && reached === null) reached = t;
      if (t === steps || (brief && reached !== null)) break;
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

  /** Everything that is shown, from the values of the controls. The iterations go on until all
      models have reached the target, and a fifth more, up to the number asked for at most. */
  function compute(at) {
    const problem = { p: at.p, y: [at.ratio, 1] };
    const start = [at.scale * at.w1, at.scale * at.w2];
    const deep = at.rate * limit(problem, at.depth);
    const plain = at.same ? deep : at.plain * limit(problem, 1);
    const specs = [
      { kind: "plain", depth: 1, name: "depth 1", model: rule(1), rate: plain },
      { kind: "layers", depth: at.depth, name: `depth ${at.depth}, its layers`, model: layers(at.depth), rate: deep },
      { kind: "rule", depth: at.depth, name: `depth ${at.depth}, the rule of Claim 2`, model: rule(at.depth), rate: deep },
    ];
    const run = (spec, steps, brief) => simulate(spec.model, problem, spec.rate, start, steps, brief);
    const ends = specs.map((spec) => run(spec, at.steps, true).path.length);
    const steps = Math.min(at.steps, Math.max(10, Math.ceil(1.2 * most(ends))));
    return { at, problem, start, steps, runs: specs.map((spec) => ({ ...spec, ...run(spec, steps, false) })) };
  }

  /** The rates with which a model moves at iteration t along w and across it, and what one layer's
      rate would have to stay below at this point: 2 over the loss's largest curvature. */
  function effective(run, problem, t) {
    const w = run.path[Math.min(t, run.path.length - 1)];
    const across = run.rate * dot(w, w) ** (1 - 1 / run.depth);
    const curvature = (problem.p - 1) * most(residual(w, problem).map((r) => Math.abs(r) ** (problem.p - 2)));
    return { across, along: run.depth * across, cap: 2 / curvature };
  }

  // ---- drawing -----------------------------------------------------------------------------------
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const marked = (run) => `run ${run.kind} depth-${run.depth}`;

  /** A curve, faint as a whole; returns a function that draws it up to iteration t, with its dot. */
  function moving(axes, points, run) {
    const pixels = thinned(axes, points);
    draw(axes.inside, "path", { d: line(pixels), class: `${marked(run)} faint` });
    const bright = draw(axes.inside, "path", { class: marked(run) });
    const dot = draw(axes.inside, "circle", { r: 5, class: `dot depth-${run.depth}` });
    const cross = draw(axes.inside, "path", { class: "cross" });
    return (t) => {
      const n = pixels.findLastIndex((at) => at[2] <= t), [x, y] = pixels[n];
      bright.setAttribute("d", line(pixels.slice(0, n + 1)));
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", y);
      const [cx, cy] = [clamp(x, axes.left + 5, axes.right - 5), clamp(y, axes.top + 5, axes.bottom - 5)];
      const lost = run.diverged !== null && t >= run.diverged - 1;
      cross.setAttribute("d", lost ? `M${cx - 5} ${cy - 5}l10 10m0 -10l-10 10` : "");
    };
  }

  function drawPlane(svg, { problem, start, runs }) {
    const [y1, y2] = problem.y;
    const range = (y, i) => { // what the paths visit, but no more than three labels' worth each way
      const seen = runs.flatMap((run) => run.path.map((w) => clamp(w[i] / y, -1.5, 3)));
      return [Math.min(-0.1, start[i] / y, least(seen)) * 1.1 * y, Math.max(1.3, start[i] / y, most(seen)) * 1.05 * y];
    };
    const axes = chart(svg, { range: range(y1, 0), label: "w₁" }, { range: range(y2, 1), label: "w₂" }, { equal: true });
    const [x, y] = [axes.across(y1 * (1 - TOLERANCE)), axes.up(y2 * (1 + TOLERANCE))];
    const size = { width: axes.across(y1 * (1 + TOLERANCE)) - x, height: axes.up(y2 * (1 - TOLERANCE)) - y };
    draw(axes.inside, "rect", { x, y, ...size, class: "target" });
    draw(axes.inside, "circle", { cx: axes.across(start[0]), cy: axes.up(start[1]), r: 4, class: "start" });
    return runs.map((run) => moving(axes, run.path, run));
  }

  function drawLosses(svg, { runs, steps }) {
    const all = runs.flatMap((run) => run.losses);
    const highest = most(all) * 1.5, lowest = Math.max(least(all) / 1.5, highest * 1e-16);
    const x = { range: [1, steps + 1], log: true, label: "iteration + 1" }; // the start is on it, too
    const axes = chart(svg, x, { range: [lowest, highest], log: true, label: "loss" });
    return runs.map((run) => {
      const drawn = moving(axes, run.losses.map((value, t) => [t + 1, Math.max(value, lowest)]), run);
      if (run.reached !== null) {
        const at = { cx: axes.across(run.reached + 1), cy: axes.up(Math.max(run.losses[run.reached], lowest)) };
        draw(axes.inside, "circle", { ...at, r: 4, class: `reached depth-${run.depth}` });
      }
      return drawn;
    });
  }

  /** Bars of the effective rates; the line is what one layer's rate must stay below, now. */
  function drawBars(svg, { runs, problem, steps }) {
    const [plain, deep] = runs;
    const every = Array.from({ length: 200 }, (_, i) => Math.round((steps + 1) ** (i / 199)) - 1);
    const seen = every.flatMap((t) => [plain.rate, effective(plain, problem, t).cap, effective(deep, problem, t).across,
      effective(deep, problem, t).along]).filter((it) => it > 0 && it < Infinity);
    const low = Math.max(least(seen), most(seen) * 1e-6) / 2, rows = [["depth 1", 2.5], ["along w", 1.5], ["across", 0.5]];
    const axes = chart(svg, { range: [low, most(seen) * 2], log: true, label: "effective rate" }, { range: [0, 3], ticks: rows.map(([name, y]) => [y, name]) });
    const bars = rows.map(([, y], i) => draw(axes.inside, "rect",
      { x: axes.left, y: axes.up(y + 0.3), height: axes.up(y - 0.3) - axes.up(y + 0.3), class: `bar depth-${i ? deep.depth : 1}` }));
    const cap = draw(axes.inside, "path", { class: "cap" });
    return (t) => {
      const rates = [plain.rate, effective(deep, problem, t).along, effective(deep, problem, t).across];
      bars.forEach((bar, i) => {
        bar.setAttribute("width", Math.max(0, axes.across(Math.max(rates[i], low)) - axes.left));
        bar.dataset.rate = rates[i];
      });
      cap.dataset.rate = effective(plain, problem, t).cap;
      cap.setAttribute("d", `M${axes.across(Math.max(Number(cap.dataset.rate), low))} ${axes.top}V${axes.bottom}`);
    };
  }

  // ---- the page: controls in, numbers out --------------------------------------------------------
  function sentence({ runs, at, steps }) {
    const fate = ({ name, reached, diverged }) =>
      `${name}: ` + (reached !== null ? `target reached at iteration ${whole(reached)}`
        : diverged !== null ? `diverged at iteration ${whole(diverged)}`
          : `target not reached in ${whole(steps)} iterations`);
    const [plain, deep] = runs;
    const speed = deep.reached <= plain.reached
      ? `${short(plain.reached / deep.reached)} times as fast` : `${short(deep.reached / plain.reached)} times slower`;
    const both = plain.reached > 0 && deep.reached > 0 && at.depth > 1;
    return `${[plain, deep].map(fate).join("; ")}.${both ? ` Depth ${at.depth} is ${speed}.` : ""}`.replace(/^d/, "D");
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
    const time = find("time"), play = find("play"), calm = matchMedia("(prefers-reduced-motion: reduce)");
    let shown = null, later = null, parts = [], timer = null;

    function move() { // to the iteration that the scrubber stands at, on a logarithmic scale
      const t = Math.round((shown.steps + 1) ** time.valueAsNumber) - 1;
      parts.forEach((part) => part(t));
      page.dataset.time = t;
      time.setAttribute("aria-valuetext", `iteration ${whole(t)} of ${whole(shown.steps)}`);
      find("when").value = `iteration ${whole(t)} of ${whole(shown.steps)}`;
    }

    function show() {
      const at = controls(form, (name, value) => (name === "steps" ? whole(Math.round(value)) : short(value)));
      at.steps = Math.round(at.steps);
      form.elements.plain.disabled = at.same;
      shown = compute(at);
      page.dataset.steps = shown.steps;
      const seen = { ...shown, runs: shown.runs.slice(0, at.both ? 3 : 2) };
      parts = [...drawPlane(find("plane"), seen), ...drawLosses(find("losses"), seen), drawBars(find("bars"), seen)];
      fillTable(find("numbers"), shown.runs);
      page.querySelectorAll("[data-depth]").forEach((it) => (it.textContent = at.depth));
      page.querySelectorAll(".swatch.deep").forEach((it) => it.setAttribute("data-colour", at.depth));
      find("rule").hidden = !at.both;
      move();
      clearTimeout(later); // a moving slider is not read out at every stop
      later = setTimeout(() => (find("summary").textContent = sentence(shown)), 300);
    }

    function stop() {
      clearInterval(timer);
      timer = null;
      play.textContent = "Play";
    }

    function start() { // six seconds; twelve still pictures for those who want no motion
      if (time.valueAsNumber >= 1) time.value = 0;
      const step = calm.matches ? 1 / 12 : 1 / 180;
      timer = setInterval(() => {
        time.value = Math.min(1, time.valueAsNumber + step);
        move();
        if (time.valueAsNumber >= 1) stop();
      }, calm.matches ? 500 : 33);
      play.textContent = "Pause";
    }

    form.addEventListener("input", ({ target }) => (target === time ? (stop(), move()) : show()));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => (stop(), show())));
    play.addEventListener("click", () => (timer === null ? start() : stop()));
    form.addEventListener("click", ({ target }) => {
      if (target.dataset.preset === undefined) return;
      form.reset();
      for (const [name, value] of new URLSearchParams(target.dataset.preset)) {
        const control = form.elements[name];
        if (control.type === "checkbox") control.checked = true;
        else control.value = value;
      }
    });
    find("download").addEventListener("click", ({ currentTarget }) => {
      URL.revokeObjectURL(currentTarget.href);
      currentTarget.href = URL.createObjectURL(new Blob([csv(shown)], { type: "text/csv" }));
    });
    addEventListener("resize", show);
    show();
  }

  const page = document.getElementById("two-points-live");
  if (page) attach(page);
})();
