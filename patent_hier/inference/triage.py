"""Which answers to look at first: how likely each one is wrong, and why.

An error model (:mod:`patent_hier.evaluation.error_model`) is fitted on the spot to documents of the calibration part,
which nothing was trained on; nothing of it is stored. Where there are none, plain confidence orders the documents.
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
NEAREST = 5  # known documents that a text is compared with
_CLOSE = 0.5  # of the likeliest label's probability, from which the second one is close
# The signals by what they say, the beginnings of their names.
_SAYS = {
    "confidence": UNSURE, "margin": UNSURE, "entropy": UNSURE, "path": PATH, "members": MEMBERS, "divergence": MEMBERS,
    "characters": CHARACTERS, "similarity": UNLIKE, "neighbours": NEIGHBOURS,
}  # fmt: skip


@dataclass(frozen=True)
class Review:
    """How much a look at one answer is worth.

    Attributes:
        error: Probability that the first label of the deepest level is wrong, 0 to 1; where plain confidence orders the
            documents, what its probability leaves to 1.
        why: The main reason, one of :data:`REASONS`: two labels are close; none is likely; the likeliest label lies off
            the likeliest path from above; the members disagree; training has hardly shown the characters; known
            documents are unlike the text, or have other labels. None where nothing speaks against the answer.
    """

    error: float
    why: str | None


@dataclass(frozen=True, eq=False)
class Labelled:
    """Documents that nothing was trained on, with their true labels.

    Attributes:
        documents: As :meth:`HierarchicalClassifier.documents` gives them.
        truth: True labels of the deepest level; None where a document has none there.
        groups: Equal numbers for those that belong together, negative for one alone; None: all are alone.
    """

    documents: list[str]
    truth: Sequence[str | None]
    groups: NDArray[np.integer[Any]] | None = None


class Triage:
    """Orders documents by how likely their answers are wrong.

    Attributes:
        note: In one line, what orders them and why.

    Args:
        classifier: What answers.
        fitted: The error model, or why there is none.
        neighbours: Known patents, where the error model asks for them.
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
        """Fit an error model; the same documents give the same one.

        Args:
            classifier: What answers.
            labelled: Documents of the calibration part. None: what their predictions beside the model tell, as far as
                they are there.
            neighbours: Known patents, none of them among the documents.
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
        """Without an error model."""
        return cls(classifier, Fitted(None, "plain confidence orders the documents"))

    def review(
        self,
        documents: Sequence[str],
        asked: Asked,
        scores: TreeScores | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[list[Prediction], list[Review]]:
        """The answers to documents, and how much a look at each is worth.

        Args:
            documents: As :meth:`HierarchicalClassifier.documents` gives them.
            asked: What is asked; for the reasons, two paths or more where the system has them.
            scores: Of the documents, where they are known; a combination's are made anew for those of its members, if
                the error model asks for them.
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
    """What a signal says, one of :data:`REASONS`."""
    return _SAYS[signal.partition(".")[0]]


def _reasons(model: ErrorModel, signals: Signals, predictions: list[Prediction]) -> list[str | None]:
    """What speaks most against each answer: signals that say the same count together."""
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
    """The main reason to look at an answer; empty where there is none."""
    first, *others = list(prediction.levels.values())[-1][:2]
    two = ", ".join(f"{one.label} {one.probability:.2f}".replace(" 0.", " .") for one in (first, *others))
    return {
        None: "",
        CLOSE: f"two labels are close: {two}",
        UNSURE: f"no label is likely: {two}",
        PATH: "the likeliest label lies off the likeliest path from above",
        MEMBERS: "members disagree",
        CHARACTERS: "characters hardly seen",
        UNLIKE: "unlike known documents",
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
    """The answers, and all signals, or all but those of members; some documents at a time: their scores are large."""
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
    """Some documents at a time, their scores, and those of a combination's members, where these are asked for."""
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
    """What a text is beside those that training has shown."""
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
    """Fit to the predictions of calibration documents that lie beside a result; they know no texts and no members."""
    folders, nothing = classifier.system.nodes, "plain confidence orders the documents: the model has no"
    files = {node: folder / PREDICTIONS_FILE for node, folder in folders.items()}
    if classifier.calibration is None or not all(file.is_file() for file in files.values()):
        return Fitted(None, f"{nothing} calibration documents here; name the cache of its training (--cache-dir)")
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
            None, f"{nothing} predictions of all labels, which blocked places need; --cache-dir names its texts"
        )
    else:
        signals, (labels, values) = prediction_signals(system), deepest.best(1)
        first, confidence = labels[:, 0], np.exp(values[:, 0].astype(np.float64))
    known = deepest.targets != None  # noqa: E711 - elementwise
    signals = {name: own[known] for name, own in signals.items()}
    groups = None if system.groups is None else system.groups[known]
    return fit_or_fall_back(signals, confidence[known], (first != deepest.target_codes)[known], groups)


def _deepest(classifier: HierarchicalClassifier, prediction: Prediction) -> str | None:
    """The first path's label at the deepest level; None where it ends above."""
    last = prediction.paths[0].steps[-1]
    return last.label if last.level == classifier.system.tree.depth else None


def _unsure(prediction: Prediction) -> str:
    first, *others = list(prediction.levels.values())[-1]
    return CLOSE if others and others[0].probability >= _CLOSE * first.probability else UNSURE
