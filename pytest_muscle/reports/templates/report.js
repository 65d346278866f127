"use strict";
const PAGE = 50, MOST_SLICES = 1000, SHORT = 120;
const SIDES = ["new", "compat"];
const tasks = JSON.parse(document.getElementById("data").textContent);
const harms = ({ flip }) => flip.to_new === "negative" || flip.to_compat === "negative";
const inData = tasks.flatMap((task) => task.flips.map((flip) => ({ task, flip })));
const all = [...inData.filter(harms), ...inData.filter((entry) => !harms(entry))];
const [search, taskMenu, sliceMenu, quadrantMenu, orderMenu, count, list, more] =
  ["search", "task", "slice", "quadrant", "order", "count", "list", "more"].map((id) => document.getElementById(id));
let found = all, shown = 0;

// Whatever came from data or models goes through here, and is text.
function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

const addOption = (menu, value, text) => menu.add(new Option(text, value));

function fillSlices() {
  const chosen = sliceMenu.value, sizes = new Map();
  for (const { task, flip } of all) {
    if (taskMenu.value && task !== tasks[taskMenu.value]) continue;
    for (const [column, value] of Object.entries(flip.slices ?? {})) {
      const key = JSON.stringify([column, value]);
      sizes.set(key, (sizes.get(key) ?? 0) + 1);
    }
  }
  sliceMenu.length = 1;
  const largest = [...sizes.keys()].sort((one, other) => sizes.get(other) - sizes.get(one));
  for (const key of largest.slice(0, MOST_SLICES).sort()) {
    addOption(sliceMenu, key, `${JSON.parse(key).join(" = ")} (${sizes.get(key)})`);
  }
  sliceMenu.value = sizes.has(chosen) ? chosen : "";
  sliceMenu.selectedIndex = Math.max(sliceMenu.selectedIndex, 0);
  sliceMenu.disabled = !sizes.size;
}

const CHANGES = {
  negative: ["▼ ", "right, now wrong", "score falls"],
  positive: ["▲ ", "wrong, now right", "score rises"],
};

function describe(side, change, graded) {
  const [arrow, plain, ofScores] = CHANGES[change];
  return `${arrow}${side}: ${graded ? ofScores : plain}`;
}

const SEARCHED = ["id", "question", "gold", ...SIDES.concat("old").flatMap((side) => [side, `${side}_text`])];

function searchable(entry) {
  entry.text ??= SEARCHED.map((name) => entry.flip[name] ?? "").join("\n").toLowerCase();
  return entry.text;
}

// How far an example's margin, or else its score, moves from old to the model that flips it.
function change({ task, flip }, wanted) {
  const side = wanted || (flip.to_new ? "new" : "compat");
  const of = task.graded ? "score" : "margin";
  const before = flip[`old_${of}`], after = flip[`${side}_${of}`];
  return before === undefined || after === undefined ? undefined : Math.abs(before - after);
}

function inOrder(entries, side) {
  const sign = { narrow: 1, wide: -1 }[orderMenu.value];
  if (!sign) return entries;
  const sizes = new Map(entries.map((entry) => [entry, change(entry, side) ?? sign * Infinity]));
  return [...entries].sort((one, other) => sign * (sizes.get(one) - sizes.get(other)) || 0);
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const task = taskMenu.value && tasks[taskMenu.value];
  const slice = sliceMenu.value && JSON.parse(sliceMenu.value);
  const [side, quadrant] = quadrantMenu.value.split(" ");
  found = inOrder(all.filter((entry) =>
    (!task || entry.task === task)
    && (!slice || entry.flip.slices?.[slice[0]] === slice[1])
    && (!side || entry.flip[`to_${side}`] === quadrant)
    && words.every((word) => searchable(entry).includes(word))), side);
  shown = 0;
  list.replaceChildren();
  showMore();
}

