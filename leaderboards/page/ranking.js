// Sorting and filtering of the tables that stand in the page already.
const FILTERS = ["task", "axis", "base", "method"];

function sortValue(row, key) {
  if (key === "rank") return row.place;
  if (key === "n" || key === "variant") return row[key];
  if (key === "trained" || key === "licence" || key === "proof") return row[key] ?? null;
  const packed = row.metrics[Object.keys(board.metrics).indexOf(key)];
  return typeof packed === "string" ? null : packed[0];
}

function sortRanking(key, descending) {
  const sign = descending ? -1 : 1;
  for (const table of board.tables) {
    const keyed = table.rows.map((row) => [sortValue(row, key), row]);
    keyed.sort(([one, a], [other, b]) => {
      if (one === null || other === null) return (one === null) - (other === null) || a.place - b.place;
      const order = typeof one === "number" ? one - other : one < other ? -1 : one > other ? 1 : 0;
      return sign * order || a.place - b.place;
    });
    table.body.append(...keyed.map(([, row]) => row.lines[0]));
  }
  for (const head of document.querySelectorAll(".ranking thead th")) {
    if (head.dataset.key === key) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
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

function drawBars(table) {
  if (table.drawn) return;
  table.drawn = true;
  const names = Object.keys(board.metrics);
  table.section.querySelectorAll(".ranking thead th").forEach((head, column) => {
    if (!head.dataset.scale) return;
    const place = names.indexOf(head.dataset.key);
    const scale = 1000 * Number(head.dataset.scale);
    if (scale < 1000) head.querySelector("small").append(`; bar to ${head.dataset.scale}`);
    for (const row of table.rows) {
      const packed = row.metrics[place];
      if (typeof packed !== "string") row.lines[0].children[column].append(bar(packed, scale, head.dataset.key === "accuracy" && 1000 / row.classes));
    }
  });
}

// The rates of all rows side by side, made when they are asked for.
function fillRates(table) {
  const details = table.section.querySelector(".rates");
  if (!details || details.children.length > 1) return;
  const groups = [...new Set(table.rows.flatMap((row) => row.groups.map((entry) => entry[0])))];
  const lines = table.rows.map((row) => [
    make("th", { scope: "row" }, row.variant),
    groups.map((name) => {
      const entry = row.groups.find((one) => one[0] === name);
      return [6, 7, 8].map((place) => estimateCell(entry ? entry[place] : "not asked"));
    }),
  ]);
  const header = ["variant", ...groups.flatMap((name) => ["selection rate", "TPR", "FPR"].map((rate) => `${name}: ${rate}`))];
  details.append(makeTable("Rates of each group, with 95% intervals", header, lines, "groups"));
}

// The direction in which a column is sorted first: the best on top.
const startsDescending = (key) => key === "n" || board.better[key] === true;

function enhanceRanking() {
  for (const table of board.tables) {
    table.section = document.querySelector(`[data-table="${table.number}"]`);
    const bodies = [...table.section.querySelectorAll("tbody")];
    table.body = bodies[0];
    table.rows.forEach((row) => (row.lines = bodies.map((body) => body.children[row.place])));
    for (const head of table.section.querySelectorAll(".ranking thead th")) {
      const key = head.dataset.key;
      const label = head.firstChild;
      const pressed = () => {
        const same = (state.sort || "rank").replace("-", "") === key;
        const descending = same ? !state.sort.startsWith("-") : startsDescending(key);
        change({ sort: (descending ? "-" : "") + key });
      };
      head.replaceChild(make("button", { type: "button", onclick: pressed }, label.cloneNode()), label);
    }
    const details = table.section.querySelector(".rates");
    if (details) {
      details.hidden = false;
      details.addEventListener("toggle", () => fillRates(table));
    }
    table.rows.forEach((row) =>
      row.lines[0].querySelector("a").addEventListener("click", (event) => {
        event.preventDefault();
        change({ row: row.variant, of: table.title }, true);
      }),
    );
  }
}

const wanted = (name) => (name === "task" && !state.task ? (board.tables.length > 3 ? board.tables[0].task : "*") : state[name] || "*");
const tableShown = (table) => ["task", "axis"].every((name) => wanted(name) === "*" || wanted(name) === table[name]);
const rowShown = (row) => ["base", "method"].every((name) => wanted(name) === "*" || wanted(name) === (row[name] ?? ""));

function filterRanking() {
  let rows = 0;
  for (const table of board.tables) {
    table.section.hidden = !tableShown(table);
    if (!table.section.hidden) drawBars(table);
    for (const row of table.rows) {
      const shown = rowShown(row);
      rows += shown && !table.section.hidden;
      row.lines.forEach((line) => (line.hidden = !shown));
    }
  }
  by("count").textContent = `${rows} of ${board.rows.length} rows shown`;
  by("count").hidden = false;
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
  if (!keys.some(([key]) => key === sort)) keys.push([sort, sort.replace("-", "").replaceAll("_", " ")]);
  const reset = make("button", { type: "button", onclick: () => change({ task: "", axis: "", base: "", method: "", sort: "" }) }, "Reset");
  show(by("filters"), ...fields.filter(Boolean), choice("Sort by", "sort", keys, sort, (value) => change({ sort: value })), reset);
}

function updateRanking() {
  filterForm();
  filterRanking();
  const key = (state.sort || "rank").replace("-", "");
  sortRanking(key in board.metrics || ["rank", "variant", "n", "trained", "licence", "proof"].includes(key) ? key : "rank", (state.sort || "").startsWith("-"));
}
