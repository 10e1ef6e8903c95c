"""Learning from corrections: they join the training documents, and a network can continue from earlier weights.

A network that continues reads the corrections together with a sample of the corpus, so that it does not forget what
only the corpus shows (rehearsal: Robins (1995), Catastrophic Forgetting, Rehearsal and Pseudorehearsal, Connection
Science 7(2)).
"""

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.settings import Settings, filled
from patent_hier.taxonomy.tree import NONE, LabelTree
from patent_hier.training.node_data import NodeView, Relearning

if TYPE_CHECKING:
    from torch import nn

    from patent_hier.models.network_spec import NetworkSpec
    from patent_hier.models.saved import NodeClassifier

_OUTPUT = ("output.weight", "output.bias")  # suffixes of the names of a network's output weights
_NEW_BIAS = -2.0  # added to the mean bias for labels that the earlier network does not know


def take_up(
    view: "NodeView[Any]", spec: "NetworkSpec", relearning: Relearning, settings: Settings
) -> "tuple[NodeView[Any], NetworkSpec, Settings, dict[str, Any]]":
    """Prepare a node to continue from its earlier network, if there is one.

    Args:
        view: The node's documents, including the corrections.
        spec: Specification of the network.
        relearning: The corrections, and the folders of the earlier networks.
        settings: Settings of the run; its seed determines the sample.

    Returns:
        The node's view, specification and settings, and facts for the metrics file. The first three are unchanged if
        the node has no earlier network. A view without training documents has nothing to learn.
    """
    from patent_hier.models.saved import load_classifier

    corrections = int((view.train[: view.num_documents] >= relearning.first).sum())
    facts: dict[str, Any] = {"corrections": corrections, "replay": None}
    if view.node not in relearning.base:
        return view, spec, settings, {"learn": facts}
    earlier = load_classifier(relearning.base[view.node])
    if earlier.model is None:  # constant classifiers have no weights
        return view, spec, settings, {"learn": facts}
    trained = None if relearning.heads is None or view.flat else in_heads(view.tree, relearning.heads)
    own = rehearsed(view, relearning, settings.seed) if trained is None else below_heads(view, trained)
    facts["replay"] = own.num_documents - corrections

    def build(num_outputs: int) -> "nn.Module":
        network = spec.build(num_outputs)
        fill_from(network, view.tree, view.flat, earlier)
        if trained is not None:
            train_rows(network, trained)
        return network

    trainer = replace(settings.trainer, max_epochs=relearning.passes, min_steps=0)
    optimizer, rate = settings.optimizer, relearning.rate
    head_lr = None if optimizer.head_lr is None else rate * optimizer.head_lr
    optimizer = replace(optimizer, lr=rate * filled(optimizer.lr), head_lr=head_lr)
    settings = replace(settings, trainer=trainer, optimizer=optimizer)
    return own, replace(spec, build=build), settings, {"learn": facts}


def in_heads(tree: LabelTree, heads: Collection[tuple[str, str]]) -> NDArray[np.bool_]:
    """Return which labels belong to the given heads, ``(n_labels,)``; see :attr:`Relearning.heads`."""
    chosen = np.zeros(len(tree), np.bool_)
    for parent, labels in tree.heads():
        above = tree.root if parent == NONE else str(tree.codes[parent])
        chosen[labels] = (tree.level_of(labels.start), above) in heads
    return chosen


def below_heads(view: "NodeView[Any]", trained: NDArray[np.bool_]) -> "NodeView[Any]":
    """Return the view with only those training documents whose path contains one of the ``trained`` labels."""
    paths = view.train_paths[: view.num_documents]
    return _only(view, np.flatnonzero((trained[paths] & (paths != NONE)).any(axis=1)))


def train_rows(network: "nn.Module", trained: NDArray[np.bool_]) -> None:
    """Restrict training to some rows of a network's output; no other weight gets a gradient or decays.

    Args:
        network: A network whose output has one row per label.
        trained: Which rows to train, ``(n_labels,)``.
    """
    import torch

    mask = torch.from_numpy(trained)
    for name, weight in network.named_parameters():
        weight.requires_grad_(name.endswith(_OUTPUT))
        if name.endswith(_OUTPUT):
            own = mask.view(-1, *[1] * (weight.ndim - 1))
            weight.register_hook(lambda gradient, own=own: gradient * own.to(gradient))


