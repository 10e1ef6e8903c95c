"""Compare two finished systems on the same documents, level by level: differences in accuracy, and significance."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.corpus import Corpus
from patent_hier.evaluation.aggregate import has_label, level_hits
from patent_hier.evaluation.significance import compare_systems
from patent_hier.evaluation.system import aligned
from patent_hier.pipeline.suite import read_system

Names = tuple[str, str]
Compared = dict[str, dict[str, Any]]
"""By level: the accuracy of each system under its name; their ``difference`` with its 95 % bootstrap ``interval``; the
``p_value`` of McNemar's exact test; the number of ``documents``; and the numbers of documents that ``only_first`` or
``only_second`` classified correctly."""


def compare_on_test(first: Mapping[str, Path], second: Mapping[str, Path], corpus: Corpus, names: Names) -> Compared:
    """Compare two systems on their test documents; differences are the first system minus the second.

    Args:
        first: Node -> result folder of the first system.
        second: Node -> result folder of the second system, which has the same corpus and split.
        corpus: The corpus.
        names: Names of the two systems.
    """
    own, _ = read_system(first, corpus)
    other = aligned(read_system(second, corpus)[0], own.document_ids)
    hits = level_hits(own), level_hits(other)
    found: Compared = {}
    for scores in own.levels:
        rows = (own.parts == "test") & has_label(scores)
        if rows.any() and scores.level in hits[1]:
            found[scores.level] = compare(hits[0][scores.level][rows], hits[1][scores.level][rows], names)
    return found


def compare(first: NDArray[np.bool_], second: NDArray[np.bool_], names: Names) -> dict[str, Any]:
    """Return the comparison at one level, an entry of :data:`Compared`.

    Args:
        first: Whether the first system is right, ``(n,)``; n is 1 or more.
        second: Whether the second system is right, ``(n,)``.
        names: Names of the two systems.
    """
    pair = dict(zip(names, (first, second), strict=True))
    (compared,) = compare_systems({name: right[None] for name, right in pair.items()})
    return {
        **{name: float(right.mean()) for name, right in pair.items()},
        "difference": compared.difference,
        "interval": list(compared.interval),
        "p_value": compared.test.p_value,
        "only_first": compared.test.only_first,
        "only_second": compared.test.only_second,
        "documents": len(first),
    }


def lines_of(compared: Compared, where: str = "test documents") -> Iterable[str]:
    """Yield the comparison as text, one line for each level.

    Args:
        compared: The comparison.
        where: Name of the set of documents.
    """
    for level, own in compared.items():
        first, second = list(own)[:2]
        yield (
            f"{level}: {first} {100 * own[first]:.1f} %, {second} {100 * own[second]:.1f} %, difference "
            f"{100 * own['difference']:+.1f} points (95 % interval {100 * own['interval'][0]:+.1f} to "
            f"{100 * own['interval'][1]:+.1f}), McNemar p = {own['p_value']:.3g}, {own['documents']} {where}"
        )
