"""A finished system in a new edition of the scheme: what the revision does not touch keeps its weights and scores.

The corpus gets the new symbols, each document keeps its part, and for each node one of three things is done. A node
below which nothing changed is taken over as it is. Of a node with changes only the heads concerned are trained: those
in which some document's label is another than before. Models that have no heads that can be trained alone are trained
again.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from patent_hier.artifacts import MANIFEST, DigestCache, fingerprint, seal
from patent_hier.atomic import atomic_file, read_json, read_yaml
from patent_hier.data.corpus import Corpus
from patent_hier.data.corrections import CORRECTIONS_FILE, CORRECTIONS_KIND, Corrections
from patent_hier.data.labels import DocumentLabels, corpus_labels
from patent_hier.data.migrating import (
    MIGRATION_VERSION,
    Chooser,
    migrate_corpus,
    migrate_split,
    migrate_table,
)
from patent_hier.errors import ConfigError
from patent_hier.inference.nodes import CLASSIFIER_FILE, CONFIG_FILE, MODEL_FOLDER
from patent_hier.pipeline.members import Member
from patent_hier.pipeline.node import (
    HISTORY_FILE,
    METRICS_FILE,
    manifest_of,
    read_predictions,
    train_and_write,
    write_node,
)
from patent_hier.pipeline.plan import Given, NodePlan
from patent_hier.pipeline.stages import ensure, load_parts, split_of
from patent_hier.progress import say
from patent_hier.settings import as_dict
from patent_hier.taxonomy.concordance import Concordance
from patent_hier.taxonomy.table import read_rows
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions

if TYPE_CHECKING:
    from patent_hier.models.saved import NodeClassifier
    from patent_hier.training.fitted import Fitted
    from patent_hier.training.node_data import CorpusView

Heads = frozenset[tuple[str, str]]
"""Each head by the level of its labels and the label above them; ``root`` stands above the first level."""


@dataclass(frozen=True)
class Revision:
    """A change of the scheme.

    Attributes:
        path: The concordance's file.
        titles: A table of the new places' titles, by which documents of split symbols are told apart; None: without.
    """

    path: Path
    titles: Path | None = None

    @cached_property
    def concordance(self) -> Concordance:
        """What became of the symbols."""
        return Concordance.read(self.path)

    @cached_property
    def chooser(self) -> Chooser:
        """Chooses where a symbol was split."""
        if self.titles is None:
            return Chooser({})
        return Chooser({row.code: row.title for row in read_rows(self.titles, "level", "parent") if row.title})

    def content(self, cache: Path) -> list[Any]:
        """What decides the new symbols, beside the old ones."""
        digests = DigestCache(cache / "digests.json")
        return [MIGRATION_VERSION, digests.of(self.path), None if self.titles is None else digests.of(self.titles)]


def migrate_data(corpus: Corpus, split: Path, cache: Path, revision: Revision) -> tuple[Corpus, Path]:
    """Corpus and split in the new edition, as cache folders; made if they are not there.

    Args:
        corpus: The old corpus.
        split: The folder of its split.
        cache: The cache folder.
        revision: The change.

    Raises:
        DataError: If the concordance cannot be used, or leaves no document.
        ConfigError: If it changes no symbol of the corpus.
    """
    content = [*revision.content(cache), corpus.fingerprint]
    name = corpus.folder.name.removesuffix(f"-{corpus.fingerprint}")

    def make(staging: Path) -> None:
        migrate_corpus(corpus, revision.concordance, revision.chooser, staging, content)

    new = Corpus.open(ensure(cache / "corpora" / f"{name}-{fingerprint(content)}", make))
    facts = new.manifest["migrated"]
    if not facts["changed"]:
        raise ConfigError(f"{revision.path} changes no symbol of the corpus {corpus.folder}; nothing is to be done")
    say(f"{corpus.size} documents: {', '.join(f'{count} {fate}' for fate, count in facts['fates'].items())}")
    policy = split.name.rsplit("-", 1)[0]
    folder = cache / "splits" / f"{policy}-{fingerprint([split.name, new.fingerprint])}"
    return new, ensure(folder, lambda staging: migrate_split(split, new, staging))


def migrate_corrections(folder: Path, given: Given, cache: Path, revision: Revision) -> Path:
    """Learnt corrections in the new edition, as a cache folder; made if they are not there.

    Args:
        folder: The old ones.
        given: The new corpus and split.
        cache: The cache folder.
        revision: The change.
    """
    own = Corrections.open(folder)
    content = [*revision.content(cache), own.facts["sha256"], given.corpus.fingerprint, given.split.name]

    def make(staging: Path) -> None:
        table, _ = migrate_table(own.table, revision.concordance, revision.chooser)
        with atomic_file(staging / CORRECTIONS_FILE) as partial:
            pq.write_table(table, partial, compression="zstd")
        facts = {key: own.facts[key] for key in ("source", "held_out", "counts")}
        data = {"corpus": given.corpus.fingerprint, "split": given.split.name}
        seal(staging, {"kind": CORRECTIONS_KIND, **facts, **data})

    return ensure(cache / "corrections" / fingerprint(content), make)


def changed_heads(old: Corpus, new: Corpus, depth: str, *, every_symbol: bool) -> Heads:
    """The heads in which some document has another label than before, or one more or less.

    Args:
        old: The old corpus.
        new: The new one.
        depth: The deepest level that is learnt.
        every_symbol: Whether further symbols are learnt too.
    """
    before, after = (_choices(corpus, depth, every_symbol=every_symbol) for corpus in (old, new))
    different = {document: own for document, own in before.items() if after.get(document) != own}
    return frozenset(
        (level, parent)
        for document, own in different.items()
        for level, parent, _ in own ^ after.get(document, frozenset())
    )


def _choices(corpus: Corpus, depth: str, *, every_symbol: bool) -> dict[str, frozenset[tuple[str, str, str]]]:
    """Of each document its label in each head: level, the label above, the label."""
    labels = corpus_labels(corpus, depth)
    known: dict[tuple[int, ...], frozenset[tuple[str, str, str]]] = {}

    def choices(path: Positions) -> frozenset[tuple[str, str, str]]:
        key = tuple(path.tolist())
        if key not in known:
            codes = [str(labels.tree.codes[place]) for place in key if place != NONE]
            known[key] = frozenset(zip(labels.tree.levels, [labels.tree.root, *codes], codes, strict=False))
        return known[key]

    names = map(str, corpus.document_ids.to_pylist())
    return {
        name: frozenset().union(*map(choices, _paths(labels, row, every_symbol=every_symbol)))
        for row, name in enumerate(names)
    }


def _paths(labels: DocumentLabels, row: int, *, every_symbol: bool) -> list[Positions]:
    main: list[Positions] = [labels.main[row]]
    return [*main, *labels.further[labels.offsets[row] : labels.offsets[row + 1]]] if every_symbol else main


@dataclass(frozen=True, eq=False)
class Migration:
    """Makes the nodes of a system in the new edition.

    Attributes:
        before: The old system.
        heads: The heads concerned.
        done: By node what was done, for the record: ``taken over``, ``heads``, or ``trained again``.
    """

    before: Member
    heads: Heads
    done: dict[str, str]

    def make(self, plan: NodePlan, staging: Path, overrides: Sequence[str]) -> None:
        """Write one node's result into a staged folder; see :func:`patent_hier.pipeline.node.run_node`."""
        node = plan.settings.node
        old = self.before.nodes.get(node)
        if old is None:
            self.done[node] = "trained again"
            train_and_write(plan, staging, overrides)
        elif not self.concerns(old):
            self.done[node] = "taken over"
            _take_over(plan, old, staging, overrides)
        else:
            self.done[node] = _train_heads(plan, old, self.heads, staging, overrides)

    def concerns(self, old: Path) -> bool:
        """Whether one of the heads belongs to an old node."""
        tree = LabelTree.from_dict(read_json(old / MODEL_FOLDER / CLASSIFIER_FILE)["tree"])
        above = {tree.levels[0]: {tree.root}}
        for level, deeper in zip(tree.levels, tree.levels[1:], strict=False):
            above[deeper] = set(tree.labels(level))
        return any(parent in above.get(level, ()) for level, parent in self.heads)


