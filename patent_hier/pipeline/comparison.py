"""Two finished systems on the same documents, level by level: what one gains over the other, and whether by chance."""

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
``p_value`` of McNemar's exact test; the ``documents``, and how many ``only_first`` or ``only_second`` got right."""


def compare_on_test(first: Mapping[str, Path], second: Mapping[str, Path], corpus: Corpus, names: Names) -> Compared:
    """The first system less the second, on the test documents of both.

    Args:
        first: Its nodes, each with its folder.
        second: Likewise, of the same corpus and split.
        corpus: The corpus.
        names: What to call the two.
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
    """One level of :data:`Compared`.

    Args:
        first: ``(n,)``, whether the first system is right; n is 1 or more.
        second: ``(n,)``, likewise.
        names: What to call the two.
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
    """The comparison for people, a line for each level.

    Args:
        compared: It.
        where: What the documents are.
    """
    for level, own in compared.items():
        first, second = list(own)[:2]
        yield (
            f"{level}: {first} {100 * own[first]:.1f} %, {second} {100 * own[second]:.1f} %, difference "
            f"{100 * own['difference']:+.1f} points (95 % interval {100 * own['interval'][0]:+.1f} to "
            f"{100 * own['interval'][1]:+.1f}), McNemar p = {own['p_value']:.3g}, {own['documents']} {where}"
        )
