"""Triage: which answers to review first, how likely each is wrong, and why.

An error model (:mod:`patent_hier.evaluation.error_model`) is fitted on demand to documents of the calibration part,
which were not used in training; it is not stored. Without such documents, answers are ordered by plain confidence.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.context import text_of
from patent_hier.evaluation.contract import PREDICTIONS_FILE, NetworkPredictions
from patent_hier.evaluation.error_model import ErrorModel, Fitted, fit_or_fall_back
from patent_hier.evaluation.scores import TreeScores
from patent_hier.evaluation.signals import Signals, joined, member_signals, prediction_signals, score_signals
from patent_hier.evaluation.system import merge, scaled
from patent_hier.inference.answering import Asked, Question
from patent_hier.inference.calibration import CALIBRATION
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.neighbours import Neighbours
from patent_hier.inference.results import Prediction

CLOSE, UNSURE, PATH, MEMBERS, CHARACTERS, UNLIKE, NEIGHBOURS = REASONS = (
    "close", "unsure", "path", "members", "characters", "unlike", "neighbours",
)  # fmt: skip
NEAREST = 5  # known documents compared with a text
_CLOSE = 0.5  # share of the likeliest label's probability at which the second label counts as close
# First part of a signal's name -> its reason.
_SAYS = {
    "confidence": UNSURE, "margin": UNSURE, "entropy": UNSURE, "path": PATH, "members": MEMBERS, "divergence": MEMBERS,
    "characters": CHARACTERS, "similarity": UNLIKE, "neighbours": NEIGHBOURS,
}  # fmt: skip


@dataclass(frozen=True)
class Review:
    """Review priority of one answer.

    Attributes:
        error: Probability that the first label of the deepest level is wrong, 0 to 1; without an error model, 1 minus
            the label's probability.
        why: Main reason, one of :data:`REASONS`: two labels are close; no label is likely; the likeliest label is not
            on the likeliest path; the members disagree; characters are rare in training; known documents differ from
            the text, or have other labels. None if nothing indicates an error.
    """

    error: float
    why: str | None


@dataclass(frozen=True, eq=False)
class Labelled:
    """Documents that were not used in training, with their true labels.

    Attributes:
        documents: Documents from :meth:`HierarchicalClassifier.documents`.
        truth: True labels of the deepest level; None if a document has none there.
        groups: Group number of each document, negative for a document without a group; None: no document has a group.
    """

    documents: list[str]
    truth: Sequence[str | None]
    groups: NDArray[np.integer[Any]] | None = None


class Triage:
    """Orders documents by how likely their answers are wrong.

    Attributes:
        note: One-line description of the order and its reason.

    Args:
        classifier: Classifier that answers.
        fitted: The error model, or the reason why there is none.
        neighbours: Index of known patents, if the error model needs it.
    """

    def __init__(
        self, classifier: HierarchicalClassifier, fitted: Fitted, neighbours: Neighbours | None = None
    ) -> None:
        self._classifier = classifier
        self._model = fitted.model
        self._neighbours = neighbours
        self._asks_members = fitted.model is not None and any(_kind(name) == MEMBERS for name in fitted.model.names)
        self.note = fitted.note

    @classmethod
    def fit(
        cls,
        classifier: HierarchicalClassifier,
        labelled: Labelled | None = None,
        neighbours: Neighbours | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> "Triage":
        """Fit an error model; the same documents always give the same model.

        Args:
            classifier: Classifier that answers.
            labelled: Documents of the calibration part. None: use the predictions next to the model, if there are any.
            neighbours: Index of known patents, none of them among the documents.
            progress: Called after each batch of each classifier with its number of documents.
        """
        if labelled is None:
            return cls(classifier, _fit_to_predictions(classifier))
        asked = classifier.ask(Question(1))
        predictions, signals = _gather(classifier, labelled.documents, asked, neighbours, progress=progress)
        known = np.array([label is not None for label in labelled.truth], np.bool_)
        answers = [_deepest(classifier, one) for one in predictions]
        wrong = np.array([own != label for own, label in zip(answers, labelled.truth, strict=True)], np.bool_)
        confidence = np.array([one.paths[0].probability for one in predictions])
        signals = {name: values[known] for name, values in signals.items()}
        groups = None if labelled.groups is None else labelled.groups[known]
        return cls(classifier, fit_or_fall_back(signals, confidence[known], wrong[known], groups), neighbours)

    @classmethod
    def plain(cls, classifier: HierarchicalClassifier) -> "Triage":
        """Return a triage without an error model."""
        return cls(classifier, Fitted(None, "plain confidence orders the documents"))

    def review(
        self,
        documents: Sequence[str],
        asked: Asked,
        scores: TreeScores | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[list[Prediction], list[Review]]:
        """Return the answers to documents, and the review priority of each.

        Args:
            documents: Documents from :meth:`HierarchicalClassifier.documents`.
            asked: Checked question; the reasons need at least two paths if the system has them.
            scores: Scores of the documents, if known. An ensemble's scores are computed again if the error model needs
                the members' scores.
            progress: Called after each batch of each classifier with its number of documents.
        """
        if not documents:
            return [], []
        if self._model is None:
            parts = _scored(self._classifier, documents, scores, progress, members=False)
            predictions = [one for part, own, _ in parts for one in self._classifier.answer(own, asked, part)]
            errors = [max(0.0, 1 - one.paths[0].probability) for one in predictions]
            why = [_unsure(one) if error > 1 / 2 else None for one, error in zip(predictions, errors, strict=True)]
        else:
            predictions, signals = _gather(
                self._classifier, documents, asked, self._neighbours, scores, progress, members=self._asks_members
            )
            errors = self._model.probability(signals).tolist()
            why = _reasons(self._model, signals, predictions)
        return predictions, [Review(*own) for own in zip(errors, why, strict=True)]


def _kind(signal: str) -> str:
    """Return the reason behind a signal, one of :data:`REASONS`."""
    return _SAYS[signal.partition(".")[0]]


def _reasons(model: ErrorModel, signals: Signals, predictions: list[Prediction]) -> list[str | None]:
    """Return the main reason against each answer; signals with the same reason are added up."""
    parts = model.contributions(signals)
    kinds = list(map(_kind, model.names))
    names = list(dict.fromkeys(kinds))
    sums = np.stack([parts[:, [kind == name for kind in kinds]].sum(axis=1) for name in names], axis=1)
    best = sums.argmax(axis=1)
    return [
        (_unsure(one) if names[place] == UNSURE else names[place]) if own > 0 else None
        for one, place, own in zip(predictions, best.tolist(), sums.max(axis=1).tolist(), strict=True)
    ]


def in_words(review: Review, prediction: Prediction) -> str:
    """Return the main reason to review an answer in words; empty if there is none."""
    first, *others = list(prediction.levels.values())[-1][:2]
    two = ", ".join(f"{one.label} {one.probability:.2f}".replace(" 0.", " .") for one in (first, *others))
    return {
        None: "",
        CLOSE: f"two labels are close: {two}",
        UNSURE: f"no label is likely: {two}",
        PATH: "the likeliest label is not on the likeliest path",
        MEMBERS: "the ensemble members disagree",
        CHARACTERS: "characters rarely seen in training",
        UNLIKE: "no known document is similar",
        NEIGHBOURS: "similar known documents have other labels",
    }[review.why]


def _gather(
    classifier: HierarchicalClassifier,
    documents: Sequence[str],
    asked: Asked,
    neighbours: Neighbours | None,
    scores: TreeScores | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    members: bool = True,
) -> tuple[list[Prediction], Signals]:
    """Return the answers and all signals, computed in portions because the scores are large; members are optional."""
    predictions: list[Prediction] = []
    parts = []
    for part, own, by_member in _scored(classifier, documents, scores, progress, members=members):
        answers = classifier.answer(own, asked, part)
        restricted, kept = asked.restricted(own), None if asked.restriction is None else asked.restriction.kept
        signals = score_signals(restricted)
        if by_member:
            signals |= member_signals(restricted, by_member, kept)
        predictions += answers
        parts.append(signals | _text_signals(classifier, part, answers, neighbours))
    return predictions, joined(parts) if parts else {}


def _scored(
    classifier: HierarchicalClassifier,
    documents: Sequence[str],
    scores: TreeScores | None,
    progress: Callable[[int], None] | None,
    *,
    members: bool,
) -> Iterator[tuple[list[str], TreeScores, list[TreeScores]]]:
    """Yield documents in portions with their scores and, if requested, the scores of an ensemble's members."""
    start = 0
    for part in classifier.system.portions(list(documents)):
        if members and (scores is None or classifier.system.has_members):
            yield part, *classifier.score_with_members(part, progress=progress)
        elif scores is None:
            yield part, classifier.score_documents(part, progress=progress), []
        else:
            yield part, scores.take(slice(start, start + len(part))), []
        start += len(part)


