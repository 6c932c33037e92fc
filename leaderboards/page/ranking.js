// Sorting and filtering of the tables that stand in the page already, and the bars of the rows that are shown.
const FILTERS = ["task", "axis", "base", "method"];
const PLAIN_KEYS = ["rank", "variant", "n", "trained", "licence", "proof"];
const MOST = 150; // rows of a table that are shown before more are asked for

const metricPlace = (metric) => Object.keys(board.metrics).indexOf(metric);
const wanted = (name) => (name === "task" && !state.task ? (board.tables.length > 3 ? board.tables[0].task : "*") : state[name] || "*");
const tableShown = (table) => ["task", "axis"].every((name) => wanted(name) === "*" || wanted(name) === table[name]);
const rowShown = (row) => ["base", "method"].every((name) => wanted(name) === "*" || wanted(name) === (row[name] ?? ""));

function sortValue(row, key) {
  if (key === "rank") return row.place;
  if (PLAIN_KEYS.includes(key)) return row[key] ?? null;
  const packed = row.metrics[metricPlace(key)];
  return typeof packed === "string" ? null : packed[0];
}

// The rows in the order wanted; what is undefined comes last, whatever the direction.
function sorted(rows, key, descending) {
  const keyed = rows.map((row) => [sortValue(row, key), row]);
  keyed.sort(([one, a], [other, b]) => {
    if (one === null || other === null) return (one === null) - (other === null) || a.place - b.place;
    const order = typeof one === "number" ? one - other : one < other ? -1 : one > other ? 1 : 0;
    return (descending ? -order : order) || a.place - b.place;
  });
  return keyed.map(([, row]) => row);
}

// The interval as a line and the value as a tick; of a gap the area of chance alone, of an accuracy the mark of guessing.
function bar(packed, scale, guess) {
  const at = (value) => Math.round(Math.max(0, Math.min(1, value / scale)) * 100);
  const [value, low, high, , p95] = packed;
  const mark = p95 !== null && p95 !== undefined ? ["c", p95] : guess ? ["g", guess] : null;
  const line = low === null || low === undefined ? "" : `M${at(low)} 5h${Math.max(at(high) - at(low), 1)}`;
  return draw(
    "svg", { "aria-hidden": "true" }, mark && draw("path", { class: mark[0], d: `M${at(mark[1])} 0v10H0V0` }),
    draw("path", { d: `${line}M${at(value)} 1v8` }),
  );
}

function drawBars(table, row) {
  if (row.drawn) return;
  row.drawn = true;
  for (const { column, scale, metric } of table.scales) {
    const packed = row.metrics[metricPlace(metric)];
    if (typeof packed !== "string") row.lines[0].children[column].append(bar(packed, scale, metric === "accuracy" && 1000 / row.classes));
  }
}

// The rates of all rows side by side, made when they are asked for.
function fillRates(table) {
  const details = table.section.querySelector(".rates");
  if (!details || details.children.length > 1) return;
  const groups = [...new Set(table.rows.flatMap((row) => row.groups.map((entry) => entry[0])))];
  const lines = table.rows.map((row) => [
    rowHead(row.variant),
    groups.map((name) => {
      const entry = row.groups.find((one) => one[0] === name);
      return [6, 7, 8].map((place) => estimateCell(entry ? entry[place] : "not asked"));
    }),
  ]);
  const header = ["variant", ...groups.flatMap((name) => ["selection rate", "TPR", "FPR"].map((rate) => `${name}: ${rate}`))];
  details.append(makeTable(`Rates of each group on ${table.title}, with 95% intervals`, header, lines, "groups"));
}

// The direction in which a column is sorted first: the best on top.
const startsDescending = (key) => key === "n" || board.better[key] === true;

function pressed(key) {
  const now = state.sort || "rank";
  const same = now.replace("-", "") === key;
  change({ sort: ((same ? !now.startsWith("-") : startsDescending(key)) ? "-" : "") + key });
}

