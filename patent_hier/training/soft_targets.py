"""Targets from a teacher's answers, for labelled documents and for additional texts without labels.

A target gives each of several paths a share, as it does for a document with several symbols under ``data.labels=all``.
The loss is then the cross-entropy to the teacher's distribution over the leaves.

Source: G. Hinton, O. Vinyals and J. Dean (2015), Distilling the Knowledge in a Neural Network, arXiv:1503.02531. There
the temperature also applies to the student, and the student's gradients are rescaled. Here it applies only to the
teacher, so that the two parts of a target form one distribution.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.taxonomy.tree import NONE, Positions
from patent_hier.training.node_data import NodeView, Shares, Teaching


def with_answers(view: NodeView[Any], teaching: Teaching, first_text: int) -> NodeView[Any]:
    """Return the view with a teacher's answers as targets.

    Args:
        view: View of the node ``flat`` or ``shared``; its label texts follow the documents and keep their targets.
        teaching: The answers.
        first_text: Position in the store of the first text without labels; the others follow it.
    """
    settings, tree, n_train = teaching.settings, view.tree, len(view.train)
    leaves, answered = teaching.answers.targets(tree, settings.temperature)
    known = answered.sum(axis=1) > 0
    n_documents = len(teaching.rows)
    items = np.searchsorted(view.train[: view.num_documents], teaching.rows)  # in corpus order
    items = np.where(items < view.num_documents, items, 0)
    found = known[:n_documents] & (view.train[items] == teaching.rows) & (settings.weight > 0)
    items = items[found]
    of_teacher = np.zeros(n_train)
    of_teacher[items] = settings.weight
    main_known = view.train_paths[:, -1 if view.flat else 0] != NONE
    n_symbols = main_known + np.bincount(view.further_owners, minlength=n_train)
    own = (1 - of_teacher) / np.maximum(n_symbols, 1)  # share of each of a document's own symbols

    used = np.flatnonzero(known[n_documents:])
    text_leaves, text_shares = leaves[n_documents:][used], answered[n_documents:][used]
    best = tree.paths(text_leaves[np.arange(len(used)), text_shares.argmax(axis=1)]) if len(used) else None
    text_items = n_train + np.arange(len(used))
    parts = [
        (view.further, view.further_owners, own[view.further_owners]),
        _spread(view, leaves[:n_documents][found], settings.weight * answered[:n_documents][found], items),
        _spread(view, text_leaves, _without_best(text_shares), text_items),
    ]
    further, owners, shares = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(owners, kind="stable")
    facts = {
        "teacher": teaching.answers.facts["teacher"],
        "documents": len(items),
        "texts": len(used),
        "texts_of_unknown_labels": len(teaching.answers.texts) - len(used),
        "weight": settings.weight if len(items) else None,
        "text_weight": settings.text_weight if len(used) else None,
        "temperature": settings.temperature,
    }
    return replace(
        view,
        train=np.concatenate([view.train, first_text + used]),
        train_paths=view.train_paths if best is None else np.concatenate([view.train_paths, best.astype(np.int32)]),
        further=further[order],
        further_owners=owners[order],
        shares=Shares(
            np.concatenate([own * main_known, text_shares.max(axis=1, initial=0)]).astype(np.float32),
            shares[order].astype(np.float32),
            len(used),
            settings.text_weight,
            facts,
        ),
    )


def _without_best(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the shares with each row's largest set to 0, because a text's main path has it."""
    rest = shares.copy()
    rest[np.arange(len(rest)), rest.argmax(axis=1)] = 0
    return rest


def _spread(
    view: NodeView[Any], leaves: Positions, shares: NDArray[Any], items: NDArray[np.intp]
) -> tuple[Positions, NDArray[np.intp], NDArray[Any]]:
    """Return paths, items and shares of all answers with a share above 0, concatenated."""
    rows, places = np.nonzero(shares > 0)
    return view.tree.paths(leaves[rows, places]).astype(np.int32), items[rows].astype(np.intp), shares[rows, places]
