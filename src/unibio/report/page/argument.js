"use strict";
// The first figure's sliders, which stop at runs that were made: η for each p, and the cap on η for a comparison.
(() => {
  const { make, swatch, short, draw } = charts;
  const { kinds, group, radios } = explorers;
  const ranged = (label, last, at, change, ...before) => {
    const input = make("input", { type: "range", min: 0, step: 1, max: last, "aria-label": label });
    input.value = at;
    const said = make("output");
    input.addEventListener("input", () => change(input.valueAsNumber));
    const row = make("label", { className: "slid" }, make("span", {}, ...before, `${label} `, said), input);
    return { input, said, row };
  };

  // One problem: a slider from the steps that each p has for itself to one step for all, and a slider for each p.
  const problem = (data, state) => {
    const { groups } = data;
    const common = groups[0].values.filter((value) => groups.every((one) => one.values.includes(value)));
    const own = () => groups.map((one) => one.own[state.noise]);
    const every = (value) => groups.map((one) => one.values.indexOf(value));
    const known = own().includes(null) ? 0 : 1; // whether the slider begins with the own ones
    let chosen = data.equal || !known ? every(common[Math.min(data.same, common.length - 1)]) : own();
    const place = make("div", { className: "plot", role: "group", "aria-label": data.title });
    const averages = make("p", { className: "read averages" });
    const choose = (next) => { chosen = next; redraw(); };
    const all = ranged("η:", common.length - 1 + known, 0, (at) => choose(at < known ? own() : every(common[at - known])));
    const single = groups.map((one, i) => ranged(`η for ${one.name}`, one.values.length - 1, chosen[i],
      (at) => choose(chosen.map((old, j) => (i === j ? at : old))), swatch(one.colour)));
    let remove = () => {};
    const redraw = () => {
      const values = groups.map((one, i) => one.values[chosen[i]]);
      const curves = groups.map((one, i) => one.curves[state.noise][chosen[i]]);
      remove();
      // Wider lines lie below narrower ones, so that all are seen where they coincide.
      remove = draw(place, { x: data.x, y: data.y, curves: groups.map((one, i) => ({
        kind: "line", name: one.name, colour: one.colour, width: Math.max(1.2, 4.5 - 1.1 * i), ...curves[i],
      })) }, { logX: false, logY: data.y.log, bands: true });
      const found = curves.map((curve) => curve.average);
      const [low, high] = [Math.min(...found), Math.max(...found)];
      const equal = values.every((value) => value === values[0]);
      const head = equal ? `${values[0]} for every p`
        : chosen.every((at, i) => at === own()[i]) ? data.own : "one for each p";
      const ratio = found.includes(null) ? "" : `largest over least average: ${short(high / low)}`;
      const each = groups.map((one, i) => make("span", {}, swatch(one.colour),
        `${one.name}${equal ? "" : `, η = ${values[i]}`}: ${short(found[i])}`));
      averages.replaceChildren(make("b", { textContent: "averages" }), ...each, make("span", { textContent: ratio }));
      const told = `${head}; averages ${groups.map((one, i) => `${one.name} ${short(found[i])}`).join(", ")}; ${ratio}`;
      all.said.textContent = head;
      if (equal) all.input.value = common.indexOf(values[0]) + known;
      else if (head === data.own) all.input.value = 0;
      all.input.setAttribute("aria-valuetext", told);
      single.forEach(({ input, said }, i) => {
        input.value = chosen[i];
        said.textContent = values[i];
        input.setAttribute("aria-valuetext", `${values[i]}; ${told}`);
      });
    };
    redraw();
    const title = make("p", { className: "name" }, make("b", { textContent: data.title }), ` ${data.y.label}`);
    const details = make("details", {}, make("summary", { textContent: "η for each p" }), ...single.map(({ row }) => row));
    return { redraw, element: make("div", {}, title, all.row, place, averages, details) };
  };
  kinds.steps = (host, data) => {
    const state = { noise: 0 };
    const parts = data.problems.map((one) => problem(one, state));
    if (data.noises.length > 1) {
      host.append(make("div", { className: "controls" }, radios("Noise on the gradients of both levels",
        data.noises.map((name, at) => [name, at]), 0, (at) => {
          state.noise = at;
          parts.forEach(({ redraw }) => redraw());
        })));
    }
    host.append(make("div", { className: "plots" }, ...parts.map(({ element }) => element)));
    parts.forEach(({ redraw }) => redraw()); // what has room is known now
  };

  // Methods by the cap on η: the criterion against the cap, and the ranks at one cap.
  kinds.caps = (host, { caps, start, groups }) => {
    const state = { group: 0, cap: start };
    const place = make("div", { className: "plot", role: "group", "aria-label": "criterion by the cap on η" });
    const ranks = make("ol", { className: "ranks" });
    let remove = () => {};
    const slider = ranged("cap on η", caps.length - 1, start, (at) => { state.cap = at; redraw(); });
    const redraw = () => {
      const { methods } = groups[state.group];
      remove();
      remove = draw(place, {
        x: { label: "cap on η", log: true, range: [caps[0] / 1.1, caps.at(-1) * 1.1] },
        y: { label: "criterion", log: null },
        curves: [
          ...methods.map((one) => ({ kind: "line", name: one.name, colour: one.colour, x: caps, y: one.criterion,
            width: one.name === "UniBiO" ? 3 : 1.2 })),
          { kind: "upright", name: "", colour: "#777777", width: 1, dash: [4, 3], at: caps[state.cap] },
        ],
      }, { logX: true, logY: true, bands: false });
      const order = methods.map((one) => ({ ...one, at: one.criterion[state.cap], rank: one.rank[state.cap] }))
        .sort((a, b) => a.rank - b.rank || (a.at ?? Infinity) - (b.at ?? Infinity));
      ranks.replaceChildren(...order.map((one) => make("li", { value: one.rank }, swatch(one.colour),
        make(one.name === "UniBiO" ? "b" : "span", { textContent: one.name }), ` ${short(one.at)}`)));
      const own = order.find((one) => one.name === "UniBiO");
      slider.said.textContent = `${caps[state.cap]}${own ? `: UniBiO has rank ${own.rank} of ${order.length}` : ""}`;
      slider.input.setAttribute("aria-valuetext",
        `${caps[state.cap]}; ${order.map((one) => `${one.rank}. ${one.name} ${short(one.at)}`).join(", ")}`);
    };
    host.append(
      make("div", { className: "controls" }, radios("Exponent", groups.map(({ name }, at) => [name, at]), 0, (at) => {
        state.group = at;
        redraw();
      })),
      slider.row, make("div", { className: "plots" }, make("div", {}, place), make("div", {}, ranks)));
    redraw();
  };
})();
