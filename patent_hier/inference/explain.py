"""Explanations of a label: which parts of the text support it, and which contradict it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from patent_hier.data.context import text_of
from patent_hier.errors import ConfigError
from patent_hier.features.ngram_store import NgramReader, NgramStore, context_start
from patent_hier.features.offsets import Places, place_tokens, spread_over_characters
from patent_hier.inference.nodes import Ensemble
from patent_hier.inference.predictor import System
from patent_hier.inference.results import Explanation, Span
from patent_hier.models.attribution import attribute_ngrams, attribute_tokens
from patent_hier.models.classical import NgramModel
from patent_hier.models.registry import TokenReader
from patent_hier.models.saved import NodeClassifier
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.taxonomy.tree import NONE

MOST_WINDOWS = 128  # windows of an occlusion, each a text to score
MOST_CHARACTERS = (
    1 << 20
)  # in all windows' texts together, so that cost does not grow with the square of a text's length
_SHOWN = 5  # labels listed in an error message


class Place(NamedTuple):
    """Where a label is decided: node, level, label, and position in the node's tree."""

    node: str
    level: str
    label: str
    position: int


def explain(system: System, text: str, label: str, level: str | None = None) -> Explanation:
    """Explain a system's score of one label for one document.

    Networks are explained by integrated gradients of their token embeddings, and models that are linear in TF-IDF by
    integrated gradients of their n-grams. All other classifiers, including ensembles, are explained by occlusion: one
    window of the text after another is left out. Only the part of the text that is read (``max_length``) has spans. The
    score refers to the label's joint probability in the node that decides it: in a system with one node per section,
    that is P(label | section). Spans refer to the text; the contribution of the context is part of the base.

    Args:
        system: The system; other threads may use it at the same time.
        text: Text composed as in training, optionally with context.
        label: Label of any level, such as ``A`` or ``A01B1/02``.
        level: Level of the label; None: the highest level that has the label.

    Raises:
        ConfigError: If the system does not know the label, or captum is missing for a network.
        DataError: If the tokenizer cannot read the text.

    Source: Sundararajan, Taly and Yan (2017), arXiv:1703.01365; occlusion: Zeiler and Fergus (2014), arXiv:1311.2901,
    section 4.2, in one dimension.
    """
    place = find_label(system, label, level)
    one = system.loaded[system.nodes[place.node]]
    if isinstance(one, Ensemble):
        return occlude(system, text, place)
    classifier = one.classifier
    if classifier.model is None:  # a constant classifier gives its only path probability 1
        return Explanation(text_of(text), *place[:3], "constant: the text is not read", (), 0.0, 0.0)
    if isinstance(classifier.model, nn.Module):
        return _of_network(place, classifier, classifier.model, text_of(text))
    return _of_ngrams(place, classifier, classifier.model, text) or occlude(system, text, place)


def find_label(system: System, label: str, level: str | None = None) -> Place:
    """Find the node that decides a label; the arguments are those of :func:`explain`.

    Raises:
        ConfigError: If no node has the label.
    """
    trees = {node: system.loaded[folder].tree for node, folder in system.nodes.items()}
    for node, tree in trees.items():
        for name in tree.levels:
            (position,) = tree.find(name, [label]).tolist()
            if position != NONE and level in (None, name):
                return Place(node, name, label, position)
    known = next(iter(trees.values()))
    some = known.labels(known.levels[0])
    more = ", ..." if len(some) > _SHOWN else ""
    raise ConfigError(
        f"label {label!r} is unknown to {system.name}; use a label such as {', '.join(some[:_SHOWN])}{more}, or one "
        "of a lower level"
    )


def label_log_prob(system: System, texts: list[str], place: Place) -> NDArray[np.float64]:
    """Return the natural log of a label's joint probability in its node for each text, ``(len(texts),)``."""
    parts = [
        system.log_prob(part, only=(place.node,))[place.node].log_prob[:, place.position]
        for part in system.portions(texts)
    ]
    return np.concatenate(parts).astype(np.float64)


