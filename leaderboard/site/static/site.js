// Sorting, filtering, theme and copy. Every page is complete without this script.
"use strict";

const root = document.documentElement;
// Until its rows are chosen a board is not laid out: see .scripted in the style sheet.
root.classList.add("scripted");

function storedTheme() {
  try { return localStorage.getItem("recombine-theme"); } catch { return null; }
}

function keepTheme(theme) {
  try { localStorage.setItem("recombine-theme", theme); } catch { /* private mode: not kept */ }
}

const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";

if (["light", "dark"].includes(storedTheme())) root.dataset.theme = storedTheme();

function setupTheme(button) {
  const show = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    keepTheme(root.dataset.theme);
    show();
  });
  systemDark.addEventListener("change", show);
  show();
}

function compare(a, b) {
  const x = Number(a), y = Number(b);
  const numeric = a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y);
  return numeric ? x - y : a.localeCompare(b);
}

// A board: sorting, facets, columns and length, all of it kept in the address as
// "#board?sort=gflop-ascending&data=scratch&kind=generative,control&hide=seeds&all=1". Rows that are not
// shown are taken out of the page: a thousand of them would be laid out with every click. The style
// sheet hides what the facets exclude as well, for a page without this script.
const FIRST_ROWS = 100;

// A row stands for its own entry and for those with the same answers.
function entriesOf(rows) {
  return rows.reduce((sum, row) => sum + 1 + Number(row.dataset.alike ?? 0), 0);
}

const checkedOf = (boxes, checked) => boxes.filter(checked).map((box) => box.value).join(",");

class BoardView {
  constructor(board) {
    this.board = board;
    this.table = board.querySelector("table.board");
    this.heads = [...this.table.tHead.rows[0].cells];
    this.body = this.table.tBodies[0];
    this.rows = [...this.body.rows];
    this.names = new Map();
    const tools = board.querySelector(".tools");
    this.input = tools.querySelector("input[type=search]");
    this.select = tools.querySelector(".sorter select");
    this.output = tools.querySelector("output");
    this.more = tools.querySelector("[data-all]");
    this.boxes = [...tools.querySelectorAll("[data-column]")];
    this.facets = new Map();
    for (const box of tools.querySelectorAll("[data-facet]")) {
      const boxes = this.facets.get(box.dataset.facet) ?? [];
      this.facets.set(box.dataset.facet, [...boxes, box]);
    }
    this.start = { sort: "ooc-descending", q: "", all: "" };
    this.start.hide = checkedOf(this.boxes, (box) => !box.defaultChecked);
    for (const [name, boxes] of this.facets) this.start[name] = checkedOf(boxes, (box) => box.defaultChecked);
    this.state = { ...this.start };
    this.listen(tools);
    tools.querySelector(".scripted-tools").hidden = false;
    this.apply(this.fromAddress());
  }

  listen(tools) {
    this.heads.forEach((cell) => {
      const button = cell.querySelector(".sort");
      button.disabled = false;
      button.addEventListener("click", () => this.change({ sort: this.next(cell) }));
    });
    this.select.addEventListener("change", () => {
      const cell = this.heads[Number(this.select.value)];
      this.change({ sort: `${cell.dataset.key}-${cell.dataset.first}` });
    });
    this.input.addEventListener("input", () => this.change({ q: this.input.value }));
    this.more.addEventListener("click", () => this.change({ all: this.state.all ? "" : "1" }));
    for (const box of this.boxes) {
      box.addEventListener("change", () => this.change({ hide: checkedOf(this.boxes, (one) => !one.checked) }));
    }
    for (const [name, boxes] of this.facets) {
      for (const box of boxes) {
        box.addEventListener("change", () => this.change({ [name]: checkedOf(boxes, (one) => one.checked) }));
      }
    }
    window.addEventListener("hashchange", () => this.apply(this.fromAddress()));
    setupLink(tools.querySelector("[data-link]"), () => this.address());
  }

  next(cell) {
    const first = cell.dataset.first;
    const again = this.state.sort === `${cell.dataset.key}-${first}`;
    return `${cell.dataset.key}-${again ? (first === "ascending" ? "descending" : "ascending") : first}`;
  }

