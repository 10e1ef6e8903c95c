// Chooser for one label, one family of the tree at a time. Outside text is only ever inserted as text, never as markup.

import { name } from "./answer.js";
import { bar, item, made } from "./elements.js";
import { title, withMark } from "./path.js";
import { children, Problem } from "./service.js";
import { say } from "./words.js";

const STEPS = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };

/**
 * Fill an element with the chooser.
 * @param {Element} box element to fill; its content is replaced
 * @param {string[]} levels levels of the model
 * @param {{label: string, level: string}[]} path path of the answer; its siblings are shown first, and its labels are marked
 * @param {function} take called with the chosen {label, level}
 * @param {function} close called when the chooser is closed without a choice
 */
export function openChooser(box, levels, path, take, close) {
  let place = path.slice(0, -1); // labels from the top to the one whose children are shown
  let family = [];
  let asked = 0; // number of the current load; earlier ones are ignored

  const trail = made("nav", "", "row trail");
  const filter = made("input");
  const here = button("", () => take(place.at(-1)), "main");
  const leave = button(say().close, close);
  const list = made("ul", "", "bars");
  const told = made("div", "", "quiet");
  const tools = made("div", "", "row");
  filter.type = "search";
  filter.placeholder = say().filter;
  filter.autocomplete = "off";
  filter.setAttribute("aria-label", say().filter);
  trail.setAttribute("aria-label", say().trail);
  told.setAttribute("aria-live", "polite");
  filter.addEventListener("input", () => draw());
  tools.append(filter, here, leave);
  box.setAttribute("aria-label", say().chooser);
  box.replaceChildren(trail, tools, list, told, made("p", say().keys, "quiet keys"));
  box.tabIndex = -1;
  box.onkeydown = press;
  go(place, path.at(-1));

  /** Show the labels below a place, and focus one of them. */
  async function go(target, focused = null) {
    const own = (asked += 1);
    place = target;
    family = [];
    filter.value = "";
    box.focus(); // otherwise keys pressed during loading would be lost with the focused row
    drawTrail();
    list.replaceChildren();
    told.textContent = say().loading;
    try {
      for (let count = 1; family.length < count; ) {
        const more = await children(place.at(-1) ?? null, family.length);
        if (own !== asked) return;
        count = more.children.length ? more.count : 0;
        family = [...family, ...more.children];
      }
      draw();
      const row = rows().find((one) => one.dataset.code === focused?.label) ?? rows()[0];
      (row ?? (here.hidden ? leave : here)).focus();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (own !== asked) return;
      const again = button(say().again, () => go(target, focused));
      told.replaceChildren(made("p", problem.message, "problem"), again);
      again.focus();
    }
  }

  function drawTrail() {
    const crumb = (words, length) => button(words, () => go(place.slice(0, length), place[length]));
    trail.replaceChildren(crumb(say().whole, 0), ...place.map(({ label }, depth) => crumb(label, depth + 1)));
    trail.lastChild.setAttribute("aria-current", "true");
    here.hidden = place.length < Math.min(2, levels.length); // a section alone says too little
    here.textContent = place.length ? say().here(place.at(-1).label) : "";
  }

  function draw() {
    const wanted = filter.value.trim().toLowerCase();
    const words = (one) => title(one.code, place.at(-1), { name });
    const found = family.filter((one) => `${one.code} ${words(one)}`.toLowerCase().includes(wanted));
    list.replaceChildren(...found.map((one) => item(row(one, words(one)))));
    const current = list.querySelector("[aria-current]") ?? list.querySelector("button");
    if (current) current.tabIndex = 0;
    told.textContent = family.length ? (wanted ? say().found(found.length, family.length) : "") : say().nothingBelow;
  }

  function row(one, words) {
    const line = bar("button", one.code, undefined, withMark(words, one)); // the true label may be blocked
    line.type = "button";
    line.tabIndex = -1; // Tab reaches one row, and the arrow keys reach the others
    line.dataset.code = one.code;
    if (one.children) line.classList.add("deeper");
    if (path.some(({ label, level }) => label === one.code && level === one.level)) line.setAttribute("aria-current", "true");
    line.addEventListener("click", (event) => {
      const target = { label: one.code, level: one.level };
      const isEnough = (event.ctrlKey || event.metaKey) && place.length + 1 >= Math.min(2, levels.length);
      if (isEnough) take(target);
      else go([...place, target]);
    });
    return line;
  }

  const rows = () => [...list.querySelectorAll("button")];
  const up = () => place.length && go(place.slice(0, -1), place.at(-1));

  function press(event) {
    if (event.isComposing) return;
    const isTyping = event.target === filter && filter.value !== "";
    const from = rows().indexOf(event.target);
    if (event.key === "Escape") close();
    else if (!isTyping && !event.repeat && (event.key === "Backspace" || event.key === "ArrowLeft")) up();
    else if (event.target === filter && event.key === "Enter") rows()[0]?.click();
    else if (event.target === filter && event.key === "ArrowDown") move(0);
    else if (from === 0 && event.key === "ArrowUp") filter.focus();
    else if (from >= 0 && event.key in STEPS) move(from + STEPS[event.key]);
    else if (from >= 0 && event.key === "ArrowRight") event.target.click();
    else if (from >= 0 && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.target.dispatchEvent(new MouseEvent("click", { ctrlKey: true }));
    } else {
      const isLetter = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
      if (from >= 0 && isLetter) filter.focus(); // the filter then receives the letter
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  function move(to) {
    const all = rows();
    if (!all.length) return;
    for (const one of all) one.tabIndex = -1;
    const target = all[Math.max(0, Math.min(all.length - 1, to))];
    target.tabIndex = 0;
    target.focus();
  }
}

function button(words, press, className = "") {
  const own = made("button", words, className);
  own.type = "button";
  own.addEventListener("click", press);
  return own;
}
