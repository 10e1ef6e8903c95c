// Elements of answers and paths. Outside text is only ever inserted as text, never as markup.

import { percent } from "./words.js";

export function made(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

export function item(element) {
  const row = document.createElement("li");
  row.append(element);
  return row;
}

/** A label with its bar, its probability if known, and its name. */
export function bar(tag, code, probability, words) {
  const element = made(tag, "", "bar");
  const fill = made("span", "", "fill");
  fill.style.width = `${100 * (probability ?? 0)}%`;
  element.append(fill, made("b", code), made("span", probability === undefined ? "" : percent(probability)), made("span", words, "name"));
  return element;
}
