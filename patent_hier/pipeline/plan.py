"""Everything about a node's run that is known before training: inputs, name and folder. Does not import torch."""

from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patent_hier.artifacts import DigestCache, fingerprint
from patent_hier.data.corpus import Corpus
from patent_hier.data.label_text import LABEL_TEXT_VERSION
from patent_hier.data.splits import VAL
from patent_hier.errors import ConfigError
from patent_hier.pipeline.inputs import Inputs, find_inputs
from patent_hier.pipeline.learning import learning_content, learnt_labels
from patent_hier.pipeline.stages import ensure_data, is_trained, load_parts
from patent_hier.pipeline.teaching import teaching_content
from patent_hier.settings import BEST, FLAT, ROOT, WHOLE, Settings
from patent_hier.taxonomy.table import level_name

if TYPE_CHECKING:
    from patent_hier.training.node_data import CorpusView
    from patent_hier.training.observers import Observe, ObserverFactory

RUN_VERSION = 4  # raise it when the same settings would give other results
# Trainer settings that do not influence the result, apart from rounding and random dropout.
_NO_INFLUENCE = (
    *("num_threads", "accelerator", "accumulate", "checkpoint_minutes", "devices", "progress", "score_batch_size"),
)


@dataclass(frozen=True)
class Given:
    """A corpus and its split, used in place of those in a run's settings.

    Attributes:
        corpus: The clean corpus.
        split: Folder of the split.
        content: Further facts that determine the result, besides the settings.
    """

    corpus: Corpus
    split: Path
    content: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Continuation:
    """An earlier network that a node trains further; the plan carries it to every training process.

    Attributes:
        model: Its model folder.
        passes: Number of epochs.
        heads: The heads to train; None for the whole network, on all documents.
    """

    model: Path
    passes: int
    heads: frozenset[tuple[str, str]] | None = None

    def applied(self, view: "CorpusView[Any]", node: str) -> "CorpusView[Any]":
        """Return the view with the data that :func:`patent_hier.training.relearning.take_up` needs."""
        import numpy as np

        from patent_hier.training.node_data import Relearning

        n, own = len(view.labels), view.relearning
        first, weights = (n, np.ones(n, np.float32)) if own is None else (own.first, own.weights)
        base = {node: self.model}
        return replace(view, relearning=Relearning(first, weights, base, n, self.passes, heads=self.heads))


@dataclass(frozen=True)
class NodePlan:
    """The plan of one node's run.

    Attributes:
        settings: Settings of the run.
        corpus: The clean corpus.
        split: Folder of the split.
        inputs: Inputs of the model.
        content: Everything that determines the result, except node and seed.
        group: Fingerprint of ``content``: the same for all seeds of one configuration.
        suite: Fingerprint of everything except the node: the same for the nine nodes of one hierarchical result.
        folder: Result folder, ``runs/<model>/<node>-<fingerprint>``.
        is_trained: Whether the corpus has a training document below the node; if not, there is nothing to train.
        observe: Factory of observers of the training, which do not affect the result.
        continued: The earlier network to train further, in place of ``learn.base``.
    """

    settings: Settings
    corpus: Corpus
    split: Path
    inputs: Inputs
    content: dict[str, Any]
    group: str
    suite: str
    folder: Path
    is_trained: bool
    observe: "Observe | None" = None
    continued: "Continuation | None" = None

    def open(self) -> "CorpusView[Any]":
        """Open the inputs of the model; make them if they are missing.

        Raises:
            PatentHierError: If an input is unusable.
        """
        view = self.inputs.open(self.corpus, self.split)
        return view if self.continued is None else self.continued.applied(view, self.settings.node)

    @property
    def state(self) -> Path:
        """The checkpoint of the node's training, which exists until the result is written."""
        return self.folder.with_name(f".state-{self.folder.name}.ckpt")

    def observed(self, observers: "ObserverFactory | None") -> "NodePlan":
        """Return the plan with observers; the log in ``<runs_dir>/logs`` is named after the result folder."""
        if observers is None:
            return self
        name = f"{self.folder.parent.name}/{self.folder.name}"
        return replace(self, observe=partial(observers, Path(self.settings.runs_dir) / "logs", name))