function enhanceTable(table) {
  table.section = document.querySelector(`[data-table="${table.number}"]`);
  table.bodies = [...table.section.querySelectorAll("tbody")];
  table.rows.forEach((row) => (row.lines = table.bodies.map((body) => body.children[row.place])));
  table.heads = [...table.section.querySelectorAll(".ranking thead th")];
  table.scales = [];
  table.heads.forEach((head, column) => {
    const { key, scale } = head.dataset;
    const label = head.firstChild;
    head.replaceChild(make("button", { type: "button", onclick: () => pressed(key) }, label.cloneNode()), label);
    if (!scale) return;
    table.scales.push({ column, scale: 1000 * Number(scale), metric: key });
    if (Number(scale) < 1) head.querySelector("small").append(`; bar to ${scale}`);
  });
  table.more = make("button", { type: "button", hidden: true, onclick: () => ((table.all = true), updateRanking()) });
  table.bodies[0].closest(".scroll").after(table.more);
  table.bodies[0].addEventListener("click", (event) => {
    const line = event.target.closest("th a") && event.target.closest("tr");
    if (!line) return;
    event.preventDefault();
    const row = table.rows.find((one) => one.lines[0] === line);
    change({ row: row.variant, of: table.title }, true);
  });
  const details = table.section.querySelector(".rates");
  if (!details) return;
  details.hidden = false;
  details.addEventListener("toggle", () => fillRates(table));
}

function showRows(table, key, descending) {
  const order = sorted(table.rows, key, descending);
  const fitting = order.filter(rowShown);
  const shown = new Set(table.all ? fitting : fitting.slice(0, MOST));
  for (const row of order) {
    row.lines.forEach((line) => line.hidden !== !shown.has(row) && (line.hidden = !shown.has(row)));
    if (shown.has(row)) drawBars(table, row);
  }
  if (order.some((row, place) => row !== table.order[place])) {
    table.bodies.forEach((body, which) => body.append(...order.map((row) => row.lines[which])));
    table.order = order;
  }
  table.heads.forEach((head) => head.removeAttribute("aria-sort"));
  const head = table.heads.find((one) => one.dataset.key === key);
  if (head) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  table.more.textContent = `Show all ${fitting.length} rows (the first ${MOST} are shown)`;
  table.more.hidden = shown.size === fitting.length;
  return fitting.length;
}

function filterForm() {
  const values = { task: board.tables, axis: board.tables, base: board.rows, method: board.rows };
  const fields = FILTERS.map((name) => {
    const found = [...new Set(values[name].map((one) => one[name] ?? ""))].sort();
    if (found.length < 2) return "";
    const options = [["*", `all (${found.length})`], ...found.map((value) => [value, value || "not known"])];
    return choice(name[0].toUpperCase() + name.slice(1), name, options, wanted(name), (value) => change({ [name]: value }));
  });
  const keys = [["rank", "rank"], ["variant", "name"], ["-accuracy", "accuracy"], ["accuracy_spread", "spread"], ["dpd", "DPD"], ["eod", "EOD"], ["trained", "trained parameters"]];
  const sort = state.sort || "rank";
  if (!keys.some(([key]) => key === sort)) keys.push([sort, `${sort.replace("-", "").replaceAll("_", " ")}, reversed`]);
  const reset = make("button", { type: "button", onclick: () => change({ task: "", axis: "", base: "", method: "", sort: "" }) }, "Reset");
  show(by("filters"), ...fields.filter(Boolean), choice("Sort by", "sort", keys, sort, (value) => change({ sort: value })), reset);
}

function updateRanking() {
  filterForm();
  const told = (state.sort || "rank").replace("-", "");
  const known = told in board.metrics || PLAIN_KEYS.includes(told);
  let rows = 0;
  for (const table of board.tables) {
    table.section.hidden = !tableShown(table);
    if (!table.section.hidden) rows += showRows(table, known ? told : "rank", known && (state.sort || "").startsWith("-"));
  }
  by("count").textContent = `${rows} of ${board.rows.length} rows`;
  by("count").hidden = false;
}
