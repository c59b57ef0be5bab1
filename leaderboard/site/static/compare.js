// The compare page: paired differences of two entries, as benchmark/compare.py computes them.

// ln Gamma, Lanczos (1964) with g = 7, n = 9.
const LANCZOS = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
  -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];

function lnGamma(x) {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - lnGamma(1 - x);
  const t = x + 6.5;
  const sum = LANCZOS.slice(1).reduce((total, c, i) => total + c / (x + i), LANCZOS[0]);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

// Regularised incomplete beta function by its continued fraction (Lentz).
function incompleteBeta(x, a, b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(lnGamma(a + b) - lnGamma(a) - lnGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  let c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), value = d;
  for (let m = 1; m < 1000; m += 1) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    for (const k of [even, odd]) {
      d = 1 / (1 + k * d);
      c = 1 + k / c;
      value *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-16) break;
  }
  return front * value;
}

const twoSided = (t, df) => incompleteBeta(df / (df + t * t), df / 2, 0.5);

// The t for which twoSided is `level`, by bisection to the last bit.
function quantile(level, df) {
  let low = 0, high = 1;
  while (twoSided(high, df) > level) high *= 2;
  for (let i = 0; i < 200; i += 1) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (twoSided(middle, df) > level) low = middle; else high = middle;
  }
  return (low + high) / 2;
}

function estimate(value, terms, bounds, cells = 0) {
  const variance = terms === null ? 0 : terms.reduce((sum, [v]) => sum + v, 0);
  // The same difference everywhere: a sign test over combinations.
  if (!(variance > 1e-24)) return { value, ci: null, p: !terms || !cells ? null : value === 0 ? 1 : 2 ** (1 - cells) };
  const df = variance ** 2 / terms.reduce((sum, [v, n]) => sum + v ** 2 / n, 0);
  const error = Math.sqrt(variance), half = quantile(0.05, df) * error;
  const ci = [Math.max(value - half, bounds[0]), Math.min(value + half, bounds[1])];
  return { value, ci, p: twoSided(value / error, df) };
}

const minus = (first, second) => first.map((value, i) => value - second[i]);
const meanOf = (values) => values.reduce((a, b) => a + b, 0) / values.length;

// The parts of the variance of a mean over cells: values of every factor, then cells.
function cellTerms(each, design) {
  const mean = meanOf(each), off = each.map((value) => value - mean);
  const squares = design.groups.map((group, f) => {
    const sums = new Array(design.levels[f]).fill(0);
    group.forEach((value, i) => { sums[value] += off[i]; });
    return sums.reduce((total, v) => total + v * v, 0);
  });
  squares.push(off.reduce((total, v) => total + v * v, 0));
  return design.weights.map((row, i) => (
    [Math.max(0, row.reduce((total, w, k) => total + w * squares[k], 0)), design.levels[i] - 1]));
}

function blockTerm(each) {
  const mean = meanOf(each);
  return [each.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (each.length - 1) / each.length, each.length - 1];
}

// Of a difference: paired where both saw the same blocks.
function blockTerms(first, second) {
  const both = [first, second].filter((one) => one);
  return (both.length === 2 && first.length === second.length ? [minus(first, second)] : both).map(blockTerm);
}

// As guarded() in benchmark/statistics/intervals.py; null where a test would not hold.
function guarded(terms, runs, a, b, limits) {
  const bent = (p) => p * (1 - p);
  const errors = (one) => (one.mean > 0 && one.mean < 1
    ? bent(one.mean) / Math.max(one.spread, 1e-300) * Math.min(one.mean, 1 - one.mean) : one.spread > 0 ? 0 : Infinity);
  if (Math.min(errors(a), errors(b)) >= limits.few) return [...runs, ...terms];
  const common = (a.mean + b.mean) / 2;
  if (Math.min(common, 1 - common) < limits.end) return null;
  const cap = Math.min(...runs.map(([, , n]) => n - 1));
  const scaled = runs.map(([v, df, , one]) => [v * Math.max(1, bent(common) / Math.max(bent(one.mean), 1e-9)), df]);
  return [...scaled, ...terms].map(([v, df]) => [v, Math.min(df, cap)]);
}

function paired(a, b, design, bounds, limits) {
  const value = a.mean - b.mean;
  if (!(a.known && b.known)) return estimate(value, null, bounds);
  const shared = [...cellTerms(minus(a.cells, b.cells), design)];
  if (a.blocks && b.blocks) shared.push(...blockTerms(a.blocks, b.blocks));
  const runs = [a, b].filter((one) => one.seeds > 1).map((one) => [one.spread, one.seeds - 1, one.seeds, one]);
  const terms = limits ? guarded(shared, runs, a, b, limits) : [...runs, ...shared];
  return terms ? estimate(value, terms, bounds, a.cells.length) : { value, ci: null, p: null, declined: true };
}

