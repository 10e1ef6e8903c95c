"""What an evaluation came to: each score with the documents and classes that it rests on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from patent_hier.evaluation.metrics import Interval, wilson_interval


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        value: Fraction, 0 to 1.
        n_documents: Documents that it was taken over.
        n_classes_with_support: Labels of the level in question that at least one of these documents has as its target.
        interval: 95 % interval.
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
    """The accuracy of one local classifier over the documents whose true section is its own.

    Attributes:
        n_labels: Classes that the classifier can answer; 1 is a constant classifier, 0 a section without any.
    """

    n_labels: int


@dataclass(frozen=True)
class Result:
    """What the results of both kinds of systems share.

    Attributes:
        part: The part that was scored.
        n_documents: Its documents.
        unseen_documents: Those whose class no model could answer; they count as errors.
        unseen_classes: The classes of these documents.
    """

    part: str
    n_documents: int
    unseen_documents: int
    unseen_classes: tuple[str, ...]

    def scores(self) -> dict[str, Score]:
        """Every score by name, in the order of the report; ``local_accuracy[A]`` stands for one of section A."""
        result: dict[str, Score] = {}
        for name, value in ((field.name, getattr(self, field.name)) for field in fields(self)):
            if isinstance(value, Score):
                result[name] = value
            elif isinstance(value, Mapping):
                result |= {f"{name}[{section}]": score for section, score in value.items()}
        return result

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True)
class HierarchicalResult(Result):
    """The result of nine local classifiers, one for each parent node.

    Attributes:
        section_accuracy: Of the section model.
        local_accuracy: By section, of its class model over the documents whose true section it is. A section without
            documents is left out.
        oracle_accuracy: Document-weighted mean of ``local_accuracy``: the true section is given.
        product_accuracy: ``section_accuracy * oracle_accuracy``, the paper's equation (1).
        cascade_accuracy: What a user gets: the predicted section, then the class that its model predicts.
        top_1: By joint probability P(section) P(class | section) over all classes; likewise ``top_3``, ``top_5``.
        macro_f1: Of the cascade's classes, over the classes with support.
        hierarchical_precision: Of the cascade, over sections and classes; likewise recall and F1. Equal, because every
            path has two labels.
        wipo_top_prediction: WIPO's three measures rank the classes by joint probability. *Top prediction*: the first
            class is the main symbol's; *three guesses*: one of the first three is; *any symbol* (the source's "all
            categories"): the first class is that of the main or of any further symbol.
        routing_errors: Documents in a wrong section. ``cascade_accuracy`` is 1 less these and ``local_errors``;
            ``oracle_accuracy - cascade_accuracy`` is the share that only the wrong section has cost.
        local_errors: Documents in the right section but a wrong class.
        absent_sections: Sections without documents in this part; they have weight 0.
        constant_sections: Sections whose model knows one class only.

    Source: equation (1) of arXiv:1911.06241; Fall, Törcsvári, Benzineb and Karetka, "Automated categorization in the
    International Patent Classification", ACM SIGIR Forum 37(1), 2003.
    """

    section_accuracy: Score
    local_accuracy: dict[str, LocalScore]
    oracle_accuracy: Score
    product_accuracy: Score
    cascade_accuracy: Score
    top_1: Score
    top_3: Score
    top_5: Score
    macro_f1: Score
    hierarchical_precision: Score
    hierarchical_recall: Score
    hierarchical_f1: Score
    wipo_top_prediction: Score
    wipo_three_guesses: Score
    wipo_any_symbol: Score
    routing_errors: Score
    local_errors: Score
    absent_sections: tuple[str, ...]
    constant_sections: tuple[str, ...]


@dataclass(frozen=True)
class FlatResult(Result):
    """The result of one classifier over all classes at once.

    Attributes:
        flat_accuracy: Of the most probable class.
        top_3: Likewise ``top_5``.
        macro_f1: Over the classes with support.
        hierarchical_precision: Over the predicted class and its section; likewise recall and F1.
        section_accuracy: Of the section with the largest sum of its classes' probabilities.
        wipo_any_symbol: WIPO's third measure; ``None`` where further symbols were not given. Its first two are
            ``flat_accuracy`` and ``top_3``.
    """

    flat_accuracy: Score
    top_3: Score
    top_5: Score
    macro_f1: Score
    hierarchical_precision: Score
    hierarchical_recall: Score
    hierarchical_f1: Score
    section_accuracy: Score
    wipo_any_symbol: Score | None
