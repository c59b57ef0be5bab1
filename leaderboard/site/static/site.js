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

// A board: sorting within each track, filter, columns and length, all of it kept in the address
// as "#board?sort=gflop-ascending&q=search&kind=control&hide=steps,seeds&all=1". Rows that are not shown
// are taken out of the page: a thousand of them would be laid out with every click.
const FIRST_ROWS = 100;

// A row stands for its own entry and for those with the same answers.
function entriesOf(rows) {
  return rows.reduce((sum, row) => sum + 1 + Number(row.dataset.alike ?? 0), 0);
}
const START = { sort: "ooc-descending", q: "", kind: "", hide: "steps,tried", all: "" };

class BoardView {
  constructor(board) {
    this.board = board;
    this.table = board.querySelector("table.board");
    this.heads = [...this.table.tHead.rows[0].cells];
    this.groups = [...this.table.tBodies].map((body) => {
      const rows = [...body.rows].slice(1);
      return { body, head: body.rows[0], rows };
    });
    this.texts = new Map();
    this.tools = board.querySelector(".tools");
    this.input = this.tools.querySelector("input[type=search]");
    this.select = this.tools.querySelector(".sorter select");
    this.kinds = this.tools.querySelector("[data-roles]");
    this.output = this.tools.querySelector("output");
    this.more = this.tools.querySelector("[data-all]");
    this.boxes = [...this.tools.querySelectorAll("input[type=checkbox]")];
    this.state = { ...START };
    this.listen();
    this.tools.hidden = false;
    this.apply(this.fromAddress());
  }

  listen() {
    this.heads.forEach((cell) => {
      const button = cell.querySelector("button");
      button.disabled = false;
      button.addEventListener("click", () => this.change({ sort: this.next(cell) }));
    });
    this.select.addEventListener("change", () => {
      const cell = this.heads[Number(this.select.value)];
      this.change({ sort: `${cell.dataset.key}-${cell.dataset.first}` });
    });
    this.input.addEventListener("input", () => this.change({ q: this.input.value }));
    this.kinds?.addEventListener("change", () => this.change({ kind: this.kinds.value }));
    this.more.addEventListener("click", () => this.change({ all: this.state.all ? "" : "1" }));
    this.boxes.forEach((box) => box.addEventListener("change", () => {
      this.change({ hide: this.boxes.filter((one) => !one.checked).map((one) => one.value).join(",") });
    }));
    window.addEventListener("hashchange", () => this.apply(this.fromAddress()));
    setupLink(this.tools.querySelector("[data-link]"), () => this.address());
  }

  next(cell) {
    const first = cell.dataset.first;
    const again = this.state.sort === `${cell.dataset.key}-${first}`;
    return `${cell.dataset.key}-${again ? (first === "ascending" ? "descending" : "ascending") : first}`;
  }

  fromAddress() {
    const [slug, query = ""] = decodeURI(location.hash.slice(1)).split("?");
    const found = slug === this.board.id ? new URLSearchParams(query) : new URLSearchParams();
    const state = { ...START };
    for (const name of Object.keys(state)) if (found.has(name)) state[name] = found.get(name);
    return state;
  }

  address() {
    const changed = Object.entries(this.state).filter(([name, value]) => value !== START[name]);
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
    if (this.kinds) this.kinds.value = state.kind;
    if (sorted) this.sort();
    this.columns();
    this.show();
  }

  sort() {
    const [name, order] = this.state.sort.split("-");
    const column = this.heads.findIndex((cell) => cell.dataset.key === name);
    if (column < 0) return;
    const direction = order === "descending" ? -1 : 1;
    const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
    for (const group of this.groups) {
      const keyed = group.rows.map((row) => [key(row), row]);
      // An entry without the value stays last in both directions.
      keyed.sort(([x], [y]) => (x === "" || y === "" ? (x === "") - (y === "") : direction * compare(x, y)));
      group.rows = keyed.map(([, row]) => row);
    }
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
      for (const group of this.groups) for (const row of group.rows) row.cells[i].hidden = off;
    });
  }

  text(group, row) {
    if (!this.texts.has(row)) this.texts.set(row, `${group.head.textContent} ${row.textContent}`.toLowerCase());
    return this.texts.get(row);
  }

  show() {
    const words = this.state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const limit = this.state.all ? Infinity : FIRST_ROWS;
    let total = 0, found = 0, shown = 0, matches = 0, rows = 0;
    for (const group of this.groups) {
      const fits = (row) => (!this.state.kind || row.dataset.role === this.state.kind)
        && words.every((word) => this.text(group, row).includes(word));
      const matching = group.rows.filter(fits);
      const visible = matching.slice(0, Math.max(0, limit - rows));
      total += entriesOf(group.rows);
      found += entriesOf(matching);
      shown += entriesOf(visible);
      matches += matching.length;
      rows += visible.length;
      group.body.hidden = visible.length === 0;
      group.body.replaceChildren(group.head, ...visible);
    }
    const entries = total === 1 ? "entry" : "entries";
    this.output.textContent = shown < found ? `${shown} of ${found} shown, ${total} ${entries}` : `${found} of ${total} ${entries}`;
    this.more.hidden = matches <= FIRST_ROWS;
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
