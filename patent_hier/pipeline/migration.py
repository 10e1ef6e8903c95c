"""Migrate a finished system to a new edition of the scheme; parts without changes keep their weights and scores.

The corpus gets the new symbols, and each document keeps its part. A node is copied unchanged if nothing has changed
below it. Otherwise only the affected heads are trained: those in which some document's label has changed. A model whose
heads cannot be trained separately is trained as a whole: a flat network from its old weights, others from the start.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from patent_hier.artifacts import MANIFEST
from patent_hier.atomic import read_json, read_yaml
from patent_hier.data.corpus import Corpus
from patent_hier.inference.nodes import CLASSIFIER_FILE, CONFIG_FILE, MODEL_FOLDER
from patent_hier.pipeline.heads import Heads
from patent_hier.pipeline.members import Member
from patent_hier.pipeline.node import (
    HISTORY_FILE,
    METRICS_FILE,
    manifest_of,
    read_predictions,
    train_and_write,
    write_node,
)
from patent_hier.pipeline.plan import Continuation, NodePlan
from patent_hier.pipeline.stages import load_parts, split_of
from patent_hier.progress import say
from patent_hier.settings import as_dict
from patent_hier.taxonomy.tree import LabelTree

if TYPE_CHECKING:
    from patent_hier.models.saved import NodeClassifier
    from patent_hier.training.fitted import Fitted
    from patent_hier.training.node_data import CorpusView


@dataclass(frozen=True, eq=False)
class Migration:
    """Migration of a system's nodes to the new edition.

    Attributes:
        before: The old system.
        heads: The affected heads.
        passes: Epochs of training for networks.
        done: What was done, by node: ``taken over``, ``heads``, ``trained further`` or ``trained again``.
    """

    before: Member
    heads: Heads
    passes: int
    done: dict[str, str]

    def make(self, plan: NodePlan, staging: Path, overrides: Sequence[str]) -> None:
        """Write one node's result into a staging folder; see :func:`patent_hier.pipeline.node.run_node`."""
        node = plan.settings.node
        old = self.before.nodes.get(node)
        if old is None:
            self.done[node] = "trained again"
            train_and_write(plan, staging, overrides)
        elif not self.concerns(old):
            self.done[node] = "taken over"
            _take_over(plan, old, staging, overrides)
        else:
            self.done[node] = self._train_heads(plan, old, staging, overrides)

    def _train_heads(self, plan: NodePlan, old: Path, staging: Path, overrides: Sequence[str]) -> str:
        """Train the affected heads if the old model allows it, else the whole model; return what was done."""
        from torch import nn

        from patent_hier.models.saved import load_classifier
        from patent_hier.models.tree_linear import TreeLinear

        earlier = load_classifier(old / MODEL_FOLDER)
        if isinstance(earlier.model, TreeLinear):
            _solve_heads(plan, earlier, self.heads, staging, overrides)
            return "heads"
        if isinstance(earlier.model, nn.Module):  # one softmax has no heads: all of it is trained further
            heads = None if earlier.flat else self.heads
            continued = Continuation(old / MODEL_FOLDER, self.passes, heads)
            train_and_write(replace(plan, continued=continued), staging, overrides)
            return "trained further" if earlier.flat else "heads"
        train_and_write(plan, staging, overrides)
        return "trained again"

    def concerns(self, old: Path) -> bool:
        """Return whether one of the affected heads belongs to an old node."""
        tree = LabelTree.from_dict(read_json(old / MODEL_FOLDER / CLASSIFIER_FILE)["tree"])
        above = {tree.levels[0]: {tree.root}}
        for level, deeper in zip(tree.levels, tree.levels[1:], strict=False):
            above[deeper] = set(tree.labels(level))
        return any(parent in above.get(level, ()) for level, parent in self.heads)


def _take_over(plan: NodePlan, old: Path, staging: Path, overrides: Sequence[str]) -> None:
    """Copy the old node's weights, and its scores of the documents that still exist."""
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
    say(f"{plan.settings.model.name} {plan.settings.node}: copied, no changes below it; {said}  {plan.folder}")


def _solve_heads(
    plan: NodePlan, earlier: "NodeClassifier", heads: Heads, staging: Path, overrides: Sequence[str]
) -> None:
    """Fit some heads of a linear model again, on counts of the n-grams that it knows."""
    from patent_hier.features.ngram_store import NgramReader
    from patent_hier.training.fit import fit_heads_again

    assert isinstance(earlier.reader, NgramReader)
    view = plan.inputs.open_with(earlier.reader, plan.corpus, plan.split)

    def fit(view: "CorpusView[Any]") -> "Fitted":
        return fit_heads_again(view, plan.settings, earlier, heads)

    train_and_write(plan, staging, overrides, view, fit)


def old_settings(before: Member) -> Mapping[str, Any]:
    """Return the settings of a system's first node, from its ``config.yaml``."""
    config: Mapping[str, Any] = read_yaml(next(iter(before.nodes.values())) / CONFIG_FILE)
    return config


def given_before(before: Member, corpus: Corpus) -> Path:
    """Return the folder of the split that a system was trained with."""
    return split_of(corpus, str(before.manifest["data"]["split"]))