  fromAddress() {
    const [slug, query = ""] = decodeURI(location.hash.slice(1)).split("?");
    const found = slug === this.board.id ? new URLSearchParams(query) : new URLSearchParams();
    const state = { ...this.start };
    for (const name of Object.keys(state)) if (found.has(name)) state[name] = found.get(name);
    return state;
  }

  address() {
    const changed = Object.entries(this.state).filter(([name, value]) => value !== this.start[name]);
    const query = new URLSearchParams(changed).toString();
    return `#${this.board.id}${query ? `?${query}` : ""}`;
  }

  change(part) {
    this.apply({ ...this.state, ...part });
    history.replaceState(null, "", this.address());
  }

  apply(state) {
    const sorted = state.sort !== this.state.sort;
    this.state = state;
    if (this.input.value !== state.q) this.input.value = state.q;
    for (const [name, boxes] of this.facets) {
      const wanted = new Set(state[name].split(","));
      for (const box of boxes) box.checked = wanted.has(box.value);
    }
    if (sorted) this.sort();
    this.columns();
    this.show();
  }

  sort() {
    const [name, order] = this.state.sort.split("-");
    const column = this.heads.findIndex((cell) => cell.dataset.key === name);
    if (column < 0) return;
    const direction = order === "descending" ? -1 : 1;
    const keyed = this.rows.map((row) => [row.cells[column].dataset.sort, row]);
    // An entry without the value stays last in both directions.
    keyed.sort(([x], [y]) => (x === "" || y === "" ? (x === "") - (y === "") : direction * compare(x, y)));
    this.rows = keyed.map(([, row]) => row);
    this.heads.forEach((cell, i) => {
      cell.setAttribute("aria-sort", i !== column ? "none" : direction > 0 ? "ascending" : "descending");
    });
    this.select.value = String(column);
  }

  columns() {
    if (this.hiding === this.state.hide) return;
    this.hiding = this.state.hide;
    const hidden = new Set(this.hiding.split(","));
    this.boxes.forEach((box) => { box.checked = !hidden.has(box.value); });
    this.heads.forEach((cell, i) => {
      const off = hidden.has(cell.dataset.key);
      cell.hidden = off;
      for (const row of this.rows) row.cells[i].hidden = off;
    });
  }

  nameOf(row) {
    if (!this.names.has(row)) this.names.set(row, row.cells[0].textContent.toLowerCase());
    return this.names.get(row);
  }

  show() {
    const words = this.state.q.toLowerCase().split(/\s+/).filter(Boolean);
    // As in the style sheet: the values that are checked, or all where none is.
    const chosen = [...this.facets].map(([name, boxes]) => [
      name, new Set(boxes.filter((box) => box.checked).map((box) => box.value)),
    ]).filter(([, values]) => values.size);
    const fits = (row) => chosen.every(([name, values]) => values.has(row.dataset[name]))
      && words.every((word) => this.nameOf(row).includes(word));
    const matching = this.rows.filter(fits);
    const visible = matching.slice(0, this.state.all ? Infinity : FIRST_ROWS);
    this.body.replaceChildren(...visible);
    const total = entriesOf(this.rows), found = entriesOf(matching), shown = entriesOf(visible);
    const entries = total === 1 ? "entry" : "entries";
    this.output.textContent = shown < found ? `${shown} of ${found} shown, ${total} ${entries}` : `${found} of ${total} ${entries}`;
    this.more.hidden = matching.length <= FIRST_ROWS;
    this.more.textContent = this.state.all ? `Show the first ${FIRST_ROWS}` : `Show all ${found}`;
  }
}

function setupLink(button, address) {
  if (!button || !navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const link = location.href.split("#")[0] + address();
    try {
      await navigator.clipboard.writeText(link);
      button.textContent = "Link copied";
    } catch {
      history.replaceState(null, "", address());
      button.textContent = "The address bar holds the link";
    }
  });
}

function setupCopy(button) {
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select the text to copy it";
    }
  });
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-theme-toggle]").forEach(setupTheme);
  document.querySelectorAll("[data-copy]").forEach(setupCopy);
  for (const board of document.querySelectorAll("[data-board]")) {
    try { new BoardView(board); } finally { board.classList.add("ready"); }
  }
});