def _take_over(plan: NodePlan, old: Path, staging: Path, overrides: Sequence[str]) -> None:
    """The old node's weights and scores, of the documents that are still there."""
    shutil.copytree(old / MODEL_FOLDER, staging / MODEL_FOLDER)
    predictions = read_predictions(old)
    parts = load_parts(plan.corpus, plan.split)
    wanted = plan.corpus.document_ids.to_numpy()[parts > 0]
    if len(wanted) != len(predictions):
        place = {name: row for row, name in enumerate(predictions.document_ids.tolist())}
        predictions = predictions.take(np.array([place[name] for name in wanted.tolist()], np.intp))
    facts = read_json(old / METRICS_FILE)["training"]
    inputs = read_json(old / MANIFEST)["inputs"]
    manifest = manifest_of(plan, inputs, facts, overrides)
    history = read_json(old / HISTORY_FILE)
    said = write_node(staging, as_dict(plan.settings), predictions, facts, history, manifest)
    say(f"{plan.settings.model.name} {plan.settings.node}: nothing changed below it, taken over, {said}  {plan.folder}")


def _train_heads(plan: NodePlan, old: Path, heads: Heads, staging: Path, overrides: Sequence[str]) -> str:
    """Train the heads concerned, where the old model lets them be trained alone; what was done, in words."""
    from torch import nn

    from patent_hier.models.saved import load_classifier
    from patent_hier.models.tree_linear import TreeLinear

    earlier = load_classifier(old / MODEL_FOLDER)
    if isinstance(earlier.model, TreeLinear):
        _solve_heads(plan, earlier, heads, staging, overrides)
        return "heads"
    if isinstance(earlier.model, nn.Module):
        view = _beginning_from(plan.open(), plan.settings.node, old / MODEL_FOLDER, heads)
        train_and_write(plan, staging, overrides, view)
        return "trained again" if earlier.flat else "heads"
    train_and_write(plan, staging, overrides)
    return "trained again"


