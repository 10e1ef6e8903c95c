"""Run one node: skip it if it is finished, else fit it, score every held-out document, and write the result atomically.

A result folder has ``config.yaml``, ``manifest.json``, ``metrics.json``, ``history.json``, ``predictions.parquet`` and
``model/``.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST, find_damage, seal, verify
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json, write_yaml
from patent_hier.data.labels import corpus_labels, node_targets
from patent_hier.data.splits import PARTS, held_out
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.evaluation.aggregate import answers, has_label
from patent_hier.evaluation.contract import PREDICTIONS_FILE, SCORED_PARTS, NetworkPredictions
from patent_hier.evaluation.level_scores import LevelScores, concatenate, score_levels
from patent_hier.evaluation.result import Score
from patent_hier.inference.nodes import CONFIG_FILE, MODEL_FOLDER, NODE_KIND
from patent_hier.pipeline.devices import fit_on_devices
from patent_hier.pipeline.environment import PeakMemory, describe_environment
from patent_hier.pipeline.learning import learnt_facts
from patent_hier.pipeline.plan import Given, NodePlan, plan_node
from patent_hier.pipeline.stages import calibration_groups
from patent_hier.progress import item_progress, say
from patent_hier.settings import ROOT, WHOLE, Settings, as_dict
from patent_hier.settings.data import LABEL_LEVELS
from patent_hier.taxonomy.tree import NONE
from patent_hier.wording import quantity

if TYPE_CHECKING:
    from patent_hier.models.saved import NodeClassifier
    from patent_hier.training.fitted import Fitted
    from patent_hier.training.node_data import CorpusView
    from patent_hier.training.observers import ObserverFactory

Make = Callable[[NodePlan, Path, Sequence[str]], None]
"""A function that writes a node's result; its arguments are the plan, a staging folder, and the command's overrides."""

METRICS_FILE = "metrics.json"
HISTORY_FILE = "history.json"
CELLS = 1 << 26  # documents x labels scored at once: 256 MiB of float32


def run_node(
    settings: Settings,
    overrides: Sequence[str] = (),
    observers: "ObserverFactory | None" = None,
    given: Given | None = None,
    make: "Make | None" = None,
) -> NodePlan:
    """Train and score one node unless it is finished.

    Args:
        settings: Settings of one node's run.
        overrides: Overrides of the command that made these settings, for the manifest.
        observers: Factory of loggers and callbacks, called in each process that trains a network.
        given: Corpus and split to use in place of those in the settings.
        make: Function that writes the result into a staging folder; None for :func:`train_and_write`.

    Returns:
        The plan of the finished node; its result folder exists unless ``is_trained`` is false.

    Raises:
        PatentHierError: If an input is unusable or a finished result is damaged; no partial result is left.
    """
    plan = plan_node(settings, given).observed(observers)
    with exclusive(plan.folder):
        if finished(plan.folder):
            _refuse_other(plan)
            known = summary(read_json(plan.folder / METRICS_FILE)["test"])
            say(f"{settings.model.name} {settings.node}: already finished, {known}  {plan.folder}")
        elif plan.is_trained:
            with atomic_folder(plan.folder) as staging:
                (make or train_and_write)(plan, staging, overrides)
        elif settings.level.name == "node":
            raise DataError(_why_untrained(plan))
        else:
            say(f"{settings.model.name} {settings.node}: the corpus has no training document below {settings.node}")
        plan.state.unlink(missing_ok=True)  # also left by a run that was killed just after it finished
    return plan


def _why_untrained(plan: NodePlan) -> str:
    node, depth = plan.settings.node, plan.settings.data.depth
    tree = corpus_labels(plan.corpus, LABEL_LEVELS[-1]).tree
    if any(tree.find(level, [node])[0] != NONE for level in tree.levels):
        return (
            f"node={node}: the corpus {plan.corpus.folder} has no training document below that label down to "
            f"data.depth={depth}; choose another node, or a deeper data.depth"
        )
    below = "" if depth == LABEL_LEVELS[1] else f", or a label below them and above data.depth={depth}"
    known = ", ".join((ROOT, *WHOLE, *tree.labels(tree.levels[0])))
    return f"node={node} is not a label of the corpus {plan.corpus.folder}; choose one of {known}{below}"


def finished(folder: Path) -> bool:
    """Return whether a node's result exists.

    Raises:
        ArtifactError: If it exists but is damaged; a result is never replaced automatically.
    """
    if not folder.exists():
        return False
    if damaged := find_damage(folder):
        raise ArtifactError(
            f"result {folder} is damaged ({folder / damaged} does not match its manifest); delete it to train again"
        )
    return True


def _refuse_other(plan: NodePlan) -> None:
    manifest = read_json(plan.folder / MANIFEST)
    if (manifest.get("suite"), manifest.get("node")) != (plan.suite, plan.settings.node):
        raise ArtifactError(
            f"{plan.folder} holds the result of another configuration ({manifest.get('model')} "
            f"{manifest.get('node')}, suite {manifest.get('suite')}); delete it to train this one"
        )


def read_predictions(folder: Path) -> NetworkPredictions:
    """Return the predictions of a finished node, checked against its manifest.

    Raises:
        ArtifactError: If the file is damaged.
    """
    verify(folder, only=(PREDICTIONS_FILE,))
    return NetworkPredictions.read(folder / PREDICTIONS_FILE)


def train_and_write(
    plan: NodePlan,
    staging: Path,
    overrides: Sequence[str],
    view: "CorpusView[Any] | None" = None,
    fit: "Callable[[CorpusView[Any]], Fitted] | None" = None,
) -> None:
    """Fit a node, score every held-out document, and write its folder.

    Args:
        plan: Plan of the node.
        staging: Staging folder of its result.
        overrides: Overrides of the command, for the manifest.
        view: The training data; None to open the plan's inputs.
        fit: Function that fits the classifier; None to fit on the devices in the settings.
    """
    settings = plan.settings
    memory = PeakMemory()
    view = plan.open() if view is None else view
    inputs = {**plan.inputs.facts(), **plan.inputs.read_before(plan.corpus, plan.split)}  # before training: it may fail
    fitted = fit_on_devices(plan, view, staging) if fit is None else fit(view)
    if fitted.facts.get("constant"):
        tree = fitted.classifier.tree
        say(f"{settings.node}: only one label at each level ({tree.codes[-1]}), so its classifier is constant")
    scored = np.flatnonzero(held_out(view.parts))
    start = time.perf_counter()
    predictions = score_documents(fitted.classifier, plan, view, scored)
    facts = {
        **view.facts,
        **fitted.facts,
        "scored_documents": len(scored),
        "score_seconds": round(time.perf_counter() - start, 3),
        "peak_memory_bytes": max(memory.bytes(), fitted.facts.get("peak_memory_bytes", 0)),
    }
    fitted.classifier.save(staging / MODEL_FOLDER)
    manifest = manifest_of(plan, inputs, facts, overrides)
    said = write_node(staging, as_dict(settings), predictions, facts, fitted.history, manifest)
    say(f"{settings.model.name} {settings.node}: {said}, {facts.get('seconds', 0):.0f} s  {plan.folder}")


def write_node(
    staging: Path,
    config: Mapping[str, Any],
    predictions: NetworkPredictions,
    facts: Mapping[str, Any],
    history: Sequence[Any],
    manifest: Mapping[str, Any],
) -> str:
    """Write the files of a node's folder next to its model, seal the folder, and return a summary of test accuracy."""
    metrics: dict[str, Any] = {
        "node": predictions.node,
        **{part: score_part(predictions, part) for part in SCORED_PARTS},
    }
    write_yaml(staging / CONFIG_FILE, config)
    predictions.write(staging / PREDICTIONS_FILE)
    write_json(staging / METRICS_FILE, {**metrics, "training": facts})
    write_json(staging / HISTORY_FILE, history)
    seal(staging, manifest)
    return summary(metrics["test"])


