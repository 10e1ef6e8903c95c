"""Fit one node with any type of model: constant, classical, or a network."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from patent_hier.features.ngram_store import JoinedNgrams, NgramReader, NgramStore
from patent_hier.models.network_spec import NetworkSpec
from patent_hier.models.saved import NodeClassifier, num_outputs
from patent_hier.models.tree_linear import TreeLinear
from patent_hier.settings import LinearSettings, NgramSettings, Settings
from patent_hier.training.classical import fit_ngrams, refit_tree
from patent_hier.training.fitted import Fitted
from patent_hier.training.node_data import CorpusView, NodeView
from patent_hier.training.node_views import view_of
from patent_hier.training.ranks import ALONE, Ranks
from patent_hier.training.relearning import restore_rows, take_up
from patent_hier.training.tree_svm import Earlier

if TYPE_CHECKING:
    from patent_hier.training.observers import Observe


def fit_node(
    corpus: CorpusView[Any],  # token ids for a network, n-gram counts for a classical model
    settings: Settings,
    state: Path | None = None,
    ranks: Ranks = ALONE,
    observe: "Observe | None" = None,
) -> Fitted:
    """Fit the classifier of ``settings.node``.

    Args:
        corpus: The split corpus, in the form that the model reads.
        settings: Settings of one node's run.
        state: File that stores the progress of a network's training; see
            :func:`patent_hier.training.neural.fit_network`.
        ranks: The processes that train the network together; only rank 0's result has the best epoch's weights.
        observe: Creates the loggers and callbacks that watch a network's training.

    Returns:
        The classifier; a constant one if the node has fewer than two labels to choose between.

    Raises:
        ConfigError: If the settings do not fit the encoder or the machine.
    """
    view: NodeView[Any] = view_of(corpus, settings.node)
    spec, facts = corpus.spec, dict[str, Any]()
    if corpus.relearning is not None and spec is not None and not view.is_constant:
        view, spec, settings, facts = take_up(view, spec, corpus.relearning, settings)
    if len(view.train):
        fitted = _fit(view, spec, settings, state, ranks, observe)
    else:
        fitted = _as_it_begins(view, spec, settings)
    fitted.facts.update(facts)
    if corpus.relearning is not None and isinstance(fitted.classifier.model, nn.Module):
        restore_rows(fitted.classifier.model, view, corpus.relearning)
    if view.label_facts is not None:
        learnt = fitted.facts.get("label_text", {"texts": 0, "levels": {}, "weight": None})
        fitted.facts["label_text"] = {**view.label_facts, **learnt}
    if "context" in corpus.facts:
        fitted.facts["context"] = {**corpus.facts["context"], **fitted.facts.get("context", {})}
    return fitted


def _as_it_begins(view: NodeView[Any], spec: NetworkSpec | None, settings: Settings) -> Fitted:
    """Return the classifier of a network that continues from an earlier one and has no training documents."""
    assert spec is not None  # other models always have training documents
    network = spec.build(num_outputs(view.tree, view.flat)).eval()
    classifier = NodeClassifier(settings.node, view.tree, view.flat, settings.model, network, spec.reader)
    return Fitted(classifier, [], {"train_documents": 0, "epochs": 0, "precision": None})


def fit_heads_again(
    corpus: CorpusView[NgramStore | JoinedNgrams],
    settings: Settings,
    earlier: NodeClassifier,
    heads: Collection[tuple[str, str]],
) -> Fitted:
    """Refit some heads of a label tree's linear model, and keep the others bit for bit.

    Args:
        corpus: The split corpus, as counts of the earlier model's n-grams.
        settings: Settings of one node's run.
        earlier: The earlier classifier.
        heads: Heads to refit, as in :class:`patent_hier.training.tree_svm.Earlier`.
    """
    view = view_of(corpus, settings.node)
    if view.is_constant:
        return _fit(view, None, settings, None, ALONE, None)
    assert isinstance(settings.model, LinearSettings)
    assert isinstance(earlier.model, TreeLinear)
    assert isinstance(earlier.reader, NgramReader)
    model, facts = refit_tree(view, settings.model, settings.seed, Earlier(earlier.model, earlier.tree, heads))
    classifier = NodeClassifier(settings.node, view.tree, view.flat, settings.model, model, earlier.reader)
    return Fitted(classifier, [], facts)


def _fit(
    view: NodeView[Any],
    spec: NetworkSpec | None,
    settings: Settings,
    state: Path | None,
    ranks: Ranks,
    observe: "Observe | None",
) -> Fitted:
    if view.is_constant:
        facts = {"constant": True, "train_documents": view.num_documents}
        return Fitted(NodeClassifier(settings.node, view.tree, view.flat), [], facts)
    if spec is None:
        return _fit_classical(view, settings)
    from patent_hier.training.neural import fit_network  # imports Lightning, which classical models do not need

    return fit_network(view, spec, settings, state, ranks, observe)


def _fit_classical(view: NodeView[NgramStore | JoinedNgrams], settings: Settings) -> Fitted:
    assert isinstance(settings.model, NgramSettings)
    model, kept, facts = fit_ngrams(view, settings.model, settings.seed)
    shortest, longest = settings.model.ngram_sizes
    reader = NgramReader(tuple(view.store.ngrams[column] for column in kept), (shortest, longest))
    classifier = NodeClassifier(settings.node, view.tree, view.flat, settings.model, model, reader)
    return Fitted(classifier, [], facts)
