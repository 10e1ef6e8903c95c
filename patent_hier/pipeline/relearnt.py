"""Compare a system that has learnt from corrections with its predecessor, and decide whether it is better."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST
from patent_hier.atomic import read_json, read_yaml
from patent_hier.data.corpus import Corpus
from patent_hier.data.corrections import Corrections
from patent_hier.errors import ConfigError
from patent_hier.inference.answering import Answering, Question
from patent_hier.inference.blocked import Blocked
from patent_hier.inference.nodes import CONFIG_FILE
from patent_hier.inference.predictor import System, assemble
from patent_hier.pipeline.comparison import Compared, Names, compare, compare_on_test
from patent_hier.pipeline.learning import found_corrections
from patent_hier.pipeline.members import Member
from patent_hier.pipeline.suite import SuiteResult
from patent_hier.taxonomy.lookup import LabelLookup

NAMES: Names = ("after", "before")
CERTAIN = 0.05  # p-value below which a loss is significant


@dataclass(frozen=True)
class Verdict:
    """The effect of learning on accuracy.

    Attributes:
        test: Comparison on the test part, which neither system has seen.
        corrections: Comparison on the held-out corrections; empty if there are none.
    """

    test: Compared
    corrections: Compared

    @property
    def problem(self) -> str | None:
        """The reason for keeping the earlier system, in one line; None if the new one should be used.

        The deepest level decides. The earlier system is kept if the new one is significantly worse on either set of
        documents (McNemar's exact test, p < 0.05) or better on neither.
        """
        gains = []
        for where, compared in (("the test part", self.test), ("held-out corrections", self.corrections)):
            if not compared:
                continue
            level, own = list(compared.items())[-1]
            gains.append(own["difference"] > 0)
            if own["difference"] < 0 and own["p_value"] < CERTAIN:
                return (
                    f"{level} on {where}: {100 * own['after']:.1f} % after, {100 * own['before']:.1f} % before, "
                    f"McNemar p = {own['p_value']:.2g}"
                )
        return None if any(gains) else "it is better neither on the test part nor on held-out corrections"

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON-serialisable values."""
        return {"test": self.test, "held_out_corrections": self.corrections, "problem": self.problem}


def judge(after: SuiteResult, before: Member, corrections: Corrections, corpus: Corpus) -> Verdict:
    """Compare a system with its predecessor.

    Args:
        after: The new system, not yet saved.
        before: The earlier system.
        corrections: The corrections on which both are compared.
        corpus: The corpus of both.
    """
    test = compare_on_test(after.nodes, before.nodes, corpus, NAMES)
    if not len(corrections):
        return Verdict(test, {})
    model = str(before.manifest["model"])
    hits = [_hits(assemble(model, nodes), corrections) for nodes in (after.nodes, before.nodes)]
    levels = [level for level in hits[0] if level in hits[1]]
    return Verdict(test, {level: compare(hits[0][level], hits[1][level], NAMES) for level in levels})


def _hits(system: System, corrections: Corrections) -> dict[str, NDArray[np.bool_]]:
    """Return by level whether the most probable path has the true label, for corrections with a label at that level."""
    levels = system.tree.levels
    truth = [own[0] for own in corrections.symbols(len(levels))]
    answering = Answering(system.tree, lambda: LabelLookup(system.tree), Blocked(system.tree, {})).ask(
        Question(top_k=1)
    )
    found: list[dict[str, str]] = []
    for portion in system.portions(corrections.documents(system.raw.context)):
        scores = system.whole(system.log_prob(portion))
        for one in answering.answers(scores, ""):
            found.append({step.level: step.label for step in one.paths[0].steps})
    return {
        level: np.array([own.get(level) == path[place] for own, path in labelled], np.bool_)
        for place, level in enumerate(levels)
        if (labelled := [pair for pair in zip(found, truth, strict=True) if place < len(pair[1]) and pair[1][place]])
    }


def member_results(combination: Member) -> list[Path]:
    """Return the result folders of an ensemble's members: the recorded ones, or those next to the ensemble's folder.

    Raises:
        ConfigError: If one no longer exists.
    """
    config: Mapping[str, Any] = read_yaml(next(iter(combination.nodes.values())) / CONFIG_FILE)
    found = []
    for named in (Path(member["result"]) for member in config["members"]):
        beside = combination.result.parent.parent / named.parent.name / named.name
        if not (result := named if named.is_dir() else beside).is_dir():
            raise ConfigError(f"{combination.result} needs its member {named}, which is missing; restore that folder")
        found.append(result)
    return found


def lineage(result: Path) -> dict[str, Any]:
    """Return the record of how a result was learnt; version 1 for a result without such a record."""
    file = record_of(result)
    facts: dict[str, Any] = read_json(file) if file.is_file() else {"version": 1}
    return facts


def record_of(folder: Path) -> Path:
    """Return the path of the record of how a result was learnt or why it was refused, next to the result's folder."""
    return folder.with_name(folder.name.replace("result-", "learnt-", 1) + ".json")


def migrated_content(member: Member) -> dict[str, Any]:
    """Return the part of a system's content about its migration to another edition; empty without migration."""
    content: Mapping[str, Any] = read_json(next(iter(member.nodes.values())) / MANIFEST)["content"]
    return {key: value for key, value in content.items() if key == "migrated"}


def earlier_corrections(member: Member, cache: Path) -> Path | None:
    """Return the folder of the corrections that a system has already learnt; None if there are none.

    Args:
        member: The system.
        cache: The cache folder.

    Raises:
        ConfigError: If the folder no longer exists; without it, the system would forget the corrections.
    """
    config: Mapping[str, Any] = read_yaml(next(iter(member.nodes.values())) / CONFIG_FILE)
    named = (config.get("learn") or {}).get("corrections")
    return None if named is None else found_corrections(str(named), cache)