function gapDifference(a, b, design) {
  const value = a.gap.mean - b.gap.mean;
  if (![a.id, a.ooc, b.id, b.ooc].every((one) => one.known)) return estimate(value, null, [-2, 2]);
  const runs = [a.gap, b.gap].filter((gap) => gap.seeds > 1).map((gap) => [gap.spread, gap.seeds - 1]);
  const cells = ["id", "ooc"].flatMap((split) => cellTerms(minus(a[split].cells, b[split].cells), design[split]));
  const pairs = ["id", "ooc"].map((split) => [a[split].blocks, b[split].blocks]);
  const apart = pairs.some(([x, y]) => x && y && x.length !== y.length);
  const blocks = apart ? [a, b].flatMap((one) => blockTerms(one.id.blocks, one.ooc.blocks))
    : blockTerms(...pairs.map(([x, y]) => (x && y ? minus(x, y) : null)));
  return estimate(value, [...runs, ...cells, ...blocks], [-2, 2]);
}

// Holm (1979): which of a group of differences are real.
function holm(found) {
  const order = found.map((one, i) => [one.p ?? 1, i]).sort((x, y) => x[0] - y[0]);
  const real = found.map(() => false);
  for (const [rank, [p, i]] of order.entries()) {
    if (found[i].p === null || p > 0.05 / (found.length - rank)) break;
    real[i] = true;
  }
  return real;
}

// Printed as on every other page: a half is rounded to the even digit.
function fixed(value, digits) {
  const scale = 10 ** digits, tie = Math.abs(value * scale) % 1 === 0.5 && Number.isInteger(value * 2 ** 20);
  const text = tie ? (2 * Math.round(value * scale / 2) / scale).toFixed(digits) : value.toFixed(digits);
  return /^-0(\.0*)?$/.test(text) ? text.slice(1) : text.replace("-", "\u2212");
}

const percent = (value) => fixed(100 * value, 1);
const signed = (text) => (/^0(\.0*)?$/.test(text) || text.startsWith("\u2212") ? text : `+${text}`);
const points = (value) => signed(percent(value));
const ratio = (value) => fixed(value, 3);
const probability = (p) => (p === null ? "—" : p < 0.001 ? "below 0.001" : fixed(p, 3));

function put(parent, tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== null) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.append(made);
  return made;
}

function contrastRows(body, rows, show, change) {
  const real = holm(rows.map((row) => row.found));
  body.replaceChildren(...rows.map(({ name, a, b, found }, i) => {
    const line = document.createElement("tr");
    put(line, "th", name, { scope: "row" });
    for (const value of [a, b]) put(line, "td", show(value), { class: "num" });
    put(line, "td", change(found.value), { class: "num main-number", "data-name": name });
    put(line, "td", found.ci ? found.ci.map(change).join(" to ") : "no interval", { class: "num" });
    put(line, "td", probability(found.p), { class: "num" });
    put(line, "td", found.p === null ? "not tested" : real[i] ? "told apart" : "not told apart");
    return line;
  }));
}

const MIN_SEEDS = 3;

function headline(a, b, data) {
  const few = Math.min(a.ooc.seeds, b.ooc.seeds) < MIN_SEEDS;
  const found = paired(a.ooc, b.ooc, data.design.ooc, [-1, 1], data.limits);
  if (a === b) return "This is the same entry twice.";
  const begin = `Out of combination, the first entry minus the second is ${points(found.value)} points`;
  if (found.declined) return `${begin}. Not tested: so near an end of the scale, with training runs that differ so much, a test would not hold its level.`;
  if (found.p !== null && !found.ci) return `${begin}, the same on every combination and in every run: there is no interval, and the test counts combinations.`;
  if (!found.ci) return `${begin}; with this many seeds or combinations there is no interval.`;
  const span = `${begin}, 95 % interval ${found.ci.map(points).join(" to ")}.`;
  if (few) return `${span} With fewer than ${MIN_SEEDS} seeds no test is made on the board.`;
  const apart = found.ci[0] > 0 || found.ci[1] < 0;
  return `${span} ${apart ? "Taken alone, the interval excludes zero; the last column of the table corrects for asking three questions." : "The interval includes zero: these data do not decide."}`;
}

