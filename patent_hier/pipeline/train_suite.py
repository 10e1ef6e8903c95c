"""All nodes of one system, trained one after another in this process, and collected."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from patent_hier.pipeline.node import run_node
from patent_hier.pipeline.suite import SuiteResult, aggregate_nodes
from patent_hier.settings import HIER_NODES, WHOLE, Settings

if TYPE_CHECKING:
    from patent_hier.training.observers import ObserverFactory


def train_suite(settings: Settings, words: Sequence[str], observers: "ObserverFactory | None" = None) -> SuiteResult:
    """Train what is missing of a system.

    Args:
        settings: Of any of its nodes; ``level`` says which nodes there are.
        words: The overrides that made the settings, for the manifests.
        observers: See :func:`patent_hier.pipeline.node.run_node`.
    """
    nodes = (settings.level.name,) if settings.level.name in WHOLE else HIER_NODES
    done = {node: run_node(replace(settings, node=node), words, observers) for node in nodes}
    corpus = next(iter(done.values())).corpus.folder
    return aggregate_nodes({node: plan.folder for node, plan in done.items() if plan.is_trained}, corpus)
