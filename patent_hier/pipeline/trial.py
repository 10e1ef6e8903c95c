"""One trial of a search: train with given settings, score on ``val``, and store nothing.

The parts ``calibration`` and ``test`` are not scored, so that settings cannot be chosen on them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from patent_hier.data.corpus import Corpus
from patent_hier.data.labels import corpus_labels
from patent_hier.data.splits import VAL
from patent_hier.errors import ConfigError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.system import merge, positions, with_truth
from patent_hier.pipeline.devices import fit_on_devices
from patent_hier.pipeline.node import score_documents, score_part
from patent_hier.pipeline.plan import NodePlan, plan_node
from patent_hier.pipeline.study import Attempted, Pruned
from patent_hier.settings import HIER_NODES, WHOLE, Settings

if TYPE_CHECKING:
    from patent_hier.training.observers import ObserverFactory, Observers
    from patent_hier.training.pruning import PruningCallback

MEASURES = ("accuracy", "top_3_accuracy")
_SEVERAL = ("class",)  # levels whose nodes have no common result


@dataclass(frozen=True)
class Objective:
    """The score that a search maximises.

    Attributes:
        measure: ``accuracy`` or ``top_3_accuracy``.
        level: Level of the label tree; None for the deepest level of the trained nodes.
    """

    measure: str = MEASURES[0]
    level: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """Parse an objective such as ``accuracy``, ``accuracy/section`` or ``top_3_accuracy/class``.

        Raises:
            ConfigError: If the measure is unknown; the level depends on the corpus and is checked later.
        """
        measure, _, level = text.partition("/")
        if measure not in MEASURES:
            raise ConfigError(f"--objective {text} is unknown; use {' or '.join(MEASURES)}, optionally with /LEVEL")
        return cls(measure, level or None)

    def __str__(self) -> str:
        return self.measure if self.level is None else f"{self.measure}/{self.level}"

    @property
    def monitors(self) -> tuple[str, ...]:
        """The metrics of it that training logs after each epoch; for ``top_3_accuracy``, those of the accuracy."""
        return ("val/accuracy",) if self.level is None else (f"val/accuracy/{self.level}", "val/accuracy")

    def of(self, predictions: NetworkPredictions) -> dict[str, Any]:
        """Return the score on ``val``, with the fields of :class:`patent_hier.evaluation.result.Score`.

        Raises:
            ConfigError: If there is no such level, or no document to score.
        """
        known = predictions.tree.levels
        level = self.level or known[-1]
        if level not in known:
            raise ConfigError(f"--objective {self}: there is no level {level}; choose one of {', '.join(known)}")
        score: dict[str, Any] | None = score_part(predictions, "val")["levels"][level][self.measure]
        if score is None:
            raise ConfigError("no val document has a label at the level of --objective; raise split.val")
        return score


def nodes_of(settings: Settings) -> tuple[str, ...]:
    """Return the nodes whose common result is the score of a trial.

    Raises:
        ConfigError: If the level has several results.
    """
    if settings.level.name in _SEVERAL:
        raise ConfigError(
            f"level={settings.level.name} has one result for each section; search with level=hier, or node by node: "
            "level=node node=A"
        )
    return HIER_NODES if settings.level.name == "hier" else (_only_node(settings),)


def _only_node(settings: Settings) -> str:
    return settings.level.name if settings.level.name in WHOLE else settings.node


@dataclass(frozen=True)
class Trial:
    """Runner of trials.

    Attributes:
        objective: The score to maximise.
        scratch: Folder for temporary files of a trial, such as the state from which a killed trial resumes.
        seeds: Number of seeds over which a score is averaged; the first one is that of the settings.
        prune: Whether trials that fall behind may be stopped.
    """

    objective: Objective
    scratch: Path
    seeds: int = 1
    prune: bool = True

    def score(
        self,
        settings: Settings,
        ask: Callable[[int, float], bool],
        observers: "ObserverFactory | None" = None,
    ) -> Attempted:
        """Train and score one trial.

        Args:
            settings: Settings of the trial; the node is ignored if the level has several.
            ask: Function that takes epoch and score after each epoch of the first seed and returns whether to stop; not
                called if the level has several nodes or a network is trained by several processes.
            observers: Factory of loggers and callbacks that observe the training.

        Raises:
            Pruned: If ``ask`` has stopped the trial.
            PatentHierError: If the settings cannot be used.
        """
        n_seeds = self.seeds if settings.model.is_seeded else 1
        scores = []
        for number in range(n_seeds):
            seeded = replace(settings, seed=settings.seed + number)
            scores.append(self.objective.of(self._predictions(seeded, None if number else ask, observers)))
        values = [score["value"] for score in scores]
        facts = {"interval": list(scores[0]["interval"])} if n_seeds == 1 else {"by_seed": values}
        return Attempted(float(np.mean(values)), {**facts, "documents": scores[0]["n_documents"]})

    def _predictions(
        self, settings: Settings, ask: Callable[[int, float], bool] | None, observers: "ObserverFactory | None"
    ) -> NetworkPredictions:
        nodes = nodes_of(settings)
        watched = ask if self.prune and len(nodes) == 1 and settings.trainer.devices == 1 else None
        plans = [plan_node(replace(settings, node=node)) for node in nodes]
        found = {plan.settings.node: self._fit(plan, watched, observers) for plan in plans if plan.is_trained}
        if not found:
            raise ConfigError(f"node={settings.node}: no training document below it; choose another node")
        return found[nodes[0]] if len(nodes) == 1 else _whole(found, plans[0].corpus)

    def _fit(
        self, plan: NodePlan, ask: Callable[[int, float], bool] | None, observers: "ObserverFactory | None"
    ) -> NetworkPredictions:
        """Train one node, remove the state from which a killed trial would resume, and score the ``val`` documents."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        name = f"{plan.folder.parent.name}-{plan.folder.name}"
        plan = replace(plan, folder=self.scratch / name)
        stopper = None
        if ask is not None and plan.settings.model.inputs != "ngrams":
            from patent_hier.training.pruning import PruningCallback

            stopper = PruningCallback(self.objective.monitors, ask)
        plan = plan.observed(_watching(observers, stopper))
        view = plan.open()
        fitted = fit_on_devices(plan, view, self.scratch)
        plan.state.unlink(missing_ok=True)
        if stopper is not None and stopper.stopped:
            raise Pruned
        return score_documents(fitted.classifier, plan, view, np.flatnonzero(view.parts == VAL))


def _watching(observers: "ObserverFactory | None", stopper: "PruningCallback | None") -> "ObserverFactory | None":
    """Return a factory of the user's loggers and callbacks, plus the callback that may stop training."""
    if stopper is None:
        return observers

    def make(folder: Path, name: str) -> "Observers":
        from patent_hier.training.observers import Observers

        own = Observers() if observers is None else observers(folder, name)
        return replace(own, callbacks=[*own.callbacks, stopper])

    return make


def _whole(predictions: Mapping[str, NetworkPredictions], corpus: Corpus) -> NetworkPredictions:
    """Merge the predictions of a hierarchical system, with the corpus's labels as targets."""
    system = merge(predictions)
    labels = corpus_labels(corpus, system.tree.depth)
    rows = positions(system.document_ids, corpus.document_ids.to_numpy(), "the corpus")
    return with_truth(system, labels.take(rows))
