// The likeliest path, level by level: each label with its title and its siblings, which can be chosen.

import { bar, item, made } from "./elements.js";
import { children, Problem } from "./service.js";
import { percent, say } from "./words.js";

const place = (id) => document.getElementById(id);
const KEYS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity };

/**
 * Show the path of an answer.
 * @param {object} answer response of the service
 * @param {object} view name(code); chances(level): code -> probability if known; choose(code, level)
 */
export function showPath(answer, view) {
  const { steps } = answer.paths[0];
  place("steps").replaceChildren(...steps.map((step, depth) => row(step, steps[depth - 1] ?? null, view)));
}

function row(step, parent, view) {
  const opener = bar("button", step.label, step.probability, title(step.label, parent, view));
  const siblings = made("div", "", "siblings");
  siblings.id = `siblings-${step.level}`;
  siblings.hidden = true;
  opener.type = "button";
  opener.dataset.level = step.level;
  opener.setAttribute("aria-expanded", "false");
  opener.setAttribute("aria-controls", siblings.id);
  opener.setAttribute("aria-label", [step.label, title(step.label, parent, view), percent(step.probability), say().others].join(" "));
  opener.addEventListener("click", () => toggle(opener, siblings, step, parent, view));
  siblings.addEventListener("keydown", (event) => move(event, opener, siblings));
  const line = item(opener);
  line.prepend(made("span", say().levels[step.level] ?? step.level, "level"));
  line.append(siblings);
  return line;
}

/** A label's title; a label with the code of its parent is marked as ending there. */
export const title = (code, parent, { name }) => [name(code), parent?.label === code ? say().ends(parent.level) : ""].filter(Boolean).join(" · ");

/** A title, marked if its place is blocked. */
export const withMark = (words, { blocked }) => [words, blocked ? say().isBlocked : ""].filter(Boolean).join(" · ");

async function toggle(opener, siblings, step, parent, view) {
  const isOpen = opener.getAttribute("aria-expanded") === "true";
  opener.setAttribute("aria-expanded", String(!isOpen));
  siblings.hidden = isOpen;
  if (!isOpen && !siblings.childElementCount) await fill(siblings, step, parent, view, []);
}

/** Load the next siblings and add them to the known ones; the likeliest come first. */
async function fill(siblings, step, parent, view, known) {
  siblings.replaceChildren(...siblings.children, made("p", say().loading, "quiet"));
  try {
    const family = await children(parent, known.length);
    const all = [...known, ...family.children];
    const chances = view.chances(step.level);
    const order = all.map((one, place) => [chances.get(one.code) ?? -1, -place, one]).sort(([a, x], [b, y]) => b - a || y - x);
    const list = made("ul", "", "bars");
    list.append(...order.map(([, , one]) => item(choice(one, step, parent, chances.get(one.code), view))));
    const chosen = list.querySelector("[aria-current]") ?? list.querySelector("button");
    chosen.tabIndex = 0;
    siblings.replaceChildren(list);
    if (all.length < family.count) siblings.append(more(() => fill(siblings, step, parent, view, all), family.count - all.length));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    siblings.replaceChildren(made("p", problem.message, "problem"), more(() => fill(siblings, step, parent, view, known)));
  }
}

function choice(one, step, parent, chance, view) {
  const button = bar("button", one.code, chance, withMark(title(one.code, parent, view), one));
  button.type = "button";
  button.tabIndex = -1; // Tab reaches one button, and the arrow keys reach the others
  if (one.code === step.label) button.setAttribute("aria-current", "true");
  if (one.blocked) button.setAttribute("aria-disabled", "true"); // it can be focused, so that screen readers announce it
  else button.addEventListener("click", () => view.choose(one.code, step.level));
  return button;
}

function more(load, count = null) {
  const button = made("button", count === null ? say().again : say().more(count));
  button.type = "button";
  button.addEventListener("click", load);
  return button;
}

function move(event, opener, siblings) {
  if (event.key === "Escape") {
    opener.click();
    opener.focus();
    return;
  }
  const buttons = [...siblings.querySelectorAll("ul button")];
  const from = buttons.indexOf(document.activeElement);
  if (from < 0 || !(event.key in KEYS)) return;
  event.preventDefault();
  const to = Math.max(0, Math.min(buttons.length - 1, from + KEYS[event.key]));
  buttons[from].tabIndex = -1;
  buttons[to].tabIndex = 0;
  buttons[to].focus();
}