function cellMap(target, data, a, b) {
  const all = ["id", "ooc"].flatMap((split) => data.cells[split].map((names, i) => (
    { names, out: split === "ooc", a: a[split].cells[i], b: b[split].cells[i] })));
  all.sort((x, y) => (x.a - x.b) - (y.a - y.b));
  const body = target.querySelector("tbody");
  body.replaceChildren(...all.map((cell) => {
    const line = document.createElement("tr");
    cell.names.forEach((name, i) => put(line, i ? "td" : "th", name, i ? {} : { scope: "row" }));
    put(line, "td", cell.out ? "OOC" : "ID");
    for (const value of [cell.a, cell.b]) put(line, "td", percent(value), { class: "num" });
    put(line, "td", points(cell.a - cell.b), { class: `num ${shade(cell.a - cell.b)}` });
    return line;
  }));
  const grid = document.getElementById("map");
  grid.hidden = data.factors.length !== 2;
  if (grid.hidden) return;
  const [rows, columns] = [0, 1].map((k) => [...new Set(all.map((cell) => cell.names[k]))].sort());
  const found = new Map(all.map((cell) => [JSON.stringify(cell.names), cell]));
  const head = document.createElement("tr");
  put(head, "td", "");
  for (const name of columns) put(head, "th", name, { scope: "col" });
  grid.querySelector("tbody").replaceChildren(head, ...rows.map((row) => {
    const line = document.createElement("tr");
    put(line, "th", row, { scope: "row" });
    for (const column of columns) {
      const cell = found.get(JSON.stringify([row, column]));
      const at = put(line, "td", cell ? points(cell.a - cell.b) : "", { class: "num" });
      if (cell) at.className = `num ${shade(cell.a - cell.b)}${cell.out ? " out" : ""}`;
      if (cell) at.title = `${row} × ${column}, ${cell.out ? "held out" : "in combination"}`;
    }
    return line;
  }));
}

const shade = (difference) => {
  const step = Math.min(4, Math.round(Math.abs(difference) * 8));
  return step === 0 ? "same" : `${difference > 0 ? "more" : "less"}${step}`;
};

function setupCompare() {
  const data = JSON.parse(document.getElementById("entries").textContent);
  const place = document.getElementById("comparison");
  const [first, second] = ["first", "second"].map((id) => document.getElementById(id));
  const bySlug = new Map(data.entries.map((entry) => [entry.slug, entry]));
  const show = () => {
    const a = bySlug.get(first.value), b = bySlug.get(second.value);
    document.getElementById("verdict").textContent = headline(a, b, data);
    contrastRows(document.getElementById("scores"), [
      { name: "OOC", a: a.ooc.mean, b: b.ooc.mean, found: paired(a.ooc, b.ooc, data.design.ooc, [-1, 1], data.limits) },
      { name: "ID", a: a.id.mean, b: b.id.mean, found: paired(a.id, b.id, data.design.id, [-1, 1], data.limits) },
      { name: "gap", a: a.gap.mean, b: b.gap.mean, found: gapDifference(a, b, data.design) },
    ], percent, points);
    const shared = Object.keys(a.factors).filter((name) => a.factors[name].metric === b.factors[name]?.metric);
    contrastRows(document.getElementById("factors"), shared.map((name) => {
      const [x, y] = [a.factors[name], b.factors[name]];
      return { name, a: x.mean, b: y.mean, found: paired(x, y, data.design.ooc, [-Infinity, Infinity], null) };
    }), ratio, (value) => signed(ratio(value)));
    cellMap(document.getElementById("cells"), data, a, b);
    document.getElementById("facts").replaceChildren(...Object.keys(a.facts).map((name) => {
      const line = document.createElement("tr");
      put(line, "th", name, { scope: "row" });
      for (const one of [a, b]) put(line, "td", one.facts[name], { class: "num" });
      put(line, "td", a.facts[name] === b.facts[name] ? "same" : "differs", { class: a.facts[name] === b.facts[name] ? "soft" : "strong" });
      return line;
    }));
    for (const [id, one] of [["first-page", a], ["second-page", b]]) {
      const link = document.getElementById(id);
      link.href = `../entries/${one.slug}.html`;
      link.textContent = one.name;
    }
  };
  const read = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const [select, name] of [[first, "a"], [second, "b"]]) {
      if (bySlug.has(asked.get(name))) select.value = asked.get(name);
    }
    show();
  };
  for (const select of [first, second]) {
    select.addEventListener("change", () => {
      history.replaceState(null, "", `#${new URLSearchParams({ a: first.value, b: second.value })}`);
      show();
    });
  }
  document.querySelector("[data-swap]").addEventListener("click", () => {
    [first.value, second.value] = [second.value, first.value];
    first.dispatchEvent(new Event("change"));
  });
  window.addEventListener("hashchange", read);
  second.selectedIndex = Math.min(1, data.entries.length - 1);
  place.hidden = false;
  read();
}

document.addEventListener("DOMContentLoaded", setupCompare);
