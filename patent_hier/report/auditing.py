"""The audit of a split as tables, and as a folder: ``audit.json``, ``audit.md``, ``manifest.json``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from patent_hier.artifacts import refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, write_json
from patent_hier.data.audit import Audit
from patent_hier.data.splits import PARTS
from patent_hier.evaluation.seeds import Spread
from patent_hier.pipeline.environment import describe_environment
from patent_hier.report.leakage import COLUMNS, Leakage, PolicyScore
from patent_hier.report.scores import COMPARED
from patent_hier.report.tables import Grid, grids_markdown, percent

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
    grids = [_relations(audit, split), _dates(audit)]
    if leakages:
        grids.append(_leakages(leakages))
    if policies:
        grids.append(_policies(policies))
    return grids


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
    rows = []
    for relation in audit.relations:
        cells = [f"{relation.leaked[part]:,} ({percent(relation.shares[part])} %)" for part in relation.leaked]
        name = _RELATIONS[relation.name]
        rows.append((name, *(f"{n:,}" for n in (relation.groups, relation.documents, relation.torn)), *cells))
    parts = ", ".join(f"{name} {count:,}" for name, count in audit.documents.items())
    title = f"Relatives on two sides of the split {split} ({parts} documents)"
    in_train = [f"{part} in train" for part in audit.relations[0].leaked]
    return Grid(title, ("relatives", "groups", "documents", "in several parts", *in_train), tuple(rows))


def _dates(audit: Audit) -> Grid:
    rows = []
    for part in PARTS:
        own = audit.dates[part]
        rows.append((part, f"{audit.documents[part]:,}", own["first"] or "–", own["last"] or "–", str(own["without"])))
    return Grid("Days of application", ("part", "documents", "first", "last", "without a day"), tuple(rows))


def _leakages(leakages: Mapping[str, Leakage]) -> Grid:
    rows = []
    for name, found in leakages.items():
        counts = (found[COMPARED], found[f"clean_{COMPARED}"])
        documents = (f"{spread.n_documents:,}" if spread else "0" for spread in counts)
        rows.append((name, *("–" if spread is None else _cell(spread) for spread in found.values()), *documents))
    columns = (", ".join(reversed(column.split("_"))) for column in COLUMNS)  # "class, clean"
    title = "What leakage is worth (% accuracy on test; clean: without leaked documents)"
    return Grid(title, ("system", *columns, "documents", "clean"), tuple(rows))


def _policies(policies: Sequence[PolicyScore]) -> Grid:
    rows = [
        (
            score.system,
            score.split.rpartition("-")[0],
            _cell(score.section),
            _cell(score.ipc_class),
            f"{score.ipc_class['n_documents']:,}",
            str(score.ipc_class["n_classes_with_support"]),
        )
        for score in policies
    ]
    header = ("system", "split", "section", "class", "documents", "classes")
    return Grid("Equal systems under several splits (% accuracy on each split's own test part)", header, tuple(rows), 2)


def _cell(score: Spread | Mapping[str, Any]) -> str:
    own = asdict(score) if isinstance(score, Spread) else score
    low, high = own["interval"]
    return f"{percent(own['mean' if 'mean' in own else 'value'])} ({percent(low)}–{percent(high)})"
