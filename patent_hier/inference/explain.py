"""Why a system gave a label: which parts of the text speak for it, and which against it."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from patent_hier.errors import ConfigError, IncompleteError
from patent_hier.features.offsets import Places, place_tokens, spread_over_characters
from patent_hier.features.terms import TermReader, TermStore
from patent_hier.inference.nodes import Classifier, Combination
from patent_hier.inference.predictor import System
from patent_hier.inference.results import Explanation, Span
from patent_hier.settings import FLAT, ROOT

if TYPE_CHECKING:
    from patent_hier.models.saved import NodeClassifier

MOST_WINDOWS = 128  # of an occlusion: texts to score
_LABEL = re.compile(r"[A-H]([0-9]{2})?")
_SHOWN = 5  # labels in an error


def explain(system: System, text: str, label: str) -> Explanation:
    """Explain what a system says of one label for one text.

    Networks are explained by integrated gradients of their token embeddings, models that are linear on TF-IDF by
    integrated gradients of their terms, all others, combinations among them, by leaving out one window of the text
    after another. Only text that is read (``max_length``) has spans. A class is explained within its section where the
    system has a node for that: the score is then of log P(class | section).

    Args:
        system: Other threads may use it meanwhile.
        text: Built as in training.
        label: A section, such as ``A``, or a class, such as ``A01``.

    Raises:
        ConfigError: If the label is none, the system does not know it, or captum is missing for a network.
        IncompleteError: If the node that decides it is missing.
        DataError: If the text cannot be read by the tokenizer.

    Source: Sundararajan, Taly and Yan (2017), arXiv:1703.01365; occlusion: Zeiler and Fergus (2014), arXiv:1311.2901,
    section 4.2, in one dimension.
    """
    node, columns = find_label(system, label)
    one = system.loaded[system.nodes[node]]
    if isinstance(one, Combination):
        return occlude(system, text, label)
    classifier = one.classifier
    if classifier.model is None:  # certain of its one label, whatever the text
        return Explanation(text, node, label, "constant: no text is read", (), 0.0, 0.0)
    if not isinstance(classifier.reader, TermReader):
        return _of_network(node, label, classifier, text, columns)
    from patent_hier.models.classical import LinearClassifier, NaiveBayesClassifier

    if isinstance(classifier.model, LinearClassifier | NaiveBayesClassifier):
        return _of_terms(node, label, classifier, text, columns)
    return occlude(system, text, label)


def find_label(system: System, label: str) -> tuple[str, tuple[int, ...]]:
    """The node that decides a label, and which of its columns the label's probability is the sum of.

    Raises:
        ConfigError: If the label is no section or class, or the node does not know it.
        IncompleteError: If there is no such node.
    """
    if not _LABEL.fullmatch(label):
        raise ConfigError(f"label {label!r} is no section and no class; give one such as A or A01")
    own = ROOT if len(label) == 1 else label[0]
    node = own if own in system.nodes else FLAT
    if node not in system.nodes:
        raise IncompleteError(f"{system.name} has no node {own} and no flat, which decide {label}; give a whole result")
    labels = system.loaded[system.nodes[node]].labels
    columns = tuple(column for column, known in enumerate(labels) if known.startswith(label))
    if not columns:
        some = ", ".join(labels[:_SHOWN]) + (", ..." if len(labels) > _SHOWN else "")
        raise ConfigError(f"label {label} is unknown to node {node} of {system.name}; it knows {some}")
    return node, columns


def label_log_prob(system: System, texts: list[str], label: str) -> NDArray[np.float64]:
    """The natural logarithm of a label's probability for each text, ``(len(texts),)``; errors of :func:`find_label`."""
    node, columns = find_label(system, label)
    log_prob = system.log_prob(texts, only=(node,))[node].log_prob[:, list(columns)].astype(np.float64)
    return np.asarray(logsumexp(log_prob, axis=1), np.float64)


def _of_network(
    node: str, label: str, classifier: "NodeClassifier", text: str, columns: tuple[int, ...]
) -> Explanation:
    from torch import nn

    from patent_hier.models.attribution import attribute_tokens

    assert isinstance(classifier.model, nn.Module)
    assert classifier.reader is not None
    assert not isinstance(classifier.reader, TermReader)
    placed = place_tokens(classifier.reader, text)
    is_own = placed.places[:, 1] > placed.places[:, 0]
    found = attribute_tokens(classifier.model, placed.ids, is_own, placed.neutral, columns)
    method = f"integrated gradients of the token embeddings, {found.steps} steps"
    return Explanation(text, node, label, method, join_spans(placed.places, found.scores), found.base, found.value)


def _of_terms(node: str, label: str, classifier: "NodeClassifier", text: str, columns: tuple[int, ...]) -> Explanation:
    from patent_hier.models.attribution import attribute_terms
    from patent_hier.models.classical import LinearClassifier, NaiveBayesClassifier

    assert isinstance(classifier.model, LinearClassifier | NaiveBayesClassifier)
    assert isinstance(classifier.reader, TermReader)
    store = classifier.encode([text])
    assert isinstance(store, TermStore)
    found = attribute_terms(classifier.model, store.matrix, columns)
    places, scores = spread_over_characters(classifier.reader, text, found.scores)
    method = "integrated gradients of the TF-IDF of n-grams, exact"
    return Explanation(text, node, label, method, join_spans(places, scores), found.base, found.value)


def join_spans(places: Places, scores: NDArray[np.float64]) -> tuple[Span, ...]:
    """Spans in order; pieces of one character, such as its bytes, become one with the sum of their scores.

    Args:
        places: ``(n, 2)``; empty ones have no span.
        scores: ``(n,)``.
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


def occlude(system: System, text: str, label: str) -> Explanation:
    """Explain by what is lost without each part of the text, whatever the classifier.

    Windows of equal length follow each other without overlap, :data:`MOST_WINDOWS` at most; of blanks alone none is
    tried. A span's score is the label's log-probability with the text less that without the window. Text that nothing
    reads is cut off first, so that it cannot move in where a window is left out.

    Args:
        system: Any.
        text: Built as in training.
        label: A section or a class.

    Raises:
        ConfigError: As :func:`explain`.
        IncompleteError: As :func:`explain`.
        DataError: As :func:`explain`.
    """
    node, _ = find_label(system, label)
    one = system.loaded[system.nodes[node]]
    read = text[: max((_reach(classifier, text) for classifier in set(_classifiers(system, one))), default=0)]
    width = max(1, -(-len(read) // MOST_WINDOWS))
    windows = [(start, min(start + width, len(read))) for start in range(0, len(read), width)]
    windows = [(start, end) for start, end in windows if not read[start:end].isspace()]
    base, value, *without = label_log_prob(
        system, ["", read, *(read[:start] + read[end:] for start, end in windows)], label
    ).tolist()
    spans = tuple(Span(start, end, value - left) for (start, end), left in zip(windows, without, strict=True))
    return Explanation(
        text, node, label, f"occlusion, {len(windows)} windows of up to {width} characters", spans, base, value
    )


def _classifiers(system: System, one: Classifier | Combination) -> Iterator[Classifier]:
    """The classifiers that a node asks, itself or its members'."""
    if isinstance(one, Classifier):
        yield one
        return
    for folder in (folder for member in one.members for folder in member.nodes.values()):
        yield from _classifiers(system, system.loaded[folder])


def _reach(one: Classifier, text: str) -> int:
    """How many characters of a text a classifier reads."""
    reader = one.classifier.reader
    if reader is None:
        return 0
    if isinstance(reader, TermReader):
        return len(text)
    return int(place_tokens(reader, text).places[:, 1].max(initial=0))
