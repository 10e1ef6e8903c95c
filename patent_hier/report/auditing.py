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
from patent_hier.report.leakage import Leakage, PolicyScore
from patent_hier.report.tables import Grid, percent

JSON_FILE, TABLE_FILE = "audit.json", "audit.md"
_KIND = "audit"
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
        content = {name: asdict(found) for name, found in leakages.items()}
        scores = [asdict(score) for score in policies]
        write_json(staging / JSON_FILE, {**audit.as_dict(), "leakage": content, "policies": scores})
        text = "\n".join([*(grid.markdown() for grid in grids), *(f"{note}\n" for note in notes)])
        (staging / TABLE_FILE).write_text(text, "utf-8")
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
        scores = (found.section, found.clean_section, found.ipc_class, found.clean_class, found.leaked_class)
        clean = found.clean_class.n_documents if found.clean_class else 0
        rows.append((name, *map(_cell, scores), f"{found.ipc_class.n_documents:,}", f"{clean:,}"))
    header = ("system", "section", "section, clean", "class", "class, clean", "class, leaked", "documents", "clean")
    return Grid("What leakage is worth (% accuracy on test; clean: without leaked documents)", header, tuple(rows))


def _policies(policies: Sequence[PolicyScore]) -> Grid:
    rows = [
        (
            score.system,
            score.split.rpartition("-")[0],
            _score(score.section),
            _score(score.ipc_class),
            f"{score.ipc_class['n_documents']:,}",
            str(score.ipc_class["n_classes_with_support"]),
        )
        for score in policies
    ]
    header = ("system", "split", "section", "class", "documents", "classes")
    return Grid("Equal systems under several splits (% accuracy on each split's own test part)", header, tuple(rows), 2)


def _cell(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    low, high = spread.interval
    return f"{percent(spread.mean)} ({percent(low)}–{percent(high)})"


def _score(score: Mapping[str, Any]) -> str:
    low, high = score["interval"]
    return f"{percent(score['value'])} ({percent(low)}–{percent(high)})"