function showMore() {
  const next = found.slice(shown, shown + PAGE).map(draw);
  list.append(...next);
  shown += next.length;
  more.hidden = shown >= found.length;
  more.textContent = `Show ${Math.min(PAGE, found.length - shown)} more`;
  const of = found.length === all.length ? "" : ` (of ${all.length.toLocaleString("en")} in all)`;
  count.textContent = found.length
    ? `Showing ${shown.toLocaleString("en")} of ${found.length.toLocaleString("en")} flipped examples${of}.`
    : `No flipped example fits${of}.`;
  return next[0];
}

function say(written, others, kind = "") {
  const text = written.trim(), other = others?.trim();
  const made = element("dd", "", `text ${kind}`);
  made.dir = "auto";
  if (!text) made.append(element("span", "(empty)", "quiet"));
  else made.append(...(other === undefined || other === text ? [text] : markWords(text, other)));
  return made;
}

function signed(value) {
  const size = Math.abs(value);
  return `${value < 0 ? "−" : "+"}${size < 0.1 ? Number(size.toPrecision(2)) : size.toFixed(2)}`;
}

function drawAnswer(side, flip, { graded, unit }) {
  const against = side !== "old" ? "old" : flip.to_new ? "new" : "compat";
  const box = element("div", "", flip[`to_${side}`] ?? "");
  const mark = flip[`${side}_score`];
  const margin = flip[`${side}_margin`];
  const figures = graded && mark !== undefined ? ` · score ${Number(mark.toFixed(4))}`
    : margin !== undefined ? ` · margin ${signed(margin)} ${unit}` : "";
  box.append(element("dt", `${side}${figures}`));
  const text = flip[`${side}_text`], otherText = flip[`${against}_text`];
  box.append(say(flip[side], flip[against]));
  if (text !== undefined && text.trim() !== flip[side].trim()) box.append(say(text, otherText, "written"));
  return box;
}

function draw({ task, flip }) {
  const card = element("article"), head = element("header"), answers = element("dl", "", "answers");
  head.append(element("h3", `${flip.id}`));
  if (tasks.length > 1) head.append(element("span", task.name, "chip"));
  for (const pair of Object.entries(flip.slices ?? {})) head.append(element("span", pair.join(" = "), "chip"));
  for (const side of SIDES) {
    const change = flip[`to_${side}`];
    if (change) head.append(element("span", describe(side, change, task.graded), `chip ${change}`));
  }
  card.append(head);
  if (flip.question !== undefined) {
    const prompt = element("p", flip.question, "text prompt");
    prompt.dir = "auto";
    card.append(prompt);
  }
  if (flip.gold !== undefined) {
    const gold = element("div");
    gold.append(element("dt", "gold"), say(flip.gold));
    answers.append(gold);
  }
  for (const side of ["old", ...SIDES]) {
    if (flip[side] !== undefined) answers.append(drawAnswer(side, flip, task));
  }
  answers.classList.toggle("short", answers.textContent.length < SHORT);
  card.append(answers);
  return card;
}

tasks.forEach((task, number) => addOption(taskMenu, number, task.name));
taskMenu.parentElement.hidden = tasks.length < 2;
for (const side of SIDES) {
  for (const change of Object.keys(CHANGES)) {
    const size = all.filter(({ flip }) => flip[`to_${side}`] === change).length;
    if (size) addOption(quadrantMenu, `${side} ${change}`, `${describe(side, change, tasks.every((task) => task.graded))} (${size})`);
  }
}
let waiting;
search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 150); });
taskMenu.addEventListener("change", () => { fillSlices(); filter(); });
orderMenu.parentElement.hidden = !all.some((entry) => change(entry) !== undefined);
for (const menu of [sliceMenu, quadrantMenu, orderMenu]) menu.addEventListener("change", filter);
const form = document.getElementById("filters");
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(() => { fillSlices(); filter(); }));
more.addEventListener("click", () => {
  const first = showMore();
  first.tabIndex = -1;
  first.focus({ preventScroll: true });
});
fillSlices();
filter();
