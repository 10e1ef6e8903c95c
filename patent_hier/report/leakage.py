"""What leakage is worth: scores on the test part with and without the documents that have a relative in training."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST, find_damage, fingerprint
from patent_hier.atomic import read_json
from patent_hier.data.audit import LEAKING, leaked
from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import TEST
from patent_hier.evaluation.seeds import Spread
from patent_hier.report.scores import COMPARED, LEVELS, SystemScores, spread_at

Leakage = Mapping[str, Spread | None]  # by column of :data:`COLUMNS`; None where no document is left

# Each level on the whole test part and without leaked documents, the deepest on the leaked ones alone.
COLUMNS = (*(f"{what}{level}" for level in LEVELS for what in ("", "clean_")), f"leaked_{COMPARED}")


def leaked_ids(corpus: Corpus, codes: Mapping[str, NDArray[np.intp]], parts: NDArray[np.int8]) -> NDArray[Any]:
    """Test documents with a similar text, or a member of their family, in the training part: their ids, sorted."""
    found = np.zeros(corpus.size, bool)
    for name in LEAKING:
        found |= leaked(codes[name], parts)
    ids: NDArray[Any] = corpus.document_ids.to_numpy()[found & (parts == TEST)]
    return np.sort(ids.astype(str))


def leakage(scores: SystemScores, ids: NDArray[Any]) -> Leakage:
    """Score a system again without the leaked documents, and on them alone.

    Args:
        scores: The system's.
        ids: Of :func:`leaked_ids`.
    """
    is_leaked = np.isin(scores.first.document_ids.astype(str), ids)
    chosen = {"": np.ones_like(is_leaked), "clean": ~is_leaked, "leaked": is_leaked}

    def spread(column: str) -> Spread | None:
        what, _, level = column.rpartition("_")
        rows = chosen[what]
        return spread_at(list(scores.answers.values()), level, rows) if rows.any() else None

    return {column: spread(column) for column in COLUMNS}


@dataclass(frozen=True)
class PolicyScore:
    """One result of a corpus under one split.

    Attributes:
        system: Model, level, seed, and the settings' fingerprint without the split.
        split: Name of the split's folder, which begins with its policy.
        section: Section accuracy, as in ``result.json``.
        ipc_class: Class accuracy of the cascade or the flat model, likewise.
    """

    system: str
    split: str
    section: Mapping[str, Any]
    ipc_class: Mapping[str, Any]


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
        scores = (result["levels"][level]["accuracy"] for level in LEVELS)
        by_system[system].append(PolicyScore(system, split, *scores))
    return [one for own in by_system.values() if len({score.split for score in own}) > 1 for one in own]
