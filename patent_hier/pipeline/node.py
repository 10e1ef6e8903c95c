"""One node: skip if finished, else fit, score every held-out document, write the result folder in one step.

The folder: ``config.yaml``, ``manifest.json``, ``metrics.json``, ``history.json``, ``predictions.parquet``, ``model/``.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST, find_damage, seal, verify
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.data.splits import PARTS, TRAIN
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.evaluation.metrics import confusion, macro_f1, top_k_accuracy
from patent_hier.evaluation.predictions import NO_TARGET, PREDICTIONS_FILE, SCORED_PARTS, Predictions
from patent_hier.evaluation.result import Score
from patent_hier.pipeline.devices import fit_on_devices
from patent_hier.pipeline.environment import PeakMemory, describe_environment
from patent_hier.pipeline.opening import open_view
from patent_hier.pipeline.plan import NodePlan, plan_node
from patent_hier.pipeline.progress import item_progress, say
from patent_hier.pipeline.stages import wanted_nodes
from patent_hier.settings import FLAT, Settings, as_dict

if TYPE_CHECKING:
    from patent_hier.models.saved import NodeClassifier
    from patent_hier.pipeline.inputs import Opened
    from patent_hier.training.observers import ObserverFactory

CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.json"
HISTORY_FILE = "history.json"
MODEL_FOLDER = "model"


@dataclass(frozen=True)
class Done:
    """A node that is finished, now or before.

    Attributes:
        suite: Fingerprint shared by the nodes of one hierarchical result.
        folder: Result folder; None if the corpus has no training document under the node.
        corpus: Corpus folder.
    """

    suite: str
    folder: Path | None
    corpus: Path


def run_node(settings: Settings, overrides: Sequence[str] = (), observers: "ObserverFactory | None" = None) -> Done:
    """Train and score one node, or recognise it as finished.

    Args:
        settings: One node's run.
        overrides: The words of the command that made these settings, for the manifest.
        observers: Makes loggers and callbacks that watch the training of a network, in each process that trains it.

    Raises:
        PatentHierError: If an input is unusable or a finished result is damaged; nothing half-written is left.
    """
    plan = plan_node(settings).observed(observers)
    with exclusive(plan.folder):
        if finished(plan.folder):
            _refuse_other(plan)
            plan.state.unlink(missing_ok=True)  # of a run that was killed just after it had finished
            score = read_json(plan.folder / METRICS_FILE)["test"]["accuracy"]
            known = f"test accuracy {score['value']:.3f}" if score else "no test document under this node"
            say(f"{settings.model.name} {settings.node}: finished before, {known}  {plan.folder}")
            return Done(plan.suite, plan.folder, plan.corpus.folder)
        if not has_documents(plan):
            if settings.level.name == "node":
                raise DataError(
                    f"node={settings.node}: the corpus {plan.corpus.folder} has no training document of that section"
                )
            say(
                f"{settings.model.name} {settings.node}: the corpus has no training document of section {settings.node}"
            )
            return Done(plan.suite, None, plan.corpus.folder)
        with atomic_folder(plan.folder) as staging:
            _train_and_write(plan, staging, overrides)
        plan.state.unlink(missing_ok=True)
    return Done(plan.suite, plan.folder, plan.corpus.folder)


def finished(folder: Path) -> bool:
    """Whether a node's result is there.

    Raises:
        ArtifactError: If it is there but damaged: a result is never replaced without being asked.
    """
    if not folder.exists():
        return False
    if damaged := find_damage(folder):
        raise ArtifactError(
            f"result {folder} is damaged ({folder / damaged} is not as its manifest says); delete it to train again"
        )
    return True


def _refuse_other(plan: NodePlan) -> None:
    manifest = read_json(plan.folder / MANIFEST)
    if (manifest.get("suite"), manifest.get("node")) != (plan.suite, plan.settings.node):
        raise ArtifactError(
            f"{plan.folder} holds the result of another configuration ({manifest.get('model')} "
            f"{manifest.get('node')}, suite {manifest.get('suite')}); delete it to train this one"
        )


def has_documents(plan: NodePlan) -> bool:
    """Whether the node has anything to train on."""
    return plan.settings.node in (FLAT, *wanted_nodes(plan.corpus, plan.split))


def read_predictions(folder: Path) -> Predictions:
    """The predictions of a finished node, checked against its manifest.

    Raises:
        ArtifactError: If the file is damaged.
    """
    verify(folder, only=(PREDICTIONS_FILE,))
    return Predictions.read(folder / PREDICTIONS_FILE)


def _train_and_write(plan: NodePlan, staging: Path, overrides: Sequence[str]) -> None:
    settings = plan.settings
    memory = PeakMemory()
    ready = open_view(plan)
    fitted = fit_on_devices(plan, ready.view, ready.opened.blueprint, staging)
    if fitted.facts.get("constant"):
        say(f"{settings.node}: one class only ({fitted.classifier.labels[0]}); its classifier is constant")
    held_out = np.flatnonzero(ready.parts != TRAIN)
    start = time.perf_counter()
    predictions = Predictions(
        settings.node,
        fitted.classifier.labels,
        ready.columns["document_id"].take(held_out).to_numpy(),
        np.array(PARTS, object)[ready.parts[held_out]],
        ready.view.targets(settings.node)[held_out],
        _score(fitted.classifier, ready.opened, held_out, settings),
    )
    facts = {
        **ready.opened.facts,
        **fitted.facts,
        "scored_documents": len(held_out),
        "score_seconds": round(time.perf_counter() - start, 3),
        "peak_memory_bytes": max(memory.bytes(), fitted.facts.get("peak_memory_bytes", 0)),
    }
    metrics = {"node": settings.node, **{part: score_part(predictions, part) for part in SCORED_PARTS}}
    (staging / CONFIG_FILE).write_text(yaml.safe_dump(as_dict(settings), allow_unicode=True, sort_keys=False), "utf-8")
    predictions.write(staging / PREDICTIONS_FILE)
    write_json(staging / METRICS_FILE, {**metrics, "training": facts})
    write_json(staging / HISTORY_FILE, fitted.history)
    fitted.classifier.save(staging / MODEL_FOLDER)
    seal(staging, {**_manifest(plan, facts), "overrides": list(overrides)})
    _report(plan, metrics, facts)


def _score(
    classifier: "NodeClassifier", opened: "Opened", held_out: NDArray[np.intp], settings: Settings
) -> NDArray[np.float32]:
    """Log-probabilities of all held-out documents, ``(len(held_out), n_labels)``."""
    label = f"{settings.model.name} {settings.node}: scoring {len(held_out)} documents"
    reading = opened.blueprint.reading(classifier.model) if opened.blueprint else contextlib.nullcontext()
    with reading, item_progress(label, len(held_out)) as progress:
        log_prob = classifier.log_prob(opened.store, held_out, settings.trainer.score_batch_size, progress)
    if not np.isfinite(log_prob).all():
        lr = settings.optimizer.lr
        raise ConfigError(
            f"node {settings.node}: training diverged, its scores are no numbers; lower optimizer.lr={lr}"
        )
    return log_prob


def score_part(predictions: Predictions, part: str) -> dict[str, Any]:
    """Scores of one part (``val``, ``calibration`` or ``test``) over the documents under the node.

    Returns:
        ``accuracy``, ``top_3_accuracy`` (as :class:`Score`) and ``macro_f1``; all null where there is no document.
    """
    codes = predictions.target_codes()
    under: NDArray[np.bool_] = (predictions.parts == part) & (codes != NO_TARGET)
    n_documents = int(under.sum())
    if not n_documents:
        return {"accuracy": None, "top_3_accuracy": None, "macro_f1": None}
    codes, log_prob, targets = codes[under], predictions.log_prob[under], predictions.targets[under]
    n_classes = len(set(targets))
    predicted = np.array(predictions.labels, object)[log_prob.argmax(1)]
    hits = int((log_prob.argmax(1) == codes).sum())
    top_3 = round(top_k_accuracy(log_prob, codes, 3) * n_documents)
    return {
        "accuracy": asdict(Score.of_hits(hits, n_documents, n_classes)),
        "top_3_accuracy": asdict(Score.of_hits(top_3, n_documents, n_classes)),
        "macro_f1": macro_f1(confusion(targets, predicted)[1]),
    }


def _manifest(plan: NodePlan, facts: dict[str, Any]) -> dict[str, Any]:
    import torch

    settings = plan.settings
    return {
        "kind": "node",
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
        "inputs": plan.inputs.facts(),
        **({"label_text": {"path": settings.data.label_text, **facts["label_text"]}} if "label_text" in facts else {}),
        "content": plan.content,
        "environment": {
            **describe_environment(),
            "threads": torch.get_num_threads(),
            "precision": facts.get("precision"),
            "devices": facts.get("devices", 1),
            "accumulate": facts.get("accumulate", 1),
            "cuda_device": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def _report(plan: NodePlan, metrics: dict[str, Any], facts: dict[str, Any]) -> None:
    name = f"{plan.settings.model.name} {plan.settings.node}"
    score = metrics["test"]["accuracy"]
    if score is None:
        say(f"{name}: no test document under this node")
        return
    say(
        f"{name}: test accuracy {score['value']:.3f} on {score['n_documents']} documents of "
        f"{score['n_classes_with_support']} classes, {facts.get('seconds', 0):.0f} s  {plan.folder}"
    )
