// The state of the page stands in its address: #task=...&sort=...&a=...&b=...; what is not said there is the default.
let board;
let state = {};
const KEYS = ["task", "axis", "base", "method", "sort", "with", "a", "b", "slope", "gap", "row", "of"];

function readState() {
  const told = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  state = Object.fromEntries(KEYS.filter((key) => told.get(key)).map((key) => [key, told.get(key)]));
}

function change(values, isStep = false) {
  const merged = { ...state, ...values };
  state = Object.fromEntries(KEYS.filter((key) => merged[key]).map((key) => [key, merged[key]]));
  const address = `${location.pathname}${location.search}#${new URLSearchParams(state)}`;
  history[isStep ? "pushState" : "replaceState"](null, "", address);
  update(Object.keys(values));
}

// Parts that are drawn when they come into view, and what they depend on.
const PARTS_IN_VIEW = {
  compare: { update: () => updateComparison(), keys: ["task", "axis", "with", "a", "b"] },
  flips: { update: () => updateSlope(), keys: ["task", "axis", "base", "method", "with", "a", "b", "slope"] },
  cost: { update: () => updateCost(), keys: ["task", "axis", "base", "method", "with", "gap"] },
};
const inView = new Set();
const outdated = new Set();

function drawOutdated(parts = inView) {
  for (const part of [...outdated].filter((one) => parts.has(one))) {
    outdated.delete(part);
    PARTS_IN_VIEW[part].update();
  }
}

function update(keys = KEYS) {
  const touched = (names) => names.some((name) => keys.includes(name));
  if (touched(["task", "axis", "base", "method", "sort"])) updateRanking();
  for (const [part, { keys: names }] of Object.entries(PARTS_IN_VIEW)) if (touched(names)) outdated.add(part);
  drawOutdated();
  if (touched(["row", "of"])) updateVariant();
}

function watchParts() {
  const observer = new IntersectionObserver((entries) => {
    entries.forEach((entry) => inView[entry.isIntersecting ? "add" : "delete"](entry.target.id));
    drawOutdated();
  }, { rootMargin: "400px" });
  Object.keys(PARTS_IN_VIEW).forEach((part) => observer.observe(by(part)));
}

// Links inside the page move the view and the focus, and leave the state in the address alone.
function followLink(event) {
  const link = event.target.closest("nav a, a.skip");
  if (!link) return;
  event.preventDefault();
  const target = by(link.hash.slice(1));
  target.scrollIntoView();
  target.setAttribute("tabindex", "-1");
  target.focus({ preventScroll: true });
}

async function start() {
  try {
    board = await unpack();
  } catch (error) {
    by("comparison").append(make("p", { class: "notice" }, "This browser cannot unpack the comparisons; the tables above are complete, and board.json holds everything."));
    return;
  }
  if (!board.rows.length) return;
  document.addEventListener("click", followLink);
  by("variant").addEventListener("close", () => state.row && !by("variant").open && change({ row: "", of: "" }));
  by("variant").addEventListener("click", (event) => event.target === by("variant") && by("variant").close());
  document.querySelectorAll("form").forEach((form) => form.addEventListener("submit", (event) => event.preventDefault()));
  board.tables.forEach((table) => Object.assign(table, { order: table.rows }));
  board.tables.forEach(enhanceTable);
  readState();
  update();
  watchParts();
  addEventListener("hashchange", () => location.hash.includes("=") && (readState(), update()));
  addEventListener("popstate", () => (readState(), update()));
  addEventListener("beforeprint", () => board.tables.filter(tableShown).forEach(fillRates));
  addEventListener("beforeprint", () => drawOutdated(new Set(outdated)));
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  document.documentElement.dataset.ready = "yes";
}

start();
