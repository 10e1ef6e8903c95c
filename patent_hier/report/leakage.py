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
from patent_hier.evaluation.hits import FlatHits, SystemHits
from patent_hier.evaluation.seeds import Spread, spread_of_hits
from patent_hier.report.scores import FlatScores, HierarchicalScores

_CLASS = ("cascade_accuracy", "flat_accuracy")  # of a result, whichever it has


@dataclass(frozen=True)
class Leakage:
    """A system's scores with and without leaked documents.

    Attributes:
        section: On the whole test part.
        ipc_class: On the whole test part: the cascade's, or the flat model's.
        clean_section: Without leaked documents; None if that leaves none.
        clean_class: Without leaked documents; None if that leaves none.
        leaked_class: On the leaked documents alone; None if there are none.
    """

    section: Spread
    ipc_class: Spread
    clean_section: Spread | None
    clean_class: Spread | None
    leaked_class: Spread | None


def leaked_ids(corpus: Corpus, codes: Mapping[str, NDArray[np.intp]], parts: NDArray[np.int8]) -> NDArray[Any]:
    """Test documents with a similar text, or a member of their family, in the training part: their ids, sorted."""
    found = np.zeros(corpus.size, bool)
    for name in LEAKING:
        found |= leaked(codes[name], parts)
    ids: NDArray[Any] = corpus.document_ids.to_numpy()[found & (parts == TEST)]
    return np.sort(ids.astype(str))


def leakage(scores: HierarchicalScores | FlatScores, ids: NDArray[Any]) -> Leakage:
    """Score a system again without the leaked documents.

    Args:
        scores: The system's.
        ids: Of :func:`leaked_ids`.
    """
    by_seed: list[SystemHits | FlatHits] = list(scores.hits.values())
    first = by_seed[0]
    section = np.stack([item.section_hits for item in by_seed])
    whole = np.stack([item.cascade_hits if isinstance(item, SystemHits) else item.class_hits for item in by_seed])
    is_leaked = np.isin(first.document_ids.astype(str), ids)

    def spread(hits: NDArray[np.bool_], labels: NDArray[Any], chosen: NDArray[np.bool_]) -> Spread | None:
        return spread_of_hits(hits[:, chosen], len(np.unique(labels[chosen]))) if chosen.any() else None

    return Leakage(
        spread_of_hits(section, len(np.unique(first.sections))),
        spread_of_hits(whole, len(np.unique(first.targets))),
        spread(section, first.sections, ~is_leaked),
        spread(whole, first.targets, ~is_leaked),
        spread(whole, first.targets, is_leaked),
    )


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
        found = next(result[name] for name in _CLASS if result.get(name))
        split = str(manifest["data"]["split"])
        by_system[system].append(PolicyScore(system, split, result["section_accuracy"], found))
    return [one for own in by_system.values() if len({score.split for score in own}) > 1 for one in own]
