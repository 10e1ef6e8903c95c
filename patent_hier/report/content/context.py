"""What every part of the report reads, in one language: the evidence, the scores, the words of tables."""

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.audit import Audit
from patent_hier.data.labels import corpus_labels
from patent_hier.data.splits import TRAIN
from patent_hier.evaluation.result import Score
from patent_hier.evaluation.seeds import Spread
from patent_hier.evaluation.significance import Comparison, compare_systems
from patent_hier.pipeline.evidence import NO_SEED, Evidence
from patent_hier.pipeline.stages import load_parts
from patent_hier.report.figures import Language, Pen, pen
from patent_hier.report.scores import COMPARED, HIERARCHICAL, SystemScores, hits_of_all
from patent_hier.report.tables import Grid, percent
from patent_hier.taxonomy.names import name_of
from patent_hier.taxonomy.symbols import SECTIONS

ABSENT = "–"
MOST_PANELS = 6  # systems in one figure; the tables have all


@dataclass(frozen=True, eq=False)
class Context:
    """The report's material in one language.

    Attributes:
        evidence: What has been run.
        systems: Scores of all configurations, see :func:`patent_hier.report.scores.score_all`.
        language: Of the words.
        audit: What lies on two sides of the split.
        leaked_ids: Ids of the test documents with a relative in training, see :mod:`patent_hier.report.leakage`.
        shared: Overrides that the report was asked for: the corpus, the split and the folders of its commands.
    """

    evidence: Evidence
    systems: Sequence[SystemScores]
    language: Language
    audit: Audit
    leaked_ids: NDArray[Any]
    shared: tuple[str, ...] = ()

    def command(self, *words: str) -> str:
        """A command of ``run.py`` on this corpus and split."""
        return shlex.join(["python", "run.py", *words, *self.shared])

    def word(self, key: str, **facts: object) -> str:
        """A word of the tables; ``facts`` stand in its braces."""
        return str(_words()[key][self.language == "zh"]).format(**facts)

    def grid(self, columns: Iterable[str], rows: Iterable[Sequence[str]], n_names: int = 1) -> Grid:
        """A table; ``columns`` are the words of its header, an empty one has none."""
        return Grid("", tuple(column and self.word(column) for column in columns), tuple(map(tuple, rows)), n_names)

    @cached_property
    def parts(self) -> NDArray[np.int8]:
        """Part of every document of the corpus."""
        return load_parts(self.evidence.corpus, self.evidence.split)

    @cached_property
    def sections(self) -> NDArray[np.object_]:
        """Section of every document of the corpus."""
        return self._labels("section")

    @cached_property
    def classes(self) -> NDArray[np.object_]:
        """Class of every document of the corpus."""
        return self._labels("class")

    def _labels(self, level: str) -> NDArray[np.object_]:
        labels = corpus_labels(self.evidence.corpus, COMPARED)
        return labels.tree.names(labels.main[:, labels.tree.levels.index(level)])

    @cached_property
    def train_counts(self) -> dict[str, int]:
        """Training documents by class."""
        return dict(Counter(self.classes[self.parts == TRAIN].tolist()))

    @cached_property
    def pen(self) -> Pen:
        """What figures are written with; it knows the names of all sections and classes of the corpus."""
        codes = (*SECTIONS, *sorted(set(self.classes)))
        return pen(self.language, {code: name_of(code, self.language) for code in codes})

    @property
    def hierarchical(self) -> list[SystemScores]:
        """The systems of nine models."""
        return [item for item in self.systems if item.kind == HIERARCHICAL]

    @cached_property
    def ranked(self) -> list[SystemScores]:
        """All systems, the most accurate first; of equals, those of nine models."""
        return sorted(self.systems, key=lambda item: -item.best_guess.mean)

    @cached_property
    def targets(self) -> NDArray[Any]:
        """True classes of the test documents, in the order of every system's hits, ``(n,)``."""
        return self.systems[0].first.true[COMPARED]

    @cached_property
    def seed_hits(self) -> Mapping[str, NDArray[np.bool_]]:
        """Every system's hits on the test documents, ``(n_seeds, n)``, by its name, the most accurate first."""
        return hits_of_all(self.ranked, self.name)

    @cached_property
    def hits(self) -> dict[str, NDArray[np.bool_]]:
        """The same of each system's first seed, ``(n,)``."""
        return {name: hits[0] for name, hits in self.seed_hits.items()}

    @cached_property
    def pairs(self) -> list[Comparison]:
        """All pairs of systems, compared on the same test documents."""
        return compare_systems(self.seed_hits)

    def name(self, system: SystemScores, label: str = "") -> str:
        """What a system is called: its configuration and its kind, or the word ``label``."""
        return f"{system.configuration.name}, {self.word(label or system.kind)}"


@cache
def _words() -> Any:
    return json.loads(resources.files("patent_hier.resources").joinpath("report_words.json").read_text("utf-8"))


def mean_and_sd(spread: Spread) -> str:
    """``80.3``, or over several seeds ``80.3 ± 0.4``."""
    return percent(spread.mean) + (f" ± {percent(spread.sd)}" if spread.sd is not None else "")


def interval(spread: Spread | Score) -> str:
    """``77.0–83.4``."""
    low, high = spread.interval
    return f"{percent(low)}–{percent(high)}"


def with_interval(spread: Spread | None) -> str:
    """``80.3 (77.0–83.4)``, over several seeds ``80.3 ± 0.4 (77.0–83.4)``, on two lines; a dash for none."""
    return ABSENT if spread is None else f"{mean_and_sd(spread)}\n({interval(spread)})"


def percent_or_dash(value: float | None) -> str:
    """A fraction in percent; a dash for none."""
    return ABSENT if value is None else percent(value)


def joined(values: Iterable[Any]) -> str:
    """Different values in order, as a list; a dash if there are none."""
    return ", ".join(map(str, sorted({value for value in values if value is not None}))) or ABSENT


def seeds_of(values: Iterable[int]) -> str:
    """``1, 2, 3``; a dash for systems without a seed alone."""
    return joined(seed for seed in values if seed != NO_SEED)
