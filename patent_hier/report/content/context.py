"""What every part of the report reads, in one language: the evidence, the scores, the words."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.audit import Audit
from patent_hier.data.splits import TRAIN
from patent_hier.errors import ConfigError
from patent_hier.evaluation.hits import Truth
from patent_hier.evaluation.result import Score
from patent_hier.evaluation.seeds import Spread
from patent_hier.evaluation.significance import Comparison, compare_systems
from patent_hier.ipc import SECTIONS
from patent_hier.ipc_names import name_of
from patent_hier.pipeline.evidence import NO_SEED, Configuration, Evidence
from patent_hier.pipeline.stages import load_parts
from patent_hier.report.figures import Language
from patent_hier.report.scores import FlatScores, HierarchicalScores, class_hits
from patent_hier.report.tables import percent

ABSENT = "–"
MOST_PANELS = 6  # systems in one figure; the tables have all


@dataclass(frozen=True, eq=False)
class Context:
    """The report's material in one language.

    Attributes:
        evidence: What has been run.
        truth: What the corpus says of its documents.
        hierarchical: Scores of the nine-model configurations, the best cascade first.
        flat: Scores of the flat classifiers, the best first.
        language: Of the words.
        audit: What lies on two sides of the split.
        leaked_ids: Ids of the test documents with a relative in training, see :mod:`patent_hier.report.leakage`.
        shared: Overrides that the report was asked for: the corpus, the split and the folders of its commands.
    """

    evidence: Evidence
    truth: Truth
    hierarchical: Sequence[HierarchicalScores]
    flat: Sequence[FlatScores]
    language: Language
    audit: Audit
    leaked_ids: NDArray[Any]
    shared: tuple[str, ...] = ()

    def command(self, *words: str) -> str:
        """A command of ``run.py`` on this corpus and split."""
        return shlex.join(["python", "run.py", *words, *self.shared])

    def say(self, key: str, **facts: object) -> str:
        """A sentence of the report in this language.

        Args:
            key: Its name in ``report_text.json``.
            facts: What stands in its braces.

        Raises:
            ConfigError: If there is no such sentence.
        """
        try:
            return str(_texts()[key][self.language]).format(**facts)
        except KeyError as error:
            raise ConfigError(f"report_text.json has no text {key!r} with {error}; add it") from error

    @cached_property
    def parts(self) -> NDArray[np.int8]:
        """Part of every document of the corpus."""
        return load_parts(self.evidence.corpus, self.evidence.split)

    @cached_property
    def train_counts(self) -> dict[str, int]:
        """Training documents by class."""
        classes, counts = np.unique(self.truth.classes[self.parts == TRAIN], return_counts=True)
        return dict(zip(classes.tolist(), counts.tolist(), strict=True))

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Name of every section and class of the corpus by its code."""
        return {code: name_of(code, self.language) for code in (*SECTIONS, *np.unique(self.truth.classes).tolist())}

    @cached_property
    def targets(self) -> NDArray[Any]:
        """True classes of the test documents, in the order of every system's hits, ``(n,)``; empty without systems."""
        if self.hierarchical:
            return next(iter(self.hierarchical[0].hits.values())).targets
        return next(iter(self.flat[0].hits.values())).targets if self.flat else np.array([], dtype=object)

    @cached_property
    def seed_hits(self) -> dict[str, NDArray[np.bool_]]:
        """Every system's hits on the test documents, ``(n_seeds, n)``, by its name, the most accurate system first."""
        hits = class_hits(self.hierarchical, self.flat, self.name)
        return dict(sorted(hits.items(), key=lambda item: -float(item[1].mean())))

    @cached_property
    def hits(self) -> dict[str, NDArray[np.bool_]]:
        """The same of each system's first seed, ``(n,)``."""
        return {name: hits[0] for name, hits in self.seed_hits.items()}

    @cached_property
    def pairs(self) -> list[Comparison]:
        """All pairs of systems, compared on the same test documents."""
        return compare_systems(self.seed_hits)

    @property
    def configurations(self) -> list[tuple[Configuration, str]]:
        """Everything that was run, each with its kind for :meth:`name`; systems of nine models first."""
        nine = [(item, "hierarchical") for item in self.evidence.hierarchical]
        return nine + [(item, "flat_model") for item in self.evidence.flat]

    def name(self, configuration: Configuration, kind: str) -> str:
        """What a system is called.

        Args:
            configuration: What was run.
            kind: ``hierarchical`` or ``flat_model``.
        """
        return f"{configuration.name}, {self.say(kind)}"

    @property
    def is_demo(self) -> bool:
        """Whether the corpus is the generated one."""
        return bool(self.evidence.corpus.manifest["name"] == "demo")


@cache
def _texts() -> Any:
    return json.loads(resources.files("patent_hier.resources").joinpath("report_text.json").read_text("utf-8"))


def mean_and_sd(spread: Spread) -> str:
    """``80.3``, or over several seeds ``80.3 ± 0.4``."""
    return percent(spread.mean) + (f" ± {percent(spread.sd)}" if spread.sd is not None else "")


def interval(spread: Spread | Score) -> str:
    """``77.0–83.4``."""
    low, high = spread.interval
    return f"{percent(low)}–{percent(high)}"


def with_interval(spread: Spread) -> str:
    """``80.3 (77.0–83.4)``, over several seeds ``80.3 ± 0.4 (77.0–83.4)``; on two lines."""
    return f"{mean_and_sd(spread)}\n({interval(spread)})"


def seeds_of(values: Iterable[int]) -> str:
    """``1, 2, 3``; a dash for systems without a seed alone."""
    return ", ".join(str(seed) for seed in sorted(values) if seed != NO_SEED) or ABSENT