def score_documents(
    classifier: "NodeClassifier", plan: NodePlan, view: "CorpusView[Any]", scored: NDArray[np.intp]
) -> NetworkPredictions:
    """Score documents with a classifier, in chunks that limit memory use for large trees.

    Args:
        classifier: Classifier of the planned node.
        plan: Plan of the node.
        view: The corpus as the model reads it.
        scored: Positions of the documents in the corpus, ``(n,)``.
    """
    settings, tree = plan.settings, classifier.tree
    node = settings.node
    targets = node_targets(view.labels.take(scored), node, tree.levels)
    chunks: list[list[LevelScores]] = []
    size = max(1, CELLS // len(tree))
    reading = view.spec.reading(classifier.model) if view.spec else contextlib.nullcontext()
    label = f"{settings.model.name} {node}: scoring {len(scored)} documents"
    with reading, item_progress(label, len(scored)) as progress:
        for start in range(0, max(1, len(scored)), size):
            rows = slice(start, start + size)
            joint = classifier.log_prob(view.documents, scored[rows], settings.trainer.score_batch_size, progress)
            if np.isnan(joint).any():
                raise ConfigError(
                    f"node {node}: training diverged, its scores are not numbers (NaN); lower optimizer.lr, "
                    f"now {settings.optimizer.lr}"
                )
            chunks.append(score_levels(tree, joint, [column[rows] for column in targets]))
    documents = plan.corpus.document_ids.take(scored).to_numpy()
    parts = np.array(PARTS, object)[view.parts[scored]]
    groups = calibration_groups(plan.corpus, plan.split)
    own_groups = None if groups is None else groups[scored]
    return NetworkPredictions(node, tree, documents, parts, concatenate(chunks), classifier.flat, own_groups)


def score_part(predictions: NetworkPredictions, part: str) -> dict[str, Any]:
    """Score one part (``val``, ``calibration`` or ``test``) on the documents below the node.

    Returns:
        ``levels``: ``accuracy`` and ``top_3_accuracy`` (as :class:`Score`) by level; ``accuracy``: that of the deepest
        level. Values are null where there are no documents.
    """
    levels: dict[str, Any] = {}
    for own, answer in zip(predictions.levels, answers(predictions), strict=True):
        rows = (predictions.parts == part) & has_label(own)
        n_documents, n_labels = int(rows.sum()), len(set(own.targets[rows]))
        known = rows & (own.target_codes >= 0)
        hits = {
            "accuracy": int((known & (answer == own.target_codes)).sum()),
            "top_3_accuracy": int((known & (own.target_rank < 3)).sum()),
        }
        scores = (
            {name: asdict(Score.of_hits(n, n_documents, n_labels)) for name, n in hits.items()} if n_documents else None
        )
        levels[own.level] = scores or dict.fromkeys(hits)
    return {"accuracy": levels[predictions.tree.depth]["accuracy"], "levels": levels}


def manifest_of(
    plan: NodePlan, inputs: dict[str, Any], facts: dict[str, Any], overrides: Sequence[str]
) -> dict[str, Any]:
    """Return the manifest of a node's result, before sealing."""
    import torch

    settings = plan.settings
    return {
        "kind": NODE_KIND,
        "model": settings.model.name,
        "node": settings.node,
        "suite": plan.suite,
        "group": plan.group,
        "level": settings.level.name,
        "seed": settings.seed,
        "data": {
            "name": settings.data.name,
            "corpus": plan.corpus.fingerprint,
            "source_sha256": plan.corpus.manifest["source_sha256"],
            "documents": plan.corpus.size,
            "split": plan.split.name,
        },
        "inputs": inputs,
        **({"label_text": {"path": settings.data.label_text, **facts["label_text"]}} if "label_text" in facts else {}),
        "content": plan.content,
        **learnt_facts(settings),
        "environment": {
            **describe_environment(),
            "threads": torch.get_num_threads(),
            "precision": facts.get("precision"),
            "devices": facts.get("devices", 1),
            "accumulate": facts.get("accumulate", 1),
            "cuda_device": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "overrides": list(overrides),
    }


def summary(scores: dict[str, Any]) -> str:
    """Return the test accuracy at each level as a short text."""
    known = {level: own["accuracy"] for level, own in scores["levels"].items() if own["accuracy"]}
    if not known:
        return "no test document below this node"
    shown = ", ".join(f"{level} {score['value']:.3f}" for level, score in known.items())
    last = list(known.values())[-1]
    support = quantity(last["n_classes_with_support"], "label")
    return f"test accuracy {shown} on {quantity(last['n_documents'], 'document')} with {support}"
