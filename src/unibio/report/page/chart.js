"use strict";
// One panel, drawn by uPlot: curves with bands, points, lines across, on linear or logarithmic axes, and what is read.
const charts = (() => {
  const make = (tag, given = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(given)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name in element && name !== "list") element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };
  const swatch = (colour) => {
    const one = make("span", { className: "swatch", "aria-hidden": "true" });
    one.style.background = colour;
    return one;
  };
  const short = (value) => {
    if (value === null || value === undefined) return "–";
    const text = String(Number(value.toPrecision(3)));
    return value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? Number(text).toExponential() : text;
  };
  // A number, or the name of the nearest place where an axis has names and one is near enough.
  const told = (axis, value) => {
    if (!axis.ticks?.length || value === null || value === undefined) return short(value);
    const away = ([at]) => Math.abs(at - value);
    const best = axis.ticks.reduce((one, other) => (away(other) < away(one) ? other : one));
    return away(best) < (Number.isNaN(Number(best[1])) ? 0.45 : 1e-9) ? best[1] : short(value);
  };
  const numbers = (curves, names) => curves.flatMap((curve) => names.flatMap((name) => curve[name] ?? [])).filter(
    (value) => value !== null && Number.isFinite(value));
  // Whether a logarithmic axis can show them: nothing below zero, and something above.
  const positive = (curves, names) => {
    const found = numbers(curves, names);
    return found.some((value) => value > 0) && found.every((value) => value >= 0);
  };

  // The range as it was drawn while the axis is, too; else of all that there is, whatever is hidden at the moment.
  const range = (axis, log, curves, names) => {
    if (axis.range && log === axis.log) return axis.range;
    const found = numbers(curves, names).filter((value) => !log || value > 0);
    const low = found.reduce((a, b) => Math.min(a, b), Infinity);
    const high = found.reduce((a, b) => Math.max(a, b), -Infinity);
    if (!(low <= high)) return log ? [0.1, 1] : [0, 1];
    if (log) return [low / 1.2, high * 1.2];
    const room = 0.04 * (high - low || Math.abs(high) || 1);
    return [low - room, high + room];
  };

  // One x axis for all curves, every x as often as the curve that has it most often; undefined is skipped, null a gap.
  const aligned = (curves) => {
    const most = new Map();
    for (const { x } of curves) {
      const here = new Map();
      for (const at of x) here.set(at, (here.get(at) ?? 0) + 1);
      for (const [at, count] of here) most.set(at, Math.max(count, most.get(at) ?? 0));
    }
    const places = [...most.keys()].sort((a, b) => a - b);
    const first = new Map();
    let length = 0;
    for (const at of places) {
      first.set(at, length);
      length += most.get(at);
    }
    const column = (x, values, usable) => {
      const next = new Map(first);
      const found = new Array(length).fill(undefined);
      x.forEach((at, i) => {
        found[next.get(at)] = usable(values[i]);
        next.set(at, next.get(at) + 1);
      });
      return found;
    };
    return { places, x: places.flatMap((at) => new Array(most.get(at)).fill(at)), column };
  };

  // Places of a logarithmic axis: decades, and where there are few of them others between.
  const decades = ([low, high]) => {
    const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
    const span = Math.log10(high / low);
    if (span < 0.4) { // hardly curved
      const rough = (high - low) / 4;
      const power = 10 ** Math.floor(Math.log10(rough));
      const step = power * [1, 2, 5, 10].find((times) => times * power >= rough);
      const count = Math.floor(high / step) - Math.ceil(low / step) + 1;
      return Array.from({ length: count }, (_, i) => Number(((Math.ceil(low / step) + i) * step).toPrecision(6)));
    }
    const between = span < 1 ? [1, 2, 3, 5, 7] : span < 2 ? [1, 2, 5] : [1];
    const every = Math.max(1, Math.ceil(span / 6));
    const found = [];
    for (let power = first; power <= last; power += 1) {
      if (power % every === 0) found.push(...between.map((times) => Number(`${times}e${power}`)));
    }
    return found.filter((at) => at >= low && at <= high);
  };
  const axisOf = (axis, log, vertical, span, width) => {
    const given = {
      stroke: "#1c1c1c", font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", gap: 3,
      size: vertical ? 52 : 28, grid: { stroke: "#dddddd", width: 1 }, ticks: { stroke: "#888888", size: 4 },
      values: (_, places) => places.map((at) => (at === null ? "" : short(at))),
    };
    const cut = (text, most) => (text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text);
    const letters = (part) => Math.floor(part * width / 6.5); // that there is room for
    if (!vertical) {
      Object.assign(given, { label: cut(axis.label, letters(0.6)), labelSize: axis.label ? 18 : 0, space: 60 });
    }
    const named = axis.ticks?.filter(([at]) => !log || at > 0);
    if (named) {
      const texts = named.map(([, text]) => cut(text, letters(vertical ? 0.5 : 0.9 / named.length)));
      Object.assign(given, { splits: () => named.map(([at]) => at), values: () => texts });
      if (vertical) given.size = 16 + 6.5 * Math.max(...texts.map((text) => text.length));
    } else if (log) {
      given.splits = () => decades(span);
    }
    if (named || log) given.filter = (_, places) => places;
    return given;
  };

  // Lines that are no function of x, and those across the panel, which the library does not know.
  const drawOthers = (plot, curves) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const curve of curves) {
      ctx.strokeStyle = curve.colour;
      ctx.lineWidth = Math.max(1, curve.width) * devicePixelRatio;
      ctx.setLineDash((curve.dash ?? []).map((length) => length * ctx.lineWidth));
      ctx.beginPath();
      if (curve.kind === "path") {
        let pen = false;
        curve.x.forEach((x, i) => {
          const [left, top] = [plot.valToPos(x, "x", true), plot.valToPos(curve.y[i], "y", true)];
          const there = x !== null && curve.y[i] !== null && Number.isFinite(left) && Number.isFinite(top);
          if (there) pen ? ctx.lineTo(left, top) : ctx.moveTo(left, top);
          pen = there;
        });
      } else {
        const place = plot.valToPos(curve.at, curve.kind === "across" ? "y" : "x", true);
        const ends = curve.kind === "across" ? [[bbox.left, place], [bbox.left + bbox.width, place]]
          : [[place, bbox.top], [place, bbox.top + bbox.height]];
        if (Number.isFinite(place)) ends.forEach((end, i) => (i ? ctx.lineTo(...end) : ctx.moveTo(...end)));
      }
      ctx.stroke();
    }
    ctx.restore();
  };

  // What curves are at an x: each at its own nearest point, and none where it does not reach.
  const nearest = (curve, x, log) => {
    const place = (at) => (log ? Math.log(at) : at);
    let best = -1;
    curve.x.forEach((at, i) => {
      const away = Math.abs(place(at) - place(x));
      if (!Number.isNaN(away) && (best < 0 || away < Math.abs(place(curve.x[best]) - place(x)))) best = i;
    });
    return best;
  };
  const reaches = ({ x }, at, room) => x.length > 0 && at >= x[0] - room && at <= x.at(-1) + room;
  const read = (curves, axis, x, log, room) => curves.filter((curve) => reaches(curve, x, room)).map((curve) => {
    const at = nearest(curve, x, log);
    const wide = curve.low && curve.low[at] !== curve.high[at];
    const band = wide ? ` (${short(curve.low[at])} to ${short(curve.high[at])})` : "";
    return { curve, text: `${curve.name || "other lines"}: ${curve.y ? told(axis, curve.y[at]) : ""}${band}` };
  });

  // Draws `panel` into `host`, the curves that `shown` lets through. Returns what takes it away again.
  const draw = (host, panel, { logX, logY, bands, shown = () => true }) => {
    const all = panel.curves;
    const seen = all.filter(shown);
    const curves = seen.filter((curve) => curve.kind === "line" || curve.kind === "points");
    const { places, x, column } = aligned(curves);
    const ranges = { x: range(panel.x, logX, all, ["x"]), y: range(panel.y, logY, all, ["y", "low", "high"]) };
    const value = (one) => (one === null || (logY && one <= 0) ? null : one);
    const edge = (one) => (one === null ? null : logY ? Math.max(one, ranges.y[0] / 10) : one); // a band reaches zero
    const data = [logX ? x.map((at) => (at > 0 ? at : null)) : x];
    const series = [{}];
    const filled = [];
    for (const curve of curves) {
      if (bands && curve.low) {
        filled.push({ series: [series.length + 1, series.length], fill: `${curve.colour}33` });
        for (const name of ["low", "high"]) {
          series.push({ width: 0, points: { show: false } });
          data.push(column(curve.x, curve[name], edge));
        }
      }
      if (!curve.y) continue;
      const points = curve.kind === "points";
      series.push({
        stroke: curve.colour, width: points ? 0 : Math.max(1, curve.width),
        dash: (curve.dash ?? []).map((one) => one * curve.width),
        points: { show: points || Boolean(curve.dots), size: 6, fill: curve.colour, stroke: curve.colour },
        ...(points ? { paths: () => null } : {}),
      });
      data.push(column(curve.x, curve.y, value));
    }
    if (logX) { // what a logarithm does not know is left out of all columns
      const keep = data[0].map((at) => at !== null);
      data.forEach((values, i) => { data[i] = values.filter((_, j) => keep[j]); });
    }
    const canvas = make("div", { className: "canvas" });
    const output = make("div", { className: "read" });
    const slider = make("input", { type: "range", min: 0, step: 1, "aria-label": `Read at ${panel.x.label || "x"}` });
    const known = places.filter((at) => (!logX || at > 0) && at >= ranges.x[0] && at <= ranges.x[1]);
    slider.max = Math.max(0, known.length - 1);
    slider.disabled = !known.length;
    const show = (at) => {
      const said = read(curves, panel.y, at, logX, 0.1 * (logX ? at : ranges.x[1] - ranges.x[0]));
      const head = `${panel.x.label || "x"} = ${told(panel.x, at)}`;
      output.replaceChildren(make("b", { textContent: head }), ...said.map(
        ({ curve, text }) => make("span", {}, swatch(curve.colour), text)));
      slider.setAttribute("aria-valuetext", `${head}; ${said.map(({ text }) => text).join("; ")}`);
    };
    const size = () => {
      const width = Math.max(180, host.clientWidth);
      return { width, height: Math.round(Math.min(320, Math.max(190, 0.66 * width))) };
    };
    host.replaceChildren(canvas, slider, output);
    const plot = new uPlot({
      ...size(), series, bands: filled, legend: { show: false },
      cursor: { drag: { x: false, y: false, setScale: false }, points: { show: false }, y: false },
      scales: Object.fromEntries([["x", logX], ["y", logY]].map(
        ([name, log]) => [name, { time: false, auto: false, distr: log ? 3 : 1, range: () => ranges[name] }])),
      axes: [axisOf(panel.x, logX, false, ranges.x, size().width),
        axisOf(panel.y, logY, true, ranges.y, size().width)],
      hooks: {
        draw: [(one) => drawOthers(one, seen.filter((curve) => !curves.includes(curve)))],
        setCursor: [(one) => {
          if (one.cursor.left >= 0 && one.over.matches(":hover")) show(one.posToVal(one.cursor.left, "x"));
        }],
      },
    }, data, canvas);
    slider.addEventListener("input", () => {
      const at = known[slider.valueAsNumber];
      plot.setCursor({ left: plot.valToPos(at, "x"), top: 10 });
      show(at);
    });
    slider.value = Math.round(known.length / 2);
    if (known.length) show(known[slider.valueAsNumber]);
    const watcher = new ResizeObserver(() => plot.setSize(size()));
    watcher.observe(host);
    return () => { watcher.disconnect(); plot.destroy(); };
  };
  return { make, swatch, short, positive, draw };
})();