def plan_node(settings: Settings, given: Given | None = None) -> NodePlan:
    """Plan a run: find or make its corpus and split, and name its result.

    Args:
        settings: Settings of one node's run.
        given: Corpus and split; None for those in the settings, which are made if they are missing.

    Raises:
        ConfigError: If the encoder or the table of label texts is missing, the model does not fit the encoder, or
            ``trainer.keep=best`` has no validation documents.
        DataError: If the raw file cannot be used.
    """
    inputs = find_inputs(settings)
    label_text = _label_content(settings)
    corpus, split = ensure_data(settings) if given is None else (given.corpus, given.split)
    _refuse_without_validation(settings, corpus, split)
    content = {
        "run_version": RUN_VERSION,
        "corpus": corpus.fingerprint,
        "split": split.name,
        "depth": settings.data.depth,
        "labels": settings.data.labels,
        **inputs.content(),
        "model": settings.model.influence(),
        **_training_content(settings),
        **label_text,
        **teaching_content(settings, corpus, split),
        **_context_content(settings),
        **learning_content(settings, corpus, split),
        **({} if given is None else given.content),
    }
    suite = {**content, "seed": settings.seed if settings.model.is_seeded else None}
    name = fingerprint({**suite, "node": settings.node})
    folder = Path(settings.runs_dir) / settings.model.name / f"{settings.node.replace('/', '_')}-{name}"
    trained = settings.node in (ROOT, *WHOLE) or is_trained(*learnt_labels(settings, corpus, split), settings)
    return NodePlan(settings, corpus, split, inputs, content, fingerprint(content), fingerprint(suite), folder, trained)


def _refuse_without_validation(settings: Settings, corpus: Corpus, split: Path) -> None:
    if settings.model.inputs == "ngrams" or settings.trainer.keep != BEST or (load_parts(corpus, split) == VAL).any():
        return
    raise ConfigError(
        f"trainer.keep=best chooses an epoch on the part val, which is empty with split.val={settings.split.val}; "
        "set trainer.keep=last"
    )


def _training_content(settings: Settings) -> dict[str, Any]:
    """Return the settings of optimizer and trainer; empty for models without gradient steps."""
    if settings.model.inputs == "ngrams":
        return {}
    own = settings.trainer
    # Newer settings are left out while they are off, which keeps old fingerprints. Only flat nodes use the first one.
    later = {"section_loss": settings.node == FLAT and own.section_loss, "level_weights": own.level_weights}
    later |= {"r_drop": own.r_drop, "label_smoothing": own.label_smoothing, "ema": own.ema, "keep": own.keep != BEST}
    later |= {"text_turns": own.text_turns > 1}
    trainer = {key: value for key, value in asdict(own).items() if key not in _NO_INFLUENCE and later.get(key, True)}
    usual = {"head_lr": None, "layer_decay": 1.0}
    optimizer = {
        key: value for key, value in asdict(settings.optimizer).items() if key not in usual or value != usual[key]
    }
    return {"optimizer": optimizer, "trainer": trainer}


def _context_content(settings: Settings) -> dict[str, Any]:
    """Return the context columns and their weights; empty without context."""
    if not settings.data.context:
        return {}
    weights = settings.model.context_weights
    return {
        "context": {
            "columns": sorted(set(settings.data.context)),
            "weight": weights[0] if len(weights) == 1 else list(weights),
        }
    }


def _label_content(settings: Settings) -> dict[str, Any]:
    """Return levels, weights and table digest of the label texts; empty without label texts."""
    data = settings.data
    if data.label_text is None:
        return {}
    path = Path(data.label_text)
    if not path.is_file():
        raise ConfigError(
            f"data.label_text={path} is not a file; name a CSV with the columns code, level and title, or null"
        )
    weights = data.label_weights(settings.model.inputs)
    return {
        "label_text": {
            "levels": sorted(set(map(level_name, data.label_levels))),
            "weight": weights[0] if len(weights) == 1 else list(weights),
            "digest": DigestCache(Path(settings.cache_dir) / "digests.json").of(path),
            "version": LABEL_TEXT_VERSION,
        }
    }
