"""What a report does beyond being read: tooltips on charts, sorting, filtering and opening rollouts. No library."""

SCRIPT = r"""
"use strict";
document.documentElement.classList.add("js");
const $$ = (selector, root = document) => Array.from(root.querySelectorAll(selector));

/* Charts: a cursor that snaps to the nearest recorded x, by pointer or arrow keys. */
const written = (value, percent) => {
  if (value === null) return "\u2013";
  if (percent) return (100 * value).toFixed(1) + "%";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-4 || size >= 1e6) ? value.toExponential(2)
    : String(Number(value.toPrecision(4)));
  return text.replace("-", "\u2212");
};
for (const figure of $$("figure[data-points]")) {
  const [xs, ...lines] = JSON.parse(figure.dataset.points);
  const svg = figure.querySelector("svg"), cursor = svg.querySelector(".cursor"), plot = figure.querySelector(".plot");
  const entries = $$(".legend li", figure), percent = "percent" in figure.dataset;
  const [x0, x1, left, right] = ["x0", "x1", "left", "right"].map(name => Number(svg.dataset[name]));
  const view = svg.viewBox.baseVal, tip = document.createElement("div");
  tip.className = "tip"; tip.hidden = true; tip.setAttribute("role", "status"); plot.append(tip);
  let at = -1;
  const place = index => {
    at = index;
    const x = left + (xs[index] - x0) / (x1 - x0) * (right - left), share = x / view.width;
    cursor.setAttribute("d", `M${x} 10V${view.height - 30}`);
    const head = document.createElement("p");
    head.textContent = `${figure.dataset.x} ${xs[index].toLocaleString("en")}`;
    tip.replaceChildren(head);
    lines.forEach((line, number) => {
      if (line[index] === null) return;
      const row = document.createElement("div"), mark = document.createElement("i");
      const name = document.createElement("span"), value = document.createElement("b");
      row.className = entries[number].className;
      name.textContent = entries[number].querySelector("span").textContent;
      value.textContent = written(line[index], percent);
      row.append(mark, name, value); tip.append(row);
    });
    tip.hidden = false;
    tip.style.left = share < 0.5 ? `calc(${100 * share}% + 10px)` : "auto";
    tip.style.right = share < 0.5 ? "auto" : `calc(${100 - 100 * share}% + 10px)`;
  };
  const clear = () => { tip.hidden = true; cursor.setAttribute("d", ""); };
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    const x = x0 + ((event.clientX - box.left) / box.width * view.width - left) / (right - left) * (x1 - x0);
    let best = 0;
    xs.forEach((value, index) => { if (Math.abs(value - x) < Math.abs(xs[best] - x)) best = index; });
    place(best);
  });
  svg.addEventListener("pointerleave", clear);
  svg.addEventListener("blur", clear);
  svg.addEventListener("focus", () => { if (svg.matches(":focus-visible")) place(at < 0 ? xs.length - 1 : at); });
  svg.addEventListener("keydown", event => {
    const moves = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: xs.length - 1};
    if (event.key === "Escape") return clear();
    if (!(event.key in moves)) return;
    event.preventDefault();
    place(Math.min(xs.length - 1, Math.max(0, moves[event.key])));
  });
}

/* Cells: a number in data-v where the text is rounded, else the text itself. */
const valueOf = cell => {
  const text = cell.dataset.v ?? cell.textContent.trim().replace("\u2212", "-").replace(/^\+/, "");
  return text === "" || Number.isNaN(Number(text)) ? text : Number(text);
};
const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
const blank = value => value === "" || value === "\u2013";

for (const table of $$("table[data-sortable]")) {
  $$("button", table.tHead).forEach(button => button.addEventListener("click", () => {
    const head = button.closest("th"), column = head.cellIndex;
    const numeric = !head.classList.contains("t");
    const before = head.getAttribute("aria-sort");
    const direction = before === null ? (numeric ? "descending" : "ascending")
      : before === "ascending" ? "descending" : "ascending";
    $$("th", table.tHead).forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const groups = table.tBodies.length > 1 ? Array.from(table.tBodies) : Array.from(table.tBodies[0].rows);
    const keyed = groups.map(group => [valueOf((group.rows ? group.rows[0] : group).cells[column]), group]);
    keyed.sort(([a], [b]) => {
      if (blank(a) || blank(b)) return Number(blank(a)) - Number(blank(b));
      if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
      return sign * compare(a, b);
    });
    (table.tBodies.length > 1 ? table : table.tBodies[0]).append(...keyed.map(([, group]) => group));
  }));
}

/* Rollouts: open a row, filter all of them. */
const table = document.getElementById("rollout-table");
if (table) {
  const rows = Array.from(table.tBodies), tools = document.getElementById("tools");
  const open = (body, state = !body.classList.contains("open")) => {
    body.classList.toggle("open", state);
    body.querySelector("details").open = state;
    body.querySelector(".toggle").setAttribute("aria-expanded", String(state));
  };
  for (const body of rows) {
    body.rows[0].addEventListener("click", () => { if (!String(getSelection())) open(body); });
  }
  const texts = new Map();
  const textOf = body => {
    if (!texts.has(body)) texts.set(body, $$("pre", body).map(part => part.textContent).join("\n").toLowerCase());
    return texts.get(body);
  };
  const field = name => tools.querySelector(`[name=${name}]`);
  let quick = "all";
  const partOf = (body, name, measure) => {
    const part = $$(".parts tbody tr", body).find(row => row.cells[0].textContent === name);
    return part ? part.cells[{raw: 1, weight: 2, contribution: 3, status: 4}[measure]] : null;
  };
  const passes = body => {
    if (quick !== "all" && !body.dataset.q.split(" ").includes(quick)) return false;
    const wanted = field("text").value.trim().toLowerCase();
    if (wanted && !textOf(body).includes(wanted)) return false;
    const chosen = field("field").selectedOptions[0], status = field("status").value;
    if (status && chosen.dataset.component !== undefined) {
      const cell = partOf(body, chosen.dataset.component, "status");
      if (!cell || (status === "failing" ? cell.textContent === "ok" : cell.textContent !== status)) return false;
    } else if (status) {
      const found = $$(".parts tbody tr", body).map(row => row.cells[4].textContent);
      if (!found.some(text => status === "failing" ? text && text !== "ok" : text === status)) return false;
    }
    const low = field("low").value, high = field("high").value;
    if (low === "" && high === "") return true;
    const cell = chosen.dataset.component === undefined ? body.rows[0].cells[Number(chosen.value)]
      : partOf(body, chosen.dataset.component, chosen.dataset.measure);
    const value = cell ? valueOf(cell) : "";
    return typeof value === "number" && (low === "" || value >= Number(low)) && (high === "" || value <= Number(high));
  };
  const apply = () => {
    let shown = 0;
    for (const body of rows) { body.hidden = !passes(body); shown += body.hidden ? 0 : 1; }
    document.getElementById("shown").textContent = String(shown);
  };
  tools.addEventListener("input", apply);
  $$("button[data-quick]", tools).forEach(button => button.addEventListener("click", () => {
    quick = button.dataset.quick;
    $$("button[data-quick]", tools).forEach(other => other.setAttribute("aria-pressed", String(other === button)));
    apply();
  }));
  tools.addEventListener("reset", () => setTimeout(() => {
    tools.querySelector("[data-quick=all]").click();
  }));
  tools.addEventListener("submit", event => event.preventDefault());
  apply();
}
"""
