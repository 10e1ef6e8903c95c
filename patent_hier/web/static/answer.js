// One answer on the page. Text from outside is only ever inserted as text, never as markup.

import { bar, item, made } from "./elements.js";
import { showPath } from "./path.js";
import { namesOf } from "./service.js";
import { chosen, decided, methodName, percent, say } from "./words.js";

const place = (id) => document.getElementById(id);

const SHOWN = 3; // labels of a level

/**
 * Show an answer.
 * @param {object} answer response of the service
 * @param {object} free the response without a chosen label: the alternatives at its level and above
 * @param {string[]} levels levels of the model
 * @param {?{code: string, level: string}} forced chosen label, if any
 * @param {function} choose called with a label's code and level; null removes the limit
 */
export function show(answer, free, levels, forced, choose) {
  const isAbove = (level) => forced && levels.indexOf(level) <= levels.indexOf(forced.level);
  const labels = (level) => (isAbove(level) ? free : answer).levels[level] ?? [];
  const chances = (level) => new Map(labels(level).map((one) => [one.label, one.probability]));
  decide(answer, levels, forced);
  place("strange").hidden = !answer.strange;
  place("strange").textContent = answer.strange ? say().strange[answer.strange] : "";
  place("forced").hidden = !forced;
  if (forced) place("forced").firstElementChild.textContent = say().forcedTo(`${forced.code} ${name(forced.code)}`.trim());
  showPath(answer, { name, chances, choose });
  place("levels").replaceChildren(...levels.map((level) => column(level, levels, labels(level).slice(0, SHOWN), forced, choose)));
  explain(answer.explanation);
  similar(answer.neighbours ?? [], levels);
  place("version").textContent = say().version(answer.model_version);
}

/** A label's name in the chosen language: the user's title or ours; a title may be in another language. */
export function name(code) {
  const { title, zh, en } = namesOf(code);
  return (chosen() === "en" ? (en ?? title) : (title ?? zh)) ?? "";
}

function decide({ decision }, levels, forced) {
  const heading = decision.label ? `${decision.label} ${name(decision.label)}`.trim() : say().unsure;
  const isGiven = forced?.code === decision.label;
  const card = place("decision");
  card.className = kind(decision, levels);
  const words = isGiven ? say().given(decision.level, levels) : say().confidence(percent(decision.confidence), decided(decision.level, levels));
  card.replaceChildren(made("strong", heading), made("p", words));
}

/** The display class of an answer: the deepest level, a higher one, or none. */
export const kind = (decision, levels) => (decision.label === null ? "undecided" : decision.level === levels.at(-1) ? "deepest" : "above");

function column(level, levels, labels, forced, choose) {
  const bars = made("ol", "", "bars");
  bars.id = `level-${level}`;
  const isButton = level !== levels.at(-1);
  bars.append(...labels.map((one) => {
    const row = bar(isButton ? "button" : "div", one.label, one.probability, name(one.label));
    if (isButton) {
      row.type = "button";
      const isChosen = forced?.code === one.label && forced.level === level;
      row.setAttribute("aria-pressed", String(isChosen));
      row.addEventListener("click", () => (isChosen ? choose(null) : choose(one.label, level)));
    }
    return item(row);
  }));
  const section = document.createElement("section");
  section.append(made("h2", say().levels[level] ?? level), bars);
  if (isButton && level === levels[0]) section.append(made("p", say().click(levels.slice(0, -1)), "quiet"));
  return section;
}

/** Highlight the parts of the text that support or contradict a label. */
export function explain(explanation) {
  place("reasons").hidden = !explanation || !explanation.spans.length;
  if (place("reasons").hidden) return;
  const letters = Array.from(explanation.text); // offsets count characters, but JavaScript strings count UTF-16 units
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

/** Describe the results of the target accuracy on the test documents. */
export function meaning(target, about) {
  const reached = about.targets[(target / 100).toFixed(2)];
  if (!reached) return say().noTargets;
  const parts = about.levels.toReversed().map((level) => {
    const { coverage, accuracy } = reached.levels[level];
    return say().reached(percent(coverage), say().levels[level] ?? level, level === about.levels.at(-1)) + (accuracy ? say().right(percent(accuracy.value)) : "");
  });
  return say().meaning(reached.n_documents, parts, percent(reached.undecided));
}
