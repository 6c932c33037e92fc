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

function update(keys = KEYS) {
  const touched = (...names) => names.some((name) => keys.includes(name));
  if (touched("task", "axis", "base", "method", "sort")) updateRanking();
  if (touched("task", "axis", "with", "a", "b")) updateComparison();
  if (touched("task", "axis", "base", "method", "with", "a", "b", "slope")) updateSlope();
  if (touched("task", "axis", "base", "method", "with", "gap")) updateCost();
  if (touched("row", "of")) updateVariant();
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
  by("variant").addEventListener("close", () => state.row && change({ row: "", of: "" }));
  by("variant").addEventListener("click", (event) => event.target === by("variant") && by("variant").close());
  document.querySelectorAll("form").forEach((form) => form.addEventListener("submit", (event) => event.preventDefault()));
  enhanceRanking();
  readState();
  update();
  addEventListener("hashchange", () => location.hash.includes("=") && (readState(), update()));
  addEventListener("popstate", () => (readState(), update()));
  addEventListener("beforeprint", () => board.tables.filter(tableShown).forEach(fillRates));
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  document.documentElement.dataset.ready = "yes";
}

start();