def _text_signals(
    classifier: HierarchicalClassifier, documents: list[str], answers: list[Prediction], neighbours: Neighbours | None
) -> Signals:
    """Return signals that compare each text with the training texts."""
    texts, signals = [text_of(document) for document in documents], Signals()
    if (known := classifier.system.characters) is not None:
        signals["characters"] = np.array([known.unseen_share(text) for text in texts])
    if neighbours is not None:
        found = neighbours.nearest(texts, NEAREST)
        signals["similarity.first"] = np.array([own[0].similarity if own else 0.0 for own in found])
        signals["similarity.mean"] = np.array([sum(one.similarity for one in own) / NEAREST for own in found])
        labels = [_deepest(classifier, one) for one in answers]
        agree = [sum(label in one.path for one in own) for own, label in zip(found, labels, strict=True)]
        signals["neighbours"] = np.array(agree) / NEAREST
    return signals


def _fit_to_predictions(classifier: HierarchicalClassifier) -> Fitted:
    """Fit to the calibration predictions next to a result, which include neither texts nor ensemble members."""
    folders, nothing = classifier.system.nodes, "plain confidence orders the documents: the model has no"
    files = {node: folder / PREDICTIONS_FILE for node, folder in folders.items()}
    if classifier.calibration is None or not all(file.is_file() for file in files.values()):
        return Fitted(None, f"{nothing} calibration documents here; set --cache-dir to the cache of its training")
    parts = {node: NetworkPredictions.read(file).select(CALIBRATION) for node, file in files.items()}
    scalings = classifier.calibration.scalings
    system = merge({node: scaled(own, scalings.get(node, {})) for node, own in parts.items()})
    restriction = classifier.ask(Question(1)).restriction
    deepest = system.levels[-1]
    if system.is_whole:
        scores = system.scores() if restriction is None else restriction.apply(system.scores())
        signals, values = score_signals(scores), scores.at(system.tree.depth)
        first, confidence = values.argmax(axis=1), np.exp(values.max(axis=1).astype(np.float64))
    elif restriction is not None:
        return Fitted(
            None, f"{nothing} predictions of all labels, which blocked places need; use --cache-dir to read its texts"
        )
    else:
        signals, (labels, values) = prediction_signals(system), deepest.best(1)
        first, confidence = labels[:, 0], np.exp(values[:, 0].astype(np.float64))
    known = deepest.targets != None  # noqa: E711 - elementwise
    signals = {name: own[known] for name, own in signals.items()}
    groups = None if system.groups is None else system.groups[known]
    return fit_or_fall_back(signals, confidence[known], (first != deepest.target_codes)[known], groups)


def _deepest(classifier: HierarchicalClassifier, prediction: Prediction) -> str | None:
    """Return the first path's label at the deepest level; None if the path ends above."""
    last = prediction.paths[0].steps[-1]
    return last.label if last.level == classifier.system.tree.depth else None


def _unsure(prediction: Prediction) -> str:
    first, *others = list(prediction.levels.values())[-1]
    return CLOSE if others and others[0].probability >= _CLOSE * first.probability else UNSURE
