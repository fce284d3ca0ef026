/* The paper's ℓ2 experiment, computed live, and its ℓ4 experiment, replayed from the record. The data
   are in play-data.js, which the build writes; the training is a worker made from this file's text. */
(function () {
  "use strict";
  const { draw, chart, thinned, line, controls, least, most, whole, short } = window.accelCharts;
  const STEPS = 1e6, MANTISSAS = [1, 1.5, 2, 3, 4, 5, 7], DEPTHS = [1, 2, 3];
  /** Rates by the number of a slider: seven in a decade, those of the paper's grid among them. */
  const rateAt = (i) => Number(`${MANTISSAS[i % 7]}e${Math.floor(i / 7) - 5}`);
  const GRID = [1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1, 5e-1];

  /** Trains a deep linear network of width 1 by gradient descent on the ℓ2 loss, in the eigenbasis:
      distance Σ values_i (w_i − target_i)², w = first · product of the scalars. Calls `tell` with
      (iterations, distances) so far, and last with what ended it. Needs nothing from outside. */
  function train({ values, target, first, scalars, rate, steps }, tell) {
    const d = values.length, u = Float64Array.from(first), t = Float64Array.from(target);
    const twice = Float64Array.from(values, (it) => 2 * it), a = Float64Array.from(scalars);
    const at = [], distances = [];
    let next = 0, told = Date.now();
    for (let k = 0; ; k++) {
      let s = 1;
      for (let j = 0; j < a.length; j++) s *= a[j];
      if (k === next || k === steps) {
        let distance = 0;
        for (let i = 0; i < d; i++) distance += (twice[i] / 2) * (s * u[i] - t[i]) ** 2;
        if (!(distance < 1e24)) return tell(at, distances, "diverged");
        at.push(k);
        distances.push(distance);
        next = Math.max(k + 1, Math.round(k * 1.08));
        if (k === steps) return tell(at, distances, "completed");
        if (Date.now() - told > 150) tell(at, distances, null, (told = Date.now()));
      }
      let slope = 0; // dL/dw · first, before first moves
      const c = rate * s;
      for (let i = 0; i < d; i++) {
        const g = twice[i] * (s * u[i] - t[i]);
        slope += g * u[i];
        u[i] -= c * g;
      }
      if (a.length === 1) a[0] -= rate * slope;
      else {
        const old = a.slice();
        for (let j = 0; j < a.length; j++) {
          let others = 1;
          for (let i = 0; i < a.length; i++) if (i !== j) others *= old[i];
          a[j] -= rate * slope * others;
        }
      }
    }
  }

  const inWorker = `const train = ${train};
    onmessage = ({ data }) => train(data, (at, distances, end) => postMessage({ at, distances, end }));`;

  /** Curves on doubly logarithmic axes: [{x, y, kind, depth}]. */
  function drawCurves(svg, curves, floor) {
    const drawn = curves.map((it) => ({ ...it, points: it.x.map((x, i) => [x, it.y[i]]).filter(([x, y]) => x >= 1 && y > 0) }));
    const all = drawn.flatMap((it) => it.points.map((at) => at[1])).filter((it) => it < 1e3);
    const range = [Math.max(floor, least(all) / 1.5), most(all) * 1.5];
    const axes = chart(svg, { range: [1, STEPS], log: true, label: "iteration" }, { range, log: true, label: "distance to the optimum" }, { height: 320 });
    for (const { points, kind, depth } of drawn)
      if (points.length) draw(axes.inside, "path", { d: line(thinned(axes, points)), class: `run ${kind} ${depth ? `depth-${depth}` : ""}` });
  }

  const printedCurve = (data, depth) => ({ x: data.printed[depth][0], y: data.printed[depth][1], kind: "printed" });
  const sayRate = (name, value) => (name === "rate" ? short(rateAt(value)) : short(value));

  function attachLive(page, data) {
    const form = page.querySelector("form"), find = (name) => page.querySelector(`[data-part=${name}]`);
    let worker = null, later = null;

    function start() {
      const at = controls(form, sayRate), rate = rateAt(at.rate), began = performance.now();
      const model = data.problem.starts[at.depth][at.seed];
      const record = data.runs.find((it) => it.depth === at.depth && it.rate === rate && it.seed === at.seed);
      worker?.terminate();
      const address = URL.createObjectURL(new Blob([inWorker], { type: "text/javascript" }));
      worker = new Worker(address);
      page.dataset.state = "running";
      worker.onmessage = ({ data: { at: x, distances: y, end } }) => {
        const curves = [printedCurve(data, at.depth)];
        if (record) curves.push({ x: record.iteration, y: record.distance, kind: "recorded", depth: at.depth });
        drawCurves(find("curves"), [...curves, { x, y, kind: "now", depth: at.depth }], 1e-9);
        find("progress").value = x[x.length - 1] / STEPS;
        if (!end) return;
        const seconds = (performance.now() - began) / 1000, last = y[y.length - 1];
        Object.assign(page.dataset, { state: end, last, seconds, recorded: record?.last ?? "" });
        find("summary").textContent = end === "diverged"
          ? `Depth ${at.depth} at rate ${short(rate)} from start ${at.seed} diverges before iteration ${whole(x[x.length - 1] * 2 + 1)}.`
          : `Depth ${at.depth} at rate ${short(rate)} from start ${at.seed}: distance ${short(last)} after a million iterations, computed in ${short(seconds)} s.`;
        URL.revokeObjectURL(address);
      };
      worker.postMessage({ values: data.problem.values, target: data.problem.target, ...model, rate, steps: STEPS });
    }

    const soon = () => {
      controls(form, sayRate);
      clearTimeout(later);
      later = setTimeout(start, 150);
    };
    form.addEventListener("input", soon);
    form.addEventListener("reset", () => setTimeout(soon));
    form.addEventListener("submit", (event) => event.preventDefault());
    start();
  }

  /** How many of the starts survive at each rate of the grid, a line a depth. */
  function drawSurvival(svg, data, now) {
    const x = { range: [GRID[0] / 1.5, GRID[9] * 1.5], log: true, label: "learning rate" };
    const axes = chart(svg, x, { range: [-0.3, 5.5], ticks: [[0, "0"], [5, "5"]], label: "starts that survive" }, { height: 200 });
    draw(axes.inside, "path", { d: `M${axes.across(now.rate)} ${axes.top}V${axes.bottom}`, class: "cap" });
    for (const depth of DEPTHS) {
      const alive = GRID.map((rate) => data.runs.filter((it) => it.depth === depth && it.rate === rate && it.diverged === null).length);
      const pixels = alive.map((n, i) => [axes.across(GRID[i]), axes.up(n + 0.12 * (2 - depth))]);
      draw(axes.inside, "path", { d: line(pixels), class: `run depth-${depth} ${depth === now.depth ? "" : "faint"}` });
    }
  }

  function attachReplay(page, data) {
    const form = page.querySelector("form"), find = (name) => page.querySelector(`[data-part=${name}]`);
    function show() {
      const at = controls(form, (name, value) => short(name === "rate" ? GRID[value] : value));
      const rate = GRID[at.rate], runs = data.runs.filter((it) => it.depth === at.depth && it.rate === rate);
      const alive = runs.filter((it) => it.diverged === null), lost = runs.filter((it) => it.diverged !== null);
      const curves = runs.map((it) => ({ x: it.iteration, y: it.distance, kind: "now", depth: at.depth }));
      drawCurves(find("curves"), [printedCurve(data, at.depth), ...curves], 1e-9);
      drawSurvival(find("survival"), data, { depth: at.depth, rate });
      const ends = alive.map((it) => it.last).sort((a, b) => a - b);
      find("summary").textContent = `Depth ${at.depth} at rate ${short(rate)}: ${alive.length} of ${runs.length} starts survive a million iterations`
        + (ends.length ? `, at distances from ${short(ends[0])} to ${short(ends[ends.length - 1])}` : "")
        + (lost.length ? `; the others diverge by iteration ${whole(most(lost.map((it) => it.diverged)))}` : "") + ".";
      page.dataset.alive = alive.length;
    }
    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    show();
  }

  const pages = [["l2-live", attachLive, "l2"], ["l4-replay", attachReplay, "l4"]];
  for (const [id, attach, loss] of pages) {
    const page = document.getElementById(id);
    if (page && window.accelPlay) attach(page, window.accelPlay[loss]);
  }
})();
