"""Everything about a node's run that is known before training: its inputs, its name, its folder. No torch."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from patent_hier.artifacts import DigestCache, fingerprint
from patent_hier.data.corpus import Corpus
from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import EncoderFiles, locate
from patent_hier.pipeline.stages import ensure_corpus, ensure_split, split_plan
from patent_hier.settings import Settings

RUN_VERSION = 1  # raise it when training or scoring change what comes out of the same settings
_NO_INFLUENCE = ("num_threads", "accelerator", "progress", "score_batch_size")  # on the result, beyond rounding


@dataclass(frozen=True)
class NodePlan:
    """One node's run, named.

    Attributes:
        settings: Its settings.
        corpus: The clean corpus.
        split: Folder of the split.
        encoder: The encoder's files.
        suite: Fingerprint of everything but the node: equal for the nine nodes of one hierarchical result.
        folder: Result folder, ``runs/<model>/<node>-<fingerprint>``.
    """

    settings: Settings
    corpus: Corpus
    split: Path
    encoder: EncoderFiles
    suite: str
    folder: Path


def plan_node(settings: Settings) -> NodePlan:
    """Find or make the inputs of a run and name its result.

    Raises:
        ConfigError: If the encoder is missing or the model does not fit it.
        DataError: If the raw file cannot be used.
    """
    cache = Path(settings.cache_dir)
    encoder = locate(settings.encoder, cache)
    model = settings.model.influence()
    if model.get("num_last_layers", 1) > encoder.num_layers:
        raise ConfigError(
            f"model.num_last_layers={settings.model.num_last_layers} is out of range; "
            f"encoder {settings.encoder.name} has layers 1 to {encoder.num_layers}"
        )
    plan = split_plan(settings.split)
    corpus = ensure_corpus(settings.data, cache)
    split = ensure_split(corpus, plan, cache)
    content = {
        "run_version": RUN_VERSION,
        "corpus": corpus.fingerprint,
        "split": split.name,
        "encoder": _encoder_content(settings, encoder, cache),
        "model": model,
        "optimizer": asdict(settings.optimizer),
        "trainer": {key: value for key, value in asdict(settings.trainer).items() if key not in _NO_INFLUENCE},
        "seed": settings.seed,
    }
    name = fingerprint({**content, "node": settings.node})
    folder = Path(settings.runs_dir) / settings.model.name / f"{settings.node}-{name}"
    return NodePlan(settings, corpus, split, encoder, fingerprint(content), folder)


def _encoder_content(settings: Settings, files: EncoderFiles, cache: Path) -> dict[str, Any]:
    encoder = settings.encoder
    return {
        "digest": files.digest(DigestCache(cache / "digests.json"), encoder.pretrained),
        "pretrained": encoder.pretrained,
        "freeze": encoder.freeze,
        "max_length": encoder.max_length,
    }
