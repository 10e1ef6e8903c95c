"""The result of an evaluation: each score with the number of documents and labels behind it, level by level."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from patent_hier.evaluation.metrics import Interval, wilson_interval
from patent_hier.evaluation.set_rule import SetRule

EVERY_LEVEL = "path"  # used instead of a level's name for scores over all levels


@dataclass(frozen=True)
class Score:
    """A score with its interval and the size of its sample.

    Attributes:
        value: Score as a fraction, 0 to 1.
        n_documents: Number of documents that the score covers.
        n_classes_with_support: Number of the level's labels that are the target of at least one of these documents.
        interval: 95 % interval.
    """

    value: float
    n_documents: int
    n_classes_with_support: int
    interval: Interval

    @classmethod
    def of_hits(cls, hits: int, n_documents: int, n_classes: int) -> "Score":
        """Return the fraction ``hits / n_documents`` with its Wilson interval."""
        return cls(hits / n_documents, n_documents, n_classes, wilson_interval(hits, n_documents))


@dataclass(frozen=True)
class LocalScore(Score):
    """The accuracy of the heads below one label, over the documents with this true label.

    Attributes:
        n_labels: Number of labels that the heads can answer; 1 for a constant classifier, 0 if there are none.
    """

    n_labels: int


@dataclass(frozen=True)
class BandScores:
    """Scores of the documents whose true label has a number of training documents within one band.

    Attributes:
        top_1: Top-1 accuracy, as in :class:`LevelResult`, over the documents of the band.
        top_5: Top-5 accuracy over the same documents.
    """

    top_1: Score
    top_5: Score


@dataclass(frozen=True)
class SetScores:
    """The scores of one level against *all* labels of a document at that level, from its main and further symbols.

    Attributes:
        true_labels: Mean number of true labels per document.
        scores: Scores by name. ``precision_at_k``, ``recall_at_k`` and ``ndcg_at_k`` measure the ranking of all labels.
            The others measure the predicted set and need a rule: ``micro_precision``, ``micro_recall``, ``micro_f1``;
            ``macro_f1``, over the labels with support; ``exact``, the share of documents whose whole set is right. See
            :mod:`patent_hier.evaluation.set_scores`.
        threshold: Minimum joint probability for a label to be in the set, chosen on ``calibration``; None without a
            rule.
        named_labels: Mean number of predicted labels per document; None without a rule.
    """

    true_labels: float
    scores: Mapping[str, Score]
    threshold: float | None = None
    named_labels: float | None = None


@dataclass(frozen=True)
class LevelResult:
    """The scores of one level, over the documents that have a label at that level.

    Attributes:
        level: Name of the level.
        unseen_documents: Number of documents whose label never occurs in training; they count as errors.
        unseen_labels: Labels of these documents.
        accuracy: Accuracy of the answer: the level-by-level cascade for ``hier`` and ``shared``, the
            most probable label for ``flat``.
        top_1: Share of documents whose true label has the highest joint probability.
        top_3: Share of documents whose true label is among the three most probable.
        top_5: Share of documents whose true label is among the five most probable.
        oracle: Accuracy of the head of the *true* parent; None for ``flat``, which has no such heads.
        product: Product of ``oracle`` over this level and the levels above, the paper's equation (1); None for
            ``flat``.
        macro_f1: Macro-F1 of the answers that ``accuracy`` counts, over the labels with support.
        hierarchical_precision: Precision over the labels of the answered path down to this level; recall and F1 have
            the same basis.
        wipo_top_prediction: WIPO's three measures rank by joint probability. *Top prediction*: the first label is that
            of the main symbol. *Three guesses*: one of the first three labels is. *Any symbol* ("all categories" in the
            source): the first label is that of the main symbol or of a further symbol.
        first_errors: Share of all documents whose answered path has its first error at this level. The shares of all
            levels and :attr:`Result.all_right` sum to 1.
        local: Accuracy of the oracle over the documents of each label of the first level; empty at the first level.
        by_training_documents: Scores by band of :data:`patent_hier.evaluation.frequency.BANDS`; empty if the training
            documents are not known.
        sets: Scores against all labels of a document; None if no document of the part has several symbols. All scores
            above refer to the main symbol, the first of a document, except ``wipo_any_symbol``.

    Source: equation (1) of arXiv:1911.06241; Fall, Törcsvári, Benzineb and Karetka, "Automated categorization in the
    International Patent Classification", ACM SIGIR Forum 37(1), 2003.
    """

    level: str
    unseen_documents: int
    unseen_labels: tuple[str, ...]
    accuracy: Score
    top_1: Score
    top_3: Score
    top_5: Score
    oracle: Score | None
    product: Score | None
    macro_f1: Score
    hierarchical_precision: Score
    hierarchical_recall: Score
    hierarchical_f1: Score
    wipo_top_prediction: Score
    wipo_three_guesses: Score
    wipo_any_symbol: Score | None
    first_errors: Score
    local: Mapping[str, LocalScore]
    by_training_documents: Mapping[str, BandScores]
    sets: SetScores | None

    def scores(self) -> dict[str, Score]:
        """Return every score by name.

        For example, ``sets.micro_f1`` is a score of sets, ``oracle[A]`` is the oracle's accuracy for label A, and
        ``top_1[1-4]`` covers labels with 1 to 4 training documents.
        """
        named = {one.name: getattr(self, one.name) for one in fields(self)}
        own = {name: value for name, value in named.items() if isinstance(value, Score)}
        own |= {f"sets.{name}": score for name, score in (self.sets.scores if self.sets else {}).items()}
        own |= {f"oracle[{label}]": score for label, score in self.local.items()}
        bands = self.by_training_documents.items()
        return own | {f"{name}[{band}]": getattr(scores, name) for name in ("top_1", "top_5") for band, scores in bands}


@dataclass(frozen=True)
class GroupScores:
    """The accuracy for one group of documents, with and without context.

    Attributes:
        accuracy: Accuracy of a model that reads context, as in :attr:`LevelResult.accuracy`.
        without: Accuracy of the same model without context, on the same documents; None if it is not trained.
        gain: Difference of the two; None if there is no model without context.
        gain_interval: 95 % bootstrap interval of ``gain`` over documents.
    """

    accuracy: Score
    without: Score | None = None
    gain: float | None = None
    gain_interval: Interval | None = None


@dataclass(frozen=True)
class Result:
    """The result of one system.

    Attributes:
        kind: ``hier``, ``shared`` or ``flat``.
        part: Scored part of the split.
        n_documents: Number of documents in the part.
        levels: Results by level, from the top.
        all_right: Share of documents whose answered path is right at every level at which they have a label.
        absent_labels: Labels of the first level without documents in this part; they have weight 0.
        constant_labels: Labels of the first level with a single label below them.
        set_rule: Rule that selects the label set of a document; None without calibration documents or without documents
            with several symbols.
        by_applicant: For a model that reads applicants, scores by level and by applicant: seen in training (``known``),
            not seen (``new``) or not named (``none``). Empty for any other model.
    """

    kind: str
    part: str
    n_documents: int
    levels: Mapping[str, LevelResult]
    all_right: Score
    absent_labels: tuple[str, ...]
    constant_labels: tuple[str, ...]
    set_rule: SetRule | None = None
    by_applicant: Mapping[str, Mapping[str, GroupScores]] = field(default_factory=dict)

    @property
    def top(self) -> LevelResult:
        """Result of the first level, which is the section level in the IPC."""
        return next(iter(self.levels.values()))

    @property
    def deepest(self) -> LevelResult:
        """Result of the deepest level."""
        return list(self.levels.values())[-1]

    def scores(self) -> dict[str, Score]:
        """Return every score by level and name, such as ``class.accuracy`` and ``path.all_right``, as in the report."""
        own = {f"{level}.{name}": score for level, own in self.levels.items() for name, score in own.scores().items()}
        own |= {
            f"{level}.accuracy[{group} applicant]": scores.accuracy
            for level, groups in self.by_applicant.items()
            for group, scores in groups.items()
        }
        return {**own, f"{EVERY_LEVEL}.all_right": self.all_right}

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON-serialisable values."""
        return asdict(self)
