"""Material for every part of the report in one language: evidence, scores and words of the tables."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patent_hier.data.audit import Audit
from patent_hier.data.labels import corpus_labels
from patent_hier.evaluation.significance import Comparison, compare_systems
from patent_hier.pipeline.evidence import NO_SEED, Evidence, Missing
from patent_hier.pipeline.relations import audit, load_relations
from patent_hier.pipeline.stages import load_parts
from patent_hier.report.figures import Pen, pen
from patent_hier.report.scores import COMPARED, HIERARCHICAL, SystemScores, hits_of_all, leaked_ids, score_all
from patent_hier.report.tables import ABSENT, Grid
from patent_hier.report.words import Language, word
from patent_hier.taxonomy.names import name_of
from patent_hier.taxonomy.symbols import SECTIONS

MOST_PANELS = 6  # systems in one figure; the tables list all


@dataclass(frozen=True, eq=False)
class Context:
    """The report's material in one language.

    Attributes:
        evidence: Results that the report covers.
        systems: Scores of all configurations; see :func:`patent_hier.report.scores.score_all`.
        language: Language of the words.
        audit: Audit of the split.
        leaked_ids: Ids from :func:`patent_hier.report.scores.leaked_ids`.
        shared: Overrides for corpus, split and folders given to the report; its commands repeat them.
    """

    evidence: Evidence
    systems: Sequence[SystemScores]
    language: Language
    audit: Audit
    leaked_ids: NDArray[Any]
    shared: tuple[str, ...]

    def command(self, *words: str) -> str:
        """Return a command of ``run.py`` for this corpus and split."""
        return shlex.join(["python", "run.py", *words, *self.shared])

    def word(self, key: str, **facts: object) -> str:
        """Return a word of the tables with ``facts`` filled into its placeholders."""
        return word(key, self.language).format(**facts)

    def grid(self, rows: Sequence[Mapping[str, str]], n_names: int = 1) -> Grid:
        """Return a table of rows with the same keys, which name the words of its header; no rows give no header."""
        grid = Grid.of("", rows, n_names)
        return replace(grid, header=tuple(key and self.word(key) for key in grid.header))

    @cached_property
    def documents(self) -> pd.DataFrame:
        """Every document of the corpus with its ``section``, its ``class`` and the number of its ``part``."""
        labels = corpus_labels(self.evidence.corpus, COMPARED)
        names = {level: labels.tree.names(labels.main[:, place]) for place, level in enumerate(labels.tree.levels)}
        return pd.DataFrame({**names, "part": load_parts(self.evidence.corpus, self.evidence.split)})

    @cached_property
    def pen(self) -> Pen:
        """The pen that draws the figures, with the names of all sections and classes of the corpus."""
        codes = (*SECTIONS, *sorted(self.documents["class"].unique()))
        return pen(self.language, {code: name_of(code, self.language) for code in codes})

    @property
    def hierarchical(self) -> list[SystemScores]:
        """The systems with nine models."""
        return [item for item in self.systems if item.kind == HIERARCHICAL]

    @cached_property
    def ranked(self) -> list[SystemScores]:
        """All systems, the most accurate first; among equals, systems with nine models come first."""
        return sorted(self.systems, key=lambda item: -item.best_guess.mean)

    @cached_property
    def seed_hits(self) -> Mapping[str, NDArray[np.bool_]]:
        """Hits on the test documents by system name, ``(n_seeds, n)``, the most accurate system first."""
        return hits_of_all(self.ranked, self.name)

    @cached_property
    def pairs(self) -> list[Comparison]:
        """All pairs of systems, compared on the same test documents."""
        return compare_systems(self.seed_hits)

    def name(self, system: SystemScores, label: str = "") -> str:
        """Return a system's name: its configuration, then its kind or the word ``label``."""
        return f"{system.configuration.name}, {self.word(label or system.kind)}"

    def gap(self, missing: Missing) -> str:
        """Return the name under which a table lists a system that lacks nodes."""
        return self.word("row_incomplete", name=missing.name, seed=missing.seed, nodes=", ".join(missing.nodes))


def contexts(evidence: Evidence, cache: Path, shared: tuple[str, ...]) -> dict[Language, Context]:
    """Score all systems, audit the split, and return the same material in both languages."""
    corpus, split = evidence.corpus, evidence.split
    relations = load_relations(corpus, cache)
    found = audit(corpus, split, split.name.split("-")[0], relations)
    ids = leaked_ids(corpus, relations, load_parts(corpus, split))
    scores, languages = score_all(evidence), get_args(Language)
    return {language: Context(evidence, scores, language, found, ids, shared) for language in languages}


def joined(values: Iterable[Any]) -> str:
    """Return the distinct values, sorted and separated by commas; a dash if there are none."""
    return ", ".join(map(str, sorted({value for value in values if value is not None}))) or ABSENT


def seeds_of(values: Iterable[int]) -> str:
    """Return seeds such as ``1, 2, 3``; a dash if no system has a seed."""
    return joined(seed for seed in values if seed != NO_SEED)