def _of_network(place: Place, classifier: NodeClassifier, network: nn.Module, text: str) -> Explanation:
    assert isinstance(classifier.reader, TokenReader)
    placed = place_tokens(classifier.reader, text)
    is_own = placed.places[:, 1] > placed.places[:, 0]
    softmax = TreeSoftmax(classifier.tree, classifier.flat)
    found = attribute_tokens(network, placed.ids, is_own, placed.neutral, softmax, place.position)
    method = f"integrated gradients of the token embeddings, {found.steps} steps"
    return Explanation(text, *place[:3], method, join_spans(placed.places, found.scores), found.base, found.value)


def _of_ngrams(place: Place, classifier: NodeClassifier, model: NgramModel, text: str) -> Explanation | None:
    """Explain an n-gram model; return None if it is not linear."""
    assert isinstance(classifier.reader, NgramReader)
    store = classifier.encode([text])
    assert isinstance(store, NgramStore)
    found = attribute_ngrams(model, store.matrix, classifier.tree, classifier.flat, place.position)
    if found is None:
        return None
    text = text_of(text)
    places, scores = spread_over_characters(classifier.reader, text, found.scores)
    base = found.base + float(found.scores[context_start(classifier.reader.ngrams) :].sum())
    method = "integrated gradients of the TF-IDF of n-grams, exact"
    return Explanation(text, *place[:3], method, join_spans(places, scores), base, found.value)


def join_spans(places: Places, scores: NDArray[np.float64]) -> tuple[Span, ...]:
    """Return spans in order; pieces of one character, such as its bytes, are merged and their scores added.

    Args:
        places: Start and end of each piece, ``(n, 2)``; empty pieces are left out.
        scores: Score of each piece, ``(n,)``.
    """
    spans: list[Span] = []
    for row in np.lexsort((places[:, 1], places[:, 0])).tolist():
        (start, end), score = places[row].tolist(), float(scores[row])
        if start == end:
            continue
        if spans and start < spans[-1].end:
            last = spans.pop()
            start, end, score = last.start, max(last.end, end), last.score + score
        spans.append(Span(start, end, score))
    return tuple(spans)


def occlude(system: System, text: str, place: Place) -> Explanation:
    """Explain any classifier by what the score loses without each part of the text.

    Windows of equal length follow each other without overlap. There are at most :data:`MOST_WINDOWS`, fewer for texts
    above 8,192 characters; windows of white space only are skipped. A span's score is the label's log-probability with
    the whole text minus the one without the window. Text beyond the reader's limit is cut off first, so that it cannot
    move into the gap of a window.

    Args:
        system: Any system.
        text: Text composed as in training.
        place: The label, from :func:`find_label`.

    Raises:
        DataError: As in :func:`explain`.
    """
    given, text = text, text_of(text)
    context = given[len(text) :]
    read = text[: _reach(system, system.nodes[place.node], text)]
    most = min(MOST_WINDOWS, max(1, MOST_CHARACTERS // max(1, len(read))))
    width = max(1, -(-len(read) // most))
    windows = [(start, min(start + width, len(read))) for start in range(0, len(read), width)]
    windows = [(start, end) for start, end in windows if not read[start:end].isspace()]
    texts = ["", read, *(read[:start] + read[end:] for start, end in windows)]
    base, value, *without = label_log_prob(system, [one + context for one in texts], place).tolist()
    spans = tuple(Span(start, end, value - left) for (start, end), left in zip(windows, without, strict=True))
    method = f"occlusion, {len(windows)} windows of up to {width} characters"
    return Explanation(text, *place[:3], method, spans, base, value)


def _reach(system: System, folder: Path, text: str) -> int:
    """Return how many characters of a text a node reads, directly or through an ensemble's members."""
    one = system.loaded[folder]
    if isinstance(one, Ensemble):
        return max(_reach(system, path, text) for member in one.members for path in member.nodes.values())
    reader = one.classifier.reader
    if reader is None:
        return 0
    return len(text) if isinstance(reader, NgramReader) else int(place_tokens(reader, text).places[:, 1].max(initial=0))
