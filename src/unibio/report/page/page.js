"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  document.documentElement.classList.add("js");

  // Sorting: a button in every header; a third press brings back the order of the report.
  const numberIn = (text) => {
    const plain = text.replaceAll("−", "-").trim();
    if (plain === "never") return Infinity;
    const found = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?(?![\w.])/i.exec(plain);
    return found ? parseFloat(found[0]) : NaN;
  };
  const blank = (text) => text === "" || text === "–";
  const comparison = (texts) => {
    const said = texts.filter((text) => !blank(text));
    const numeric = said.every((text) => !Number.isNaN(numberIn(text)));
    return (a, b) => {
      if (blank(a) || blank(b)) return 0;
      if (!numeric) return a.localeCompare(b, "en", { numeric: true });
      const [x, y] = [numberIn(a), numberIn(b)];
      return x < y ? -1 : x > y ? 1 : 0;
    };
  };
  const sort = (table, column, direction) => {
    const body = table.tBodies[0];
    const rows = all("tr", body).sort((a, b) => a.dataset.at - b.dataset.at);
    if (direction) {
      const text = (row) => row.cells[column].textContent.trim();
      const compare = comparison(rows.map(text));
      rows.sort((a, b) => blank(text(a)) - blank(text(b)) || direction * compare(text(a), text(b)));
    }
    body.append(...rows);
  };
  for (const table of all("table")) {
    const headers = all("thead th", table);
    all("tbody tr", table).forEach((row, at) => { row.dataset.at = at; });
    headers.forEach((header, column) => {
      if (!header.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: null }[header.getAttribute("aria-sort")];
        const order = next === undefined ? "ascending" : next;
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        if (order) header.setAttribute("aria-sort", order);
        sort(table, column, { ascending: 1, descending: -1 }[order] ?? 0);
      });
    });
  }

  // Filtering by the values of some columns, few as buttons and many as a list, and by words.
  const MOST_BUTTONS = 10;
  for (const table of all("table[data-filter]")) {
    const rows = all("tbody tr", table);
    const value = (row, column) => row.cells[column].textContent.trim();
    const count = document.createElement("span");
    count.setAttribute("role", "status");
    const search = document.createElement("input");
    search.type = "search";
    search.placeholder = "Search";
    search.setAttribute("aria-label", "Search the table");
    const asButtons = (bar, options, choose) => {
      for (const [of, label] of options) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = label;
        button.addEventListener("click", () => choose(of));
        bar.append(button);
      }
      return (chosen) => options.forEach(([of], at) => {
        bar.querySelectorAll("button")[at].setAttribute("aria-pressed", String(of === chosen));
      });
    };
    const asList = (bar, options, choose, named) => {
      const list = document.createElement("select");
      list.setAttribute("aria-label", named);
      list.append(...options.map(([, label], at) => new Option(label, at)));
      list.addEventListener("change", () => choose(options[list.value][0]));
      bar.append(list);
      return (chosen) => { list.value = options.findIndex(([of]) => of === chosen); };
    };
    const filters = table.dataset.filter.split(" ").map(Number).map((column) => {
      const name = table.tHead.rows[0].cells[column].textContent.trim();
      const bar = document.createElement("div");
      bar.className = "filter";
      bar.setAttribute("role", "group");
      bar.setAttribute("aria-label", `Filter by ${name}`);
      table.parentElement.before(bar);
      const values = rows.map((row) => value(row, column));
      const each = [...new Set(values)].map((of) => [of, `${of} ${values.filter((one) => one === of).length}`]);
      const filter = { column, bar, chosen: null };
      const choose = (of) => { filter.chosen = of; apply(); };
      const few = each.length <= MOST_BUTTONS;
      const options = [[null, few ? `all ${rows.length}` : `${name}: all ${rows.length}`], ...each];
      filter.show = (few ? asButtons : asList)(bar, options, choose, `Filter by ${name}`);
      return filter;
    });
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        const out = filters.some(({ column, chosen }) => chosen !== null && value(row, column) !== chosen);
        row.hidden = out || !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      count.textContent = `${shown} of ${rows.length}`;
      filters.forEach(({ show, chosen }) => show(chosen));
    };
    // A link to a row that a filter hides shows it nevertheless.
    table.addEventListener("unfold", () => {
      filters.forEach((filter) => { filter.chosen = null; });
      search.value = "";
      apply();
    });
    search.addEventListener("input", apply);
    filters.at(-1).bar.append(search, count);
    apply();
  }

  // Copying commands, where the browser lets a page do that.
  if (navigator.clipboard) {
    for (const block of all("pre")) {
      const around = document.createElement("div");
      around.className = "copied";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(block.textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
      block.before(around);
      around.append(block, button);
    }
  }

  // The contents: open where there is room, closed after a choice where there is not; the present section is marked.
  const contents = document.querySelector("nav details");
  const narrow = matchMedia("(max-width: 69.99rem)");
  const fit = () => { contents.open = !narrow.matches; };
  narrow.addEventListener("change", fit);
  fit();
  const links = all("a", contents);
  for (const link of links) link.addEventListener("click", fit);
  const places = links.map((link) => document.getElementById(decodeURIComponent(link.hash.slice(1))));
  const mark = () => {
    const at = places.findLastIndex((place) => place.getBoundingClientRect().top < innerHeight / 4);
    links.forEach((link, i) => (i === at ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });
  mark();

  // A link into something folded unfolds it; so does printing, for as long as it lasts.
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const around = target?.closest("main details");
    if (target?.closest("tr")?.hidden) target.closest("table").dispatchEvent(new Event("unfold"));
    if (around && !around.open) {
      around.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", unfold);
  unfold();
  let folded = [];
  addEventListener("beforeprint", () => {
    all("img").forEach((one) => { one.loading = "eager"; });
    folded = all("main details:not([open])");
    folded.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((one) => { one.open = false; }));
})();