def restore_rows(network: "nn.Module", view: "NodeView[Any]", relearning: Relearning) -> None:
    """Restore the earlier values of the output rows that were not trained, since an optimizer may let them decay.

    Args:
        network: The network after :func:`take_up` and training.
        view: The node.
        relearning: As for :func:`take_up`.
    """
    import torch
    from torch import nn

    from patent_hier.models.saved import load_classifier

    if relearning.heads is None or view.flat or view.node not in relearning.base:
        return
    earlier = load_classifier(relearning.base[view.node])
    if not isinstance(earlier.model, nn.Module):
        return
    rows, state = output_rows(view.tree, view.flat, earlier), earlier.model.state_dict()
    stays = np.flatnonzero(~in_heads(view.tree, relearning.heads) & (rows != NONE))
    for name, weight in network.named_parameters():
        if name.endswith(_OUTPUT):
            with torch.no_grad():
                weight[torch.from_numpy(stays)] = state[name][torch.from_numpy(rows[stays].astype(np.int64))].to(weight)


def rehearsed(view: "NodeView[Any]", relearning: Relearning, seed: int) -> "NodeView[Any]":
    """Return the view with only the corrections and a sample of the other training documents; its labels stay."""
    n = view.num_documents
    old = np.flatnonzero(view.train[:n] < relearning.first)
    rng = np.random.default_rng(seed)
    sample = rng.choice(old, min(relearning.replay, len(old)), replace=False)
    return _only(view, np.sort(np.concatenate([sample, np.flatnonzero(view.train[:n] >= relearning.first)])))


def _only(view: "NodeView[Any]", kept: NDArray[np.intp]) -> "NodeView[Any]":
    """Return the view with only some training documents, without label texts and teacher; its labels stay."""
    place = np.full(len(view.train), NONE, np.intp)
    place[kept] = np.arange(len(kept))
    inside = place[view.further_owners] != NONE
    return replace(
        view,
        train=view.train[kept],
        train_paths=view.train_paths[kept],
        further=view.further[inside],
        further_owners=place[view.further_owners[inside]],
        weights=None if view.weights is None else view.weights[kept],
        label_share=None,
        shares=None,
    )


def fill_from(network: "nn.Module", tree: LabelTree, flat: bool, earlier: "NodeClassifier") -> None:
    """Copy an earlier network's weights into a new one, matching the rows of the output by label.

    A label that the earlier network does not know starts with the mean of the known labels and a lower bias.

    Args:
        network: The new network, which has the same architecture.
        tree: Its label tree.
        flat: Whether its output rows are the leaves only.
        earlier: The earlier classifier.
    """
    import torch
    from torch import nn

    assert isinstance(earlier.model, nn.Module)
    rows = output_rows(tree, flat, earlier)
    known = torch.from_numpy(rows[rows != NONE].astype(np.int64))
    state = dict(earlier.model.state_dict())
    for name in [name for name in state if name.endswith(_OUTPUT)]:
        own = state[name]
        placed = own[torch.from_numpy(np.maximum(rows, 0).astype(np.int64))].clone()
        if len(known):
            mean = own[known].mean(dim=0)
            placed[torch.from_numpy(rows == NONE)] = mean + _NEW_BIAS if name.endswith("bias") else mean
        state[name] = placed
    network.load_state_dict(state)


def output_rows(tree: LabelTree, flat: bool, earlier: "NodeClassifier") -> NDArray[np.int32]:
    """Return for each output of a network the earlier row with the same label, or :data:`NONE` if there is none."""
    first = int(earlier.tree.leaves.start) if earlier.flat else 0
    levels = (tree.depth,) if flat else tree.levels
    found = [
        earlier.tree.find(level, tree.labels(level))
        if level in earlier.tree.levels
        else np.full(len(tree.labels(level)), NONE, np.int32)
        for level in levels
    ]
    rows = np.concatenate(found)
    return np.where(rows == NONE, NONE, rows - first).astype(np.int32)
