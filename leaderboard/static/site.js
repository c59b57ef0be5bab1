// Sorting, filtering, theme and copy. Every page is complete without this script.
"use strict";

const root = document.documentElement;

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

function sortTable(table, column, direction) {
  const body = table.tBodies[0];
  const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
  // An entry without the value stays last in both directions.
  const rows = [...body.rows].sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    return direction * compare(x, y);
  });
  body.append(...rows);
  [...table.tHead.rows[0].cells].forEach((cell, i) => {
    if (!cell.querySelector("button")) return;
    cell.setAttribute("aria-sort", i !== column ? "none" : direction > 0 ? "ascending" : "descending");
  });
}

function setupSort(table, select) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((cell, column) => {
    const button = cell.querySelector("button");
    if (!button) return;
    button.disabled = false;
    button.addEventListener("click", () => {
      const first = cell.dataset.first === "descending" ? -1 : 1;
      const now = cell.getAttribute("aria-sort");
      const same = now === (first > 0 ? "ascending" : "descending");
      sortTable(table, column, same ? -first : first);
      if (select) select.value = String(column);
    });
  });
  select?.addEventListener("change", () => {
    const column = Number(select.value);
    sortTable(table, column, heads[column].dataset.first === "descending" ? -1 : 1);
  });
}

function setupFilter(table, input, output) {
  const rows = [...table.tBodies[0].rows];
  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    output.textContent = `${shown} of ${rows.length} ${rows.length === 1 ? "entry" : "entries"}`;
  };
  input.addEventListener("input", show);
  show();
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
  document.querySelectorAll("[data-board]").forEach((board) => {
    const table = board.querySelector("table");
    setupSort(table, board.querySelector("select"));
    const tools = board.querySelector(".tools");
    tools.hidden = false;
    setupFilter(table, tools.querySelector("input"), tools.querySelector("output"));
  });
});
