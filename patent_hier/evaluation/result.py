"""The result of an evaluation: each score with the documents and labels that it rests on, level by level."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from patent_hier.evaluation.metrics import Interval, wilson_interval
from patent_hier.evaluation.set_rule import SetRule

EVERY_LEVEL = "path"  # stands where a score's level does


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        value: Fraction, 0 to 1.
        n_documents: Documents that it was taken over.
        n_classes_with_support: Labels of the level in question that at least one of these documents has as its target.
        interval: 95 % interval; None where it would take too long.
    """

    value: float
    n_documents: int
    n_classes_with_support: int
    interval: Interval

    @classmethod
    def of_hits(cls, hits: int, n_documents: int, n_classes: int) -> "Score":
        """The fraction ``hits / n_documents`` with its Wilson interval."""
        return cls(hits / n_documents, n_documents, n_classes, wilson_interval(hits, n_documents))


@dataclass(frozen=True)
class LocalScore(Score):
    """The accuracy of the heads below one label over the documents whose true label it is.

    Attributes:
        n_labels: Labels that the heads can answer; 1 is a constant classifier, 0 a label without any.
    """

    n_labels: int


@dataclass(frozen=True)
class BandScores:
    """Scores of the documents whose true label has a number of training documents in one band.

    Attributes:
        top_1: As in :class:`LevelResult`; its ``n_documents`` are those of the band.
        top_5: Likewise.
    """

    top_1: Score
    top_5: Score


@dataclass(frozen=True)
class SetScores:
    """The scores of one level against *all* labels of a document there, those of its main and its further symbols.

    Attributes:
        true_labels: How many labels a document has, the mean.
        scores: By name. ``precision_at_k``, ``recall_at_k`` and ``ndcg_at_k`` ask how all labels are ranked. The others
            ask for the set that is named, if there is a rule for that: ``micro_precision``, ``micro_recall``,
            ``micro_f1``; ``macro_f1``, over the labels with support; ``exact``, the share of documents whose set is
            right as a whole. See :mod:`patent_hier.evaluation.set_scores`.
        threshold: The joint probability from which on a label is named, chosen on ``calibration``; None without a rule.
        named_labels: How many labels are named for a document, the mean; None without a rule.
    """

    true_labels: float
    scores: Mapping[str, Score]
    threshold: float | None = None
    named_labels: float | None = None


@dataclass(frozen=True)
class LevelResult:
    """The scores of one level, over the documents that have a label there.

    Attributes:
        level: The level's name.
        unseen_documents: Documents whose label training has never shown; they count as errors.
        unseen_labels: These labels.
        accuracy: What a user gets: of ``hier`` and ``shared`` the cascade, which decides level by level; of ``flat``
            the label of highest probability.
        top_1: The label of highest joint probability is the true one; ``top_3`` and ``top_5``: one of the first three
            or five is.
        oracle: The head of the *true* parent finds the label; None for ``flat``, which has no such heads.
        product: The product of ``oracle`` over this level and those above, the paper's equation (1); None for ``flat``.
        macro_f1: Of the answers that ``accuracy`` counts, over the labels with support.
        hierarchical_precision: Over the labels of the answered path down to this level; likewise recall and F1.
        wipo_top_prediction: WIPO's three measures rank by joint probability. *Top prediction*: the first label is the
            main symbol's; *three guesses*: one of the first three is; *any symbol* (the source's "all categories"): the
            first label is that of the main or of any further symbol.
        first_errors: The answered path goes wrong here, and not before; of all documents, so that the levels' shares
            and :attr:`Result.all_right` sum to 1.
        local: By label of the first level, the oracle's accuracy over its documents; empty at the first level itself.
        by_training_documents: By band of :data:`patent_hier.evaluation.frequency.BANDS`; empty where the training
            documents are not known.
        sets: Against all labels of a document; None where no document of the part has several symbols. Every score
            above is of the main symbol, the first one of a document, but for ``wipo_any_symbol``.

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
        """Every score by name.

        ``sets.micro_f1`` is of sets, ``oracle[A]`` of label A, ``top_1[1-4]`` of labels with 1 to 4 training documents.
        """
        named = {one.name: getattr(self, one.name) for one in fields(self)}
        own = {name: value for name, value in named.items() if isinstance(value, Score)}
        own |= {f"sets.{name}": score for name, score in (self.sets.scores if self.sets else {}).items()}
        own |= {f"oracle[{label}]": score for label, score in self.local.items()}
        bands = self.by_training_documents.items()
        return own | {f"{name}[{band}]": getattr(scores, name) for name in ("top_1", "top_5") for band, scores in bands}


@dataclass(frozen=True)
class GroupScores:
    """The accuracy of one group of documents by a model that reads context, beside the same model's without.

    Attributes:
        accuracy: As :attr:`LevelResult.accuracy`.
        without: That of the same model without context, on the same documents; None where it is not trained.
        gain: The difference of the two; None likewise.
        gain_interval: Its 95 % bootstrap interval over documents.
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
        part: The part that was scored.
        n_documents: Its documents.
        levels: By level, from the top.
        all_right: The answered path is right at every level at which the document has a label.
        absent_labels: Labels of the first level without documents in this part; they have weight 0.
        constant_labels: Labels of the first level with a single label below them.
        set_rule: Which labels make the set of a document; None without calibration documents or several symbols.
        by_applicant: Of a model that reads applicants, by level the scores of documents whose applicant training has
            shown (``known``) or not (``new``), or that name none (``none``); empty for any other model.
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
        """The first level: sections."""
        return next(iter(self.levels.values()))

    @property
    def deepest(self) -> LevelResult:
        """The last level."""
        return list(self.levels.values())[-1]

    def scores(self) -> dict[str, Score]:
        """Every score by level and name, such as ``class.accuracy``, and ``path.all_right``, as in the report."""
        own = {f"{level}.{name}": score for level, own in self.levels.items() for name, score in own.scores().items()}
        own |= {
            f"{level}.accuracy[{group} applicant]": scores.accuracy
            for level, groups in self.by_applicant.items()
            for group, scores in groups.items()
        }
        return {**own, f"{EVERY_LEVEL}.all_right": self.all_right}

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON-able values."""
        return asdict(self)
