"""Audit of a split as tables and as a folder with ``audit.json``, ``audit.md`` and ``manifest.json``."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from patent_hier.artifacts import MANIFEST, find_damage, fingerprint, refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.data.audit import Audit
from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import PARTS
from patent_hier.evaluation.result import Score
from patent_hier.evaluation.seeds import as_score
from patent_hier.pipeline.environment import describe_environment
from patent_hier.pipeline.text_read import ReadBefore
from patent_hier.report.scores import COMPARED, LEVELS, Leakage
from patent_hier.report.tables import ABSENT, Grid, grids_markdown, percent, with_interval

TABLE_FILE = "audit.md"
_KIND = "audit"
_KEYS = {"class": "ipc_class"}  # keys that audit.json renames
_RELATIONS = {"equal": "identical texts", "similar": "similar texts", "family": "families", "applicant": "applicants"}
_NOTES = (
    "Similar: at least 0.8 of the character trigrams in common; identical texts are also similar. Family: same "
    "applicant and same title or text.",
    "In train: documents of the part with a related document in train, and their share of the part.",
)
_LEAKAGE_NOTE = (
    "Leaked: test documents with a similar text or a family member in train. Means over seeds; 95 % intervals."
)


@dataclass(frozen=True)
class PolicyScore:
    """Scores of one result of a corpus under one split.

    Attributes:
        system: Model, level, seed, and the fingerprint of the settings without the split.
        split: Name of the split's folder, which starts with the policy.
        section: Section accuracy.
        ipc_class: Class accuracy of the cascade or the flat model.
    """

    system: str
    split: str
    section: Score
    ipc_class: Score


def scores_by_policy(runs_dir: Path, corpus: Corpus) -> list[PolicyScore]:
    """Return the results of one corpus that differ only in the split, if a system has more than one split.

    Args:
        runs_dir: Folder of the results.
        corpus: The corpus.

    Raises:
        ArtifactError: If a result is damaged.
    """
    by_system: dict[str, list[PolicyScore]] = defaultdict(list)
    for file in sorted(runs_dir.glob(f"[!.]*/result-*/{MANIFEST}")):
        manifest = read_json(file)
        if manifest.get("kind") != "result" or manifest.get("data", {}).get("corpus") != corpus.fingerprint:
            continue
        nodes = [file.parents[1] / Path(folder).name for folder in manifest["nodes"].values()]
        if find_damage(file.parent) or not nodes or find_damage(nodes[0]):
            continue
        content = {key: value for key, value in read_json(nodes[0] / MANIFEST)["content"].items() if key != "split"}
        result = read_json(file.parent / "result.json")
        level = file.parent.name.split("-")[1]
        system = f"{manifest['model']} {level} seed={manifest['seed']} {fingerprint(content)[:6]}"
        split = str(manifest["data"]["split"])
        scores = (Score(**result["levels"][level]["accuracy"]) for level in LEVELS)
        by_system[system].append(PolicyScore(system, split, *scores))
    return [one for own in by_system.values() if len({score.split for score in own}) > 1 for one in own]


@dataclass(frozen=True)
class AuditReport:
    """Findings about a split.

    Attributes:
        split: Name of the split.
        audit: Findings of the audit.
        leakages: Effect of leakage on the scores, by system.
        policies: Scores of identical systems under several splits.
        encoder: Name of the encoder and the test documents that it has read; None if this is not recorded.
    """

    split: str
    audit: Audit
    leakages: Mapping[str, Leakage]
    policies: Sequence[PolicyScore]
    encoder: tuple[str, ReadBefore] | None = None

    @property
    def grids(self) -> list[Grid]:
        """The tables of the report."""
        grids = [_relations(self.audit, self.split), _dates(self.audit)]
        return [*grids, *(grid for grid in (_leakages(self.leakages), _policies(self.policies)) if grid.rows)]

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes printed below the tables."""
        notes = (*_NOTES, _LEAKAGE_NOTE) if self.leakages else _NOTES
        return notes if self.encoder is None else (*notes, self.encoder[1].in_words(self.encoder[0]))

    def write(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Write the folder, replacing an older audit in it.

        Args:
            folder: Folder to write.
            facts: Corpus and split, for the manifest.

        Raises:
            ConfigError: If the folder contains anything other than an audit.
        """
        refuse_foreign(folder, _KIND)
        leakage = {
            name: {_KEYS.get(key, key): spread and asdict(spread) for key, spread in found.items()}
            for name, found in self.leakages.items()
        }
        content = {**self.audit.as_dict(), "leakage": leakage, "policies": [asdict(score) for score in self.policies]}
        if self.encoder is not None:
            content["encoder"] = {"name": self.encoder[0], **asdict(self.encoder[1])}
        with exclusive(folder), atomic_folder(folder) as staging:
            write_json(staging / "audit.json", content)
            (staging / TABLE_FILE).write_text(grids_markdown(self.grids, self.notes), "utf-8")
            seal(staging, {"kind": _KIND, **facts, "environment": describe_environment()})


def _relations(audit: Audit, split: str) -> Grid:
    rows = [
        {
            "relation": _RELATIONS[relation.name],
            "groups": f"{relation.groups:,}",
            "documents": f"{relation.documents:,}",
            "in several parts": f"{relation.torn:,}",
            **{
                f"{part} in train": f"{n:,} ({percent(relation.shares[part])} %)" for part, n in relation.leaked.items()
            },
        }
        for relation in audit.relations
    ]
    parts = ", ".join(f"{name} {count:,}" for name, count in audit.documents.items())
    return Grid.of(f"Related documents in different parts of the split {split} ({parts} documents)", rows)


def _dates(audit: Audit) -> Grid:
    rows = [
        {
            "part": part,
            "documents": f"{audit.documents[part]:,}",
            "first": audit.dates[part]["first"] or ABSENT,
            "last": audit.dates[part]["last"] or ABSENT,
            "without a date": str(audit.dates[part]["without"]),
        }
        for part in PARTS
    ]
    return Grid.of("Application dates", rows)


def _leakages(leakages: Mapping[str, Leakage]) -> Grid:
    rows = []
    for name, found in leakages.items():
        scores = {  # "class, clean"
            ", ".join(reversed(column.split("_"))): with_interval(spread and as_score(spread), " ")
            for column, spread in found.items()
        }
        counts = (found[COMPARED], found[f"clean_{COMPARED}"])
        documents, clean = (f"{spread.n_documents:,}" if spread else "0" for spread in counts)
        rows.append({"system": name, **scores, "documents": documents, "clean": clean})
    return Grid.of("Effect of leakage (accuracy on test in %; clean: without leaked documents)", rows)


def _policies(policies: Sequence[PolicyScore]) -> Grid:
    rows = [
        {
            "system": score.system,
            "split": score.split.rpartition("-")[0],
            "section": with_interval(score.section, " "),
            "class": with_interval(score.ipc_class, " "),
            "documents": f"{score.ipc_class.n_documents:,}",
            "classes": str(score.ipc_class.n_classes_with_support),
        }
        for score in policies
    ]
    return Grid.of("Identical systems under several splits (accuracy in % on the test part of each split)", rows, 2)
