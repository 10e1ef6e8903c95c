"""Titles and abstracts of the demo corpus, generated from the word lists in ``patent_hier/resources/demo_*``.

Each document belongs to one class, its label, and uses terms that only this class has. Real abstracts are less clear,
so each document gets one of four degrees of clarity (:data:`CLARITIES`), from terms almost only of its own class to an
abstract mostly about a neighbouring class. The lexicon lists the neighbours; many are in another section. A linear
model cannot use the meaning of an ambiguous term (喷嘴, 总线, 转子): another sentence names the field of use, and only
the term and the field together determine the class.
"""

import csv
import json
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import accumulate
from typing import Any, NamedTuple

_RESOURCES = "patent_hier.resources"

# A utility model protects the shape of a product, never a substance or a method.
_STYLES_OF_FILING = {"发明": ("device", "substance", "method", "circuit"), "实用新型": ("device", "circuit")}


@dataclass(frozen=True)
class Topic:
    """Entries of the word lists for one IPC class.

    Attributes:
        code: The class, such as ``"D03"``.
        subclasses: Letters of its subclasses.
        near: Classes whose terms occur in its documents.
        terms: Terms that belong only to this class.
        shared: Terms that several classes have in common.
        ambiguous: Pairs of an ambiguous term and the field of use in which it indicates this class.
    """

    code: str
    subclasses: str
    near: tuple[str, ...]
    terms: tuple[str, ...]
    shared: tuple[str, ...]
    ambiguous: tuple[tuple[str, str], ...]


# Degrees of clarity: the share of documents, and one letter for each of ``main use a b c``. ``o``: own term, ``n``:
# term of a neighbour, ``m``: term of a second neighbour, ``s``: shared term, ``q``: ambiguous term with its field of
# use. Tuned against character TF-IDF with a linear SVM, see tests/data/test_demo.py.
CLARITIES = ((0.30, "onoos"), (0.36, "onnns"), (0.22, "qnnos"), (0.12, "nmnqo"))


def read_topics() -> tuple[Topic, ...]:
    """Read the lexicon, the shared terms and the ambiguous terms; return the topics in the order of the IPC."""
    shared: dict[str, list[str]] = defaultdict(list)
    for row in _read_csv("demo_shared.csv"):
        for code in row["classes"].split():
            shared[code] += row["terms"].split()
    ambiguous: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in _read_csv("demo_ambiguous.csv"):
        ambiguous[row["code"]].append((row["term"], row["context"]))
    return tuple(
        Topic(
            code=row["code"],
            subclasses=row["subclasses"],
            near=tuple(row["near"].split()),
            terms=tuple(row["terms"].split()),
            shared=tuple(shared[row["code"]]),
            ambiguous=tuple(ambiguous[row["code"]]),
        )
        for row in _read_csv("demo_lexicon.csv")
    )


class Text(NamedTuple):
    """Title and abstract of one document."""

    title: str
    abstract: str


class TextWriter:
    """Writer of document texts, driven by one stream of random numbers.

    Args:
        topics: The word lists of every class.
        draw: Source of uniform numbers in ``[0, 1)``, which alone determines the texts.
    """

    def __init__(self, topics: Sequence[Topic], draw: Callable[[], float]) -> None:
        self._draw = draw
        self._phrases = json.loads((resources.files(_RESOURCES) / "demo_phrases.json").read_text("utf-8"))
        self._topics = {topic.code: topic for topic in topics}
        self._styles = {
            name: {part: _templates(texts) for part, texts in style.items()}
            for name, style in self._phrases["styles"].items()
        }
        self._styles_of = {
            (filing, section): [name for name, weight in weights.items() if name in allowed for _ in range(weight)]
            for section, weights in self._phrases["style_of_section"].items()
            for filing, allowed in _STYLES_OF_FILING.items()
        }
        self._bounds = list(accumulate(share for share, _ in CLARITIES[:-1]))
        self._naming = _templates(self._phrases["naming"])
        self._opening = _templates(self._phrases["opening"])
        self._context = _templates(self._phrases["context"])
        self._numbers = tuple(str(number) for number in range(2, 96))

    def write(self, code: str, filing: str) -> Text:
        """Write one document.

        Args:
            code: Class of the document.
            filing: ``"发明"`` or ``"实用新型"``; the abstract uses this word for itself.

        Returns:
            A title of about 12 characters and an abstract of about 110 characters.
        """
        pick = self._pick
        phrases = self._phrases
        style = self._styles[pick(self._styles_of[filing, code[0]])]
        words = self._ngram_names(self._topics[code])
        words["kind"] = pick(phrases["kinds"][filing])
        words["form"] = pick(style["forms"])
        title = words["name"] = pick(self._naming) % words
        words["p1"], words["p2"], words["p3"] = self._some(style["parts"], 3)
        words["n1"], words["n2"], words["n3"] = pick(self._numbers), pick(self._numbers), pick(self._numbers)
        words["quality"], words["trouble"] = pick(phrases["qualities"]), pick(phrases["troubles"])
        words["benefit"], words["benefit2"] = self._some(phrases["benefits"], 2)
        sentences = [pick(self._opening)]
        if "context" in words:
            sentences.append(pick(self._context))
        sentences += [pick(style["first"]), *self._some(style["body"], 2 + int(self._draw() * 3))]
        abstract = "".join(sentences) % words
        return Text("一种" + title, abstract[:-1] + "。" + pick(style["closing"]) % words)

    def _ngram_names(self, topic: Topic) -> dict[str, str]:
        """Choose a document's terms by its clarity: ``main use a b c`` and, with an ambiguous term, ``context``."""
        _, slots = CLARITIES[bisect(self._bounds, self._draw())]
        near, far = self._some(topic.near, 2)
        own_terms, near_terms = iter(self._some(topic.terms, 4)), iter(self._some(self._topics[near].terms, 4))
        words: dict[str, str] = {}
        for name, slot in zip(("main", "use", "a", "b", "c"), slots, strict=True):
            if slot == "q" and topic.ambiguous and "context" not in words:
                words[name], words["context"] = self._pick(topic.ambiguous)
            elif slot == "n":
                words[name] = next(near_terms)
            elif slot == "m":
                words[name] = self._pick(self._topics[far].terms)
            elif slot == "s" or (slot == "q" and name != "main"):
                words[name] = self._pick(topic.shared)
            else:
                words[name] = next(own_terms)
        return words

    def _pick(self, items: Sequence[Any]) -> Any:
        return items[int(self._draw() * len(items))]

    def _some(self, items: Sequence[str], count: int) -> list[str]:
        """Return ``count`` distinct items; faster than ``random.sample`` for the few that are needed here."""
        chosen: list[str] = []
        while len(chosen) < count:
            item = items[int(self._draw() * len(items))]
            if item not in chosen:
                chosen.append(item)
        return chosen


def _templates(texts: Sequence[str]) -> tuple[str, ...]:
    """Convert templates from ``{name}``, which is easy to write, to ``%(name)s``, which is the fastest to fill in."""
    return tuple(text.replace("%", "%%").replace("{", "%(").replace("}", ")s") for text in texts)


def _read_csv(name: str) -> Iterator[dict[str, str]]:
    text = (resources.files(_RESOURCES) / name).read_text("utf-8")
    yield from csv.DictReader(text.splitlines())