def _beginning_from(view: "CorpusView[Any]", node: str, model: Path, heads: Heads) -> "CorpusView[Any]":
    from patent_hier.training.relearning import Relearning

    n = len(view.labels)
    own = view.relearning or Relearning(n, np.ones(n, np.float32), {}, 0)
    return replace(view, relearning=replace(own, base={node: model}, heads=heads))


def _solve_heads(
    plan: NodePlan, earlier: "NodeClassifier", heads: Heads, staging: Path, overrides: Sequence[str]
) -> None:
    """Solve some heads of a linear model again, on counts of the terms that it knows."""
    from patent_hier.features.terms import TermReader
    from patent_hier.training.fit import fit_heads_again

    assert isinstance(earlier.reader, TermReader)
    view = plan.inputs.open_with(earlier.reader, plan.corpus, plan.split)

    def fit(view: "CorpusView[Any]") -> "Fitted":
        return fit_heads_again(view, plan.settings, earlier, heads)

    train_and_write(plan, staging, overrides, view, fit)


def vanished(before: Member, new: Corpus, revision: Revision) -> dict[str, list[str]]:
    """Labels that the old system knew and the new corpus has not, and new symbols without a document.

    Args:
        before: The old system.
        new: The new corpus.
        revision: The change.
    """
    tree = corpus_labels(new, before.tree.depth).tree
    present = set(map(str, tree.codes.tolist()))
    named = {symbol for entry in revision.concordance.entries.values() for symbol in entry.new}
    full = {str(code) for level in ("subgroup",) for code in corpus_labels(new, level).tree.codes.tolist()}
    return {
        "gone": sorted(set(map(str, before.tree.codes.tolist())) - present),
        "without_documents": sorted(named - full),
    }


def old_settings(before: Member) -> Mapping[str, Any]:
    """The settings of a system's first node, as its ``config.yaml`` has them."""
    config: Mapping[str, Any] = read_yaml(next(iter(before.nodes.values())) / CONFIG_FILE)
    return config


def given_before(before: Member, corpus: Corpus) -> Path:
    """The folder of the split that a system was trained with."""
    return split_of(corpus, str(before.manifest["data"]["split"]))
