"use strict";
// What the reader may ask of numbers in the page: nothing is unpacked or drawn before it is asked for.
const explorers = (() => {
  const { make, swatch, positive, draw } = charts;

  // The numbers of a block, packed as base64 of zlib's bytes.
  const unpacked = async (block) => {
    const bytes = Uint8Array.from(atob(block.querySelector("script").textContent), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  };

  const group = (title, ...children) => make("fieldset", {}, make("legend", { textContent: title }), ...children);
  let groups = 0;
  const radios = (title, options, chosen, change) => {
    const name = `choice-${groups++}`;
    return group(title, ...options.map(([text, value, disabled]) => make("label", {}, make("input", {
      type: "radio", name, checked: value === chosen, disabled: Boolean(disabled), onchange: () => change(value),
    }), ` ${text}`)));
  };
  const ticked = (text, checked, change, ...before) => {
    const box = make("input", { type: "checkbox", checked, onchange: () => change(box.checked) });
    return [box, make("label", {}, box, ...before, ` ${text}`)];
  };

  // The curves of a figure: hide and isolate, bands, linear and logarithmic axes; each panel is read at a place along x.
  const curves = (host, { panels }) => {
    const every = panels.flatMap((panel) => panel.curves);
    const names = [...new Set(every.map((curve) => curve.name))];
    const state = { hidden: new Set(), bands: true };
    for (const axis of ["x", "y"]) state[axis] = panels.map((panel) => panel[axis].log);
    const places = panels.map((panel) => make("div", {
      className: "plot", role: "group", "aria-label": panel.title || panel.y.label || "panel",
    }));
    let drawn = [];
    const redraw = () => {
      drawn.forEach((remove) => remove());
      drawn = panels.map((panel, i) => draw(places[i], panel, {
        logX: state.x[i], logY: state.y[i], bands: state.bands, shown: (curve) => !state.hidden.has(curve.name),
      }));
      for (const [name, box, only] of rows) {
        box.checked = !state.hidden.has(name);
        const alone = box.checked && names.length > 1 && state.hidden.size === names.length - 1;
        only.setAttribute("aria-pressed", String(alone));
      }
    };
    const rows = names.map((name) => {
      const said = name || "other lines";
      const [box, label] = ticked(said, true, (on) => {
        state.hidden[on ? "delete" : "add"](name);
        redraw();
      }, swatch(every.find((curve) => curve.name === name).colour));
      const only = make("button", { type: "button", textContent: "only", "aria-label": `Only ${said}`, onclick: () => {
        const alone = only.getAttribute("aria-pressed") === "true";
        state.hidden = new Set(alone ? [] : names.filter((other) => other !== name));
        redraw();
      } });
      return [name, box, only, make("li", {}, label, only)];
    });
    const show = make("button", { type: "button", textContent: "all", "aria-label": "All curves", onclick: () => {
      state.hidden.clear();
      redraw();
    } });
    const scale = (axis, title, values) => {
      const can = (panel) => positive(panel.curves.filter((curve) => curve.kind !== "across"), values);
      const first = state[axis].every((log) => log === state[axis][0]) ? state[axis][0] : "drawn";
      const options = [["linear", false], ["logarithmic", true, !panels.some(can)]];
      if (first === "drawn") options.unshift(["as drawn", "drawn"]);
      return radios(title, options, first, (log) => {
        state[axis] = panels.map((panel) => (log === "drawn" ? panel[axis].log : log && can(panel)));
        redraw();
      });
    };
    const more = every.some((curve) => curve.low) ? [group("Bands", ticked("shown", true, (on) => {
      state.bands = on;
      redraw();
    })[1])] : [];
    host.append(
      make("div", { className: "controls" },
        group("Curves", make("ul", {}, ...rows.map(([, , , row]) => row)), show),
        scale("x", "Horizontal axis", ["x"]), scale("y", "Vertical axis", ["y", "low", "high"]), ...more),
      make("div", { className: "plots" }, ...panels.map((panel, i) => make("div", {},
        make("p", { className: "name" }, make("b", { textContent: panel.title }), ` ${panel.y.label}`), places[i]))));
    redraw();
  };

  const kinds = { curves };
  const start = () => {
    if (!("DecompressionStream" in window)) return; // an old browser, which has the pictures
    for (const block of document.querySelectorAll(".interactive")) {
      const host = make("div", { className: "explorer", hidden: true, id: `explorer-${block.dataset.number}` });
      const open = async () => {
        if (host.childElementCount) return;
        const { kind } = block.dataset;
        const data = await unpacked(block);
        if (!host.childElementCount) kinds[kind](host, data);
      };
      if (block.dataset.open !== undefined) {
        host.hidden = false;
        block.append(host);
        // Drawn when it comes into sight, since the page is read from its top.
        new IntersectionObserver((seen, watcher) => {
          if (!seen.some((one) => one.isIntersecting)) return;
          watcher.disconnect();
          open();
        }).observe(block);
        continue;
      }
      const button = make("button", {
        type: "button", textContent: "Explore the curves", "aria-expanded": "false", "aria-controls": host.id,
        "aria-label": `Explore the curves of ${block.dataset.title}`,
        onclick: async () => {
          host.hidden = !host.hidden;
          button.setAttribute("aria-expanded", String(!host.hidden));
          if (!host.hidden) await open();
        },
      });
      block.append(button, host);
    }
  };
  return { kinds, group, radios, start };
})();
