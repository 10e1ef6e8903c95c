"""Find the heads of a label tree that a revision affects: those in which some document's label has changed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from patent_hier.data.corpus import Corpus
from patent_hier.data.corrections import Corrections
from patent_hier.data.labels import DocumentLabels, corpus_labels
from patent_hier.settings import ROOT
from patent_hier.taxonomy.symbols import IPC_LEVELS
from patent_hier.taxonomy.tree import NONE, Positions

Heads = frozenset[tuple[str, str]]
"""Heads, each given by the level of its labels and their parent; ``root`` is the parent of the first level."""
Choices = frozenset[tuple[str, str, str]]
"""A document's labels, each as level, parent and label."""


def changed_heads(old: Corpus, new: Corpus, depth: str, *, every_symbol: bool) -> Heads:
    """Return the heads in which a document's label has changed, or in which it has gained or lost a label.

    Args:
        old: The old corpus.
        new: The new corpus.
        depth: The deepest level of the system.
        every_symbol: Whether the system is trained on all symbols of a document, not only on the main one.
    """
    before, after = (_choices(corpus, depth, every_symbol=every_symbol) for corpus in (old, new))
    return _different(before, after)


def changed_by_corrections(old: Path, new: Path, n_levels: int, *, every_symbol: bool) -> Heads:
    """Return the same for corrections, given their folders in the old and the new edition."""
    sides = []
    for folder in (old, new):
        own = Corrections.open(folder).learnt
        symbols = [paths if every_symbol else paths[:1] for paths in own.symbols(n_levels)]
        choices = (frozenset().union(*map(_along, paths)) for paths in symbols)
        sides.append(dict(zip(map(str, own.table["document_id"].to_pylist()), choices, strict=True)))
    return _different(*sides)


def _different(before: Mapping[str, Choices], after: Mapping[str, Choices]) -> Heads:
    return frozenset(
        (level, parent)
        for document, own in before.items()
        if after.get(document) != own
        for level, parent, _ in own ^ after.get(document, frozenset())
    )


def _along(path: Sequence[str | None]) -> Choices:
    """Return the labels on the path to an IPC label, each with level and parent."""
    codes = [code for code in path if code is not None]
    return frozenset(zip(IPC_LEVELS, [ROOT, *codes], codes, strict=False))


def _choices(corpus: Corpus, depth: str, *, every_symbol: bool) -> dict[str, Choices]:
    """Return the labels of every document, each with level and parent."""
    labels = corpus_labels(corpus, depth)
    known: dict[tuple[int, ...], Choices] = {}

    def choices(path: Positions) -> Choices:
        key = tuple(path.tolist())
        if key not in known:
            known[key] = _along([None if place == NONE else str(labels.tree.codes[place]) for place in key])
        return known[key]

    found = {}
    for row, name in enumerate(map(str, corpus.document_ids.to_pylist())):
        own = list(map(choices, _paths(labels, row, every_symbol=every_symbol)))
        found[name] = own[0] if len(own) == 1 else frozenset().union(*own)  # most documents share their choices
    return found


def _paths(labels: DocumentLabels, row: int, *, every_symbol: bool) -> list[Positions]:
    main: list[Positions] = [labels.main[row]]
    return [*main, *labels.further[labels.offsets[row] : labels.offsets[row + 1]]] if every_symbol else main
