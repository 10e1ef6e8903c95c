"""Everything about a node's run that is known before training: its inputs, its name, its folder. No torch."""

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

RUN_VERSION = 4  # raise it when training or scoring change what comes out of the same settings
# On the result, beyond rounding and the chance in dropout.
_NO_INFLUENCE = (
    *("num_threads", "accelerator", "accumulate", "checkpoint_minutes", "devices", "progress", "score_batch_size"),
)


@dataclass(frozen=True)
class Given:
    """A corpus and its split, in place of those that a run's settings name.

    Attributes:
        corpus: The clean corpus.
        split: Folder of the split.
        content: What decides the result beside the settings.
    """

    corpus: Corpus
    split: Path
    content: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Continuation:
    """An earlier network from which a node goes on; every process that trains finds it in the plan.

    Attributes:
        model: Its model folder.
        passes: Epochs.
        heads: The heads that are trained; None: the whole network, on all documents.
    """

    model: Path
    passes: int
    heads: frozenset[tuple[str, str]] | None = None

    def applied(self, view: "CorpusView[Any]", node: str) -> "CorpusView[Any]":
        """The view with what :func:`patent_hier.training.relearning.take_up` needs."""
        import numpy as np

        from patent_hier.training.node_data import Relearning

        n, own = len(view.labels), view.relearning
        first, weights = (n, np.ones(n, np.float32)) if own is None else (own.first, own.weights)
        base = {node: self.model}
        return replace(view, relearning=Relearning(first, weights, base, n, self.passes, heads=self.heads))


@dataclass(frozen=True)
class NodePlan:
    """One node's run, named.

    Attributes:
        settings: Its settings.
        corpus: The clean corpus.
        split: Folder of the split.
        inputs: What the model reads.
        content: All that decides the result, but for node and seed.
        group: Fingerprint of ``content``: equal for all seeds of one configuration.
        suite: Fingerprint of everything but the node: equal for the nine nodes of one hierarchical result.
        folder: Result folder, ``runs/<model>/<node>-<fingerprint>``.
        is_trained: Whether the corpus has a training document under the node; else there is nothing to make.
        observe: Makes what watches training; no result depends on it.
        continued: The earlier network that this one goes on from, in place of what ``learn.base`` says.
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
        """Open what the model reads; what is not there is made.

        Raises:
            PatentHierError: If an input is unusable.
        """
        view = self.inputs.open(self.corpus, self.split)
        return view if self.continued is None else self.continued.applied(view, self.settings.node)

    @property
    def state(self) -> Path:
        """The file that keeps where the node's training stands, until its result is written."""
        return self.folder.with_name(f".state-{self.folder.name}.ckpt")

    def observed(self, observers: "ObserverFactory | None") -> "NodePlan":
        """The same run, watched; its log has the name of the result's folder, in ``<runs_dir>/logs``."""
        if observers is None:
            return self
        name = f"{self.folder.parent.name}/{self.folder.name}"
        return replace(self, observe=partial(observers, Path(self.settings.runs_dir) / "logs", name))


def plan_node(settings: Settings, given: Given | None = None) -> NodePlan:
    """Find or make the inputs of a run and name its result.

    Args:
        settings: One node's run.
        given: Its data; None: what the settings name is made, unless it is there.

    Raises:
        ConfigError: If the encoder or the table of label texts is missing, the model does not fit the encoder, or the
            best epoch is asked for and there are no validation documents.
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
        f"trainer.keep=best chooses an epoch by the part val, which is empty with split.val={settings.split.val}; "
        "set trainer.keep=last"
    )


def _training_content(settings: Settings) -> dict[str, Any]:
    """Optimizer and trainer; without influence on models that make no gradient steps."""
    if settings.model.inputs == "ngrams":
        return {}
    own = settings.trainer
    # Left out while they are off, as before there were such settings; only the flat node reads the first.
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
    """What is read beside the text and its weights; nothing where there is nothing."""
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
    """The label texts by their table, levels and weights; nothing where there are none."""
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
