"""The audit of a split as tables, and as a folder: ``audit.json``, ``audit.md``, ``manifest.json``."""

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
from patent_hier.report.scores import COMPARED, LEVELS, Leakage
from patent_hier.report.tables import ABSENT, Grid, grids_markdown, percent, with_interval

JSON_FILE, TABLE_FILE = "audit.json", "audit.md"
_KIND = "audit"
_KEYS = {"class": "ipc_class"}  # of audit.json
_RELATIONS = {"equal": "equal texts", "similar": "similar texts", "family": "families", "applicant": "applicants"}
NOTES = (
    "Similar: at least 0.8 of the runs of three characters in common; equal texts are similar. Family: one applicant, "
    "and one title or text.",
    "In train: documents of that part with a relative in train, and their share of the part.",
)
LEAKAGE_NOTE = "Leaked: test documents with a similar text or a family member in train. Seeds together; 95 % intervals."


@dataclass(frozen=True)
class PolicyScore:
    """One result of a corpus under one split.

    Attributes:
        system: Model, level, seed, and the settings' fingerprint without the split.
        split: Name of the split's folder, which begins with its policy.
        section: Section accuracy.
        ipc_class: Class accuracy of the cascade or the flat model.
    """

    system: str
    split: str
    section: Score
    ipc_class: Score


def scores_by_policy(runs_dir: Path, corpus: Corpus) -> list[PolicyScore]:
    """Results of one corpus that differ in the split only; those with one split alone are left out.

    Args:
        runs_dir: Where results lie.
        corpus: The corpus.

    Raises:
        ArtifactError: If one of them is damaged.
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


def audit_tables(
    audit: Audit, leakages: Mapping[str, Leakage], policies: Sequence[PolicyScore], split: str
) -> list[Grid]:
    """The tables of an audit.

    Args:
        audit: What was found.
        leakages: By system, what leakage is worth.
        policies: Scores of equal systems under several splits.
        split: The split's name.
    """
    grids = [_relations(audit, split), _dates(audit), _leakages(leakages), _policies(policies)]
    return [grid for grid in grids if grid.rows]


def write_audit(
    folder: Path,
    audit: Audit,
    leakages: Mapping[str, Leakage],
    policies: Sequence[PolicyScore],
    facts: Mapping[str, Any],
) -> None:
    """Write the folder; an older audit in it is replaced.

    Args:
        folder: Where.
        audit: What was found.
        leakages: See :func:`audit_tables`.
        policies: See there.
        facts: Corpus and split, for the manifest; ``split`` names the split.

    Raises:
        ConfigError: If the folder holds something else.
    """
    refuse_foreign(folder, _KIND)
    grids = audit_tables(audit, leakages, policies, str(facts["split"]))
    notes = [*NOTES, *([LEAKAGE_NOTE] if leakages else [])]
    with exclusive(folder), atomic_folder(folder) as staging:
        content = {
            name: {_KEYS.get(key, key): spread and asdict(spread) for key, spread in found.items()}
            for name, found in leakages.items()
        }
        scores = [asdict(score) for score in policies]
        write_json(staging / JSON_FILE, {**audit.as_dict(), "leakage": content, "policies": scores})
        (staging / TABLE_FILE).write_text(grids_markdown(grids, notes), "utf-8")
        seal(staging, {"kind": _KIND, **facts, "environment": describe_environment()})


def _relations(audit: Audit, split: str) -> Grid:
    rows = [
        {
            "relatives": _RELATIONS[relation.name],
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
    return Grid.of(f"Relatives on two sides of the split {split} ({parts} documents)", rows)


def _dates(audit: Audit) -> Grid:
    rows = [
        {
            "part": part,
            "documents": f"{audit.documents[part]:,}",
            "first": audit.dates[part]["first"] or ABSENT,
            "last": audit.dates[part]["last"] or ABSENT,
            "without a day": str(audit.dates[part]["without"]),
        }
        for part in PARTS
    ]
    return Grid.of("Days of application", rows)


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
    return Grid.of("What leakage is worth (% accuracy on test; clean: without leaked documents)", rows)


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
    return Grid.of("Equal systems under several splits (% accuracy on each split's own test part)", rows, 2)
