// Elements from plain texts: a text is never read as markup.
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const by = (id) => document.getElementById(id);

function number(thousandths) {
  return thousandths === null || thousandths === undefined ? "" : (thousandths / 1000).toFixed(3).replace(/^-(0\.000)$/, "$1");
}

const signedNumber = (thousandths) => (thousandths > 0 ? "+" : "") + number(thousandths);
const interval = (low, high) => (low === null || low === undefined ? "" : `[${number(low)}, ${number(high)}]`);

// A packed estimate, [value, low, high, chance, chance p95, chance p, within chance, groups, decided], in a cell; or why
// there is none.
function estimateCell(packed, chance = false) {
  if (typeof packed === "string") return make("td", { class: "u" }, `undefined (${packed})`);
  const [value, low, high, , , , within, groups, decided] = packed;
  return make(
    "td", {}, groups && chance ? make("b", {}, groups, " ") : "", number(value), " ", make("i", {}, interval(low, high)),
    decided ? make("em", {}, ` ${decided}`) : "", chance && within ? make("em", {}, " ≤ chance") : "",
  );
}

function makeTable(caption, header, rows, className = "plain") {
  return make(
    "div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make(
      "table", { class: className }, make("caption", {}, caption),
      make("thead", {}, make("tr", {}, header.map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, rows.map((cells) => make("tr", {}, cells))),
    ),
  );
}

const rowHead = (...children) => make("th", { scope: "row" }, ...children);

function choice(label, name, options, selected, changed) {
  const list = options.map(([value, text]) => make("option", { value, selected: value === selected }, text));
  return make("label", {}, label, make("select", { name, onchange: (event) => changed(event.target.value) }, list));
}

function show(form, ...fields) {
  const focused = form.contains(document.activeElement) ? document.activeElement.name : null;
  form.replaceChildren(...fields);
  form.hidden = false;
  if (focused && form.elements[focused]) form.elements[focused].focus();
}
