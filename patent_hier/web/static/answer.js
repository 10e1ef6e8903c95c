// One answer on the page. Foreign text only ever becomes text, never markup.

import { chosen, decided, methodName, percent, say } from "./words.js";

const place = (id) => document.getElementById(id);

function made(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** Show an answer; onLabel is called with the label that was clicked, null to let it go. */
export function show(answer, facts, forced, onLabel) {
  const { levels } = facts.about;
  const name = (label) => facts.names.get(label)?.[chosen()] ?? "";
  decide(answer, levels, name, forced);
  place("forced").hidden = !forced;
  if (forced) place("forced").firstElementChild.textContent = say().forcedTo(`${forced} ${name(forced)}`.trim());
  place("levels").replaceChildren(...levels.map((level) => column(level, levels, answer.levels[level], name, forced, onLabel)));
  explain(answer.explanation);
  similar(answer.neighbours ?? [], levels);
  place("version").textContent = say().version(answer.model_version);
}

function decide({ decision, paths }, levels, name, forced) {
  const heading = decision.label ? `${decision.label} ${name(decision.label)}`.trim() : say().unsure;
  const isGiven = forced && decision.label === forced;
  const card = place("decision");
  card.className = kind(decision, levels);
  const words = isGiven ? say().given(decision.level, levels) : say().confidence(percent(decision.confidence), decided(decision.level, levels));
  card.replaceChildren(made("strong", heading), made("p", words));
  const steps = paths[0]?.steps ?? [];
  const end = steps.findIndex((step) => step.label === decision.label);
  if (levels.length > 2 && end > 0) card.append(made("p", steps.slice(0, end + 1).map((step) => `${step.label} ${name(step.label)}`.trim()).join(" › "), "quiet"));
}

/** How an answer is shown: the deepest level, one above it, or none. */
export const kind = (decision, levels) => (decision.label === null ? "undecided" : decision.level === levels.at(-1) ? "deepest" : "above");

function column(level, levels, labels, name, forced, onLabel) {
  const bars = made("ol", "", "bars");
  bars.id = `level-${level}`;
  const isButton = level !== levels.at(-1);
  bars.append(...labels.map((one) => {
    const row = bar(isButton ? "button" : "div", one.label, one.probability, name(one.label));
    if (isButton) {
      row.type = "button";
      row.setAttribute("aria-pressed", String(one.label === forced));
      row.addEventListener("click", () => onLabel(one.label === forced ? null : one.label));
    }
    return item(row);
  }));
  const section = document.createElement("section");
  section.append(made("h2", say().levels[level]), bars);
  if (isButton && level === levels[0]) section.append(made("p", say().click(levels.slice(0, -1)), "quiet"));
  return section;
}

function item(element) {
  const row = document.createElement("li");
  row.append(element);
  return row;
}

function bar(tag, code, probability, name) {
  const element = document.createElement(tag);
  const fill = made("span", "", "fill");
  fill.style.width = `${100 * probability}%`;
  element.append(fill, made("b", code), made("span", percent(probability)), made("span", name, "name"));
  return element;
}

function explain(explanation) {
  place("reasons").hidden = !explanation || !explanation.spans.length;
  if (place("reasons").hidden) return;
  const letters = Array.from(explanation.text); // offsets count characters, JavaScript's strings do not
  const most = Math.max(...explanation.spans.map((span) => Math.abs(span.score)), 1e-9);
  const parts = [];
  let end = 0;
  for (const span of explanation.spans) {
    parts.push(letters.slice(end, span.start).join(""));
    const mark = made("mark", letters.slice(span.start, span.end).join(""));
    const depth = (0.6 * Math.abs(span.score)) / most;
    mark.style.backgroundColor = `rgba(var(${span.score > 0 ? "--for" : "--against"}), ${depth.toFixed(3)})`;
    mark.title = span.score.toFixed(3);
    parts.push(mark);
    end = span.end;
  }
  parts.push(letters.slice(end).join(""));
  place("spans").replaceChildren(...parts);
  place("legend").textContent = say().legend(explanation.label, methodName(explanation.method));
}

function similar(neighbours, levels) {
  place("similar").hidden = !neighbours.length;
  const label = (path) => path[levels.length - 1] ?? path.at(-1);
  place("neighbours").replaceChildren(
    ...neighbours.map((one) => made("li", `${label(one.path)} · ${one.title || one.document_id} · ${one.document_id} · ${percent(one.similarity, 0)}`)),
  );
}

/** What the wanted accuracy came to on test documents. */
export function meaning(target, about) {
  const reached = about.targets[(target / 100).toFixed(2)];
  if (!reached) return say().noTargets;
  const parts = about.levels.toReversed().map((level) => {
    const { coverage, accuracy } = reached.levels[level];
    return say().reached(percent(coverage), say().levels[level], level === about.levels.at(-1)) + (accuracy ? say().right(percent(accuracy.value)) : "");
  });
  return say().meaning(reached.n_documents, parts, percent(reached.undecided));
}
