"""Corrections that a run learns from: checked once against its corpus and split, then read by every node. No torch."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from patent_hier.artifacts import DigestCache, fingerprint, manifest_of, seal
from patent_hier.data.cleaning import Cleaning
from patent_hier.data.corpus import Corpus, source_digest
from patent_hier.data.corrections import (
    CORRECTIONS_KIND,
    CORRECTIONS_VERSION,
    Corrections,
    corrections_manifest,
    read_corrections,
    with_corrections,
)
from patent_hier.data.labels import DocumentLabels, corpus_labels
from patent_hier.data.raw import RawFormat
from patent_hier.data.splits import NO_PART, TRAIN, Codes
from patent_hier.errors import ConfigError, DataError
from patent_hier.evaluation.system import positions
from patent_hier.inference.nodes import MODEL_FOLDER
from patent_hier.pipeline.stages import ensure, load_parts, raw_format
from patent_hier.progress import say
from patent_hier.reading.sources import find_parts
from patent_hier.settings import DataSettings, Settings

if TYPE_CHECKING:
    from patent_hier.training.node_data import Relearning

CORRECTIONS_FOLDER = "corrections"  # in a cache folder
_TEXTS = (("专利名称", "摘要"), ("摘要",), ("专利名称",))  # of a table of corrections; each has many known headers


def ensure_corrections(
    feedback: Path, settings: Settings, corpus: Corpus, split: Path, earlier: Path | None, held_out: float
) -> Path:
    """Return the cache folder of a table of corrections; make it if it is missing.

    Args:
        feedback: A table of corrections.
        settings: Settings of the system that learns.
        corpus: The corpus that it was trained on.
        split: Folder of its split.
        earlier: Folder of corrections that it has already learnt, which are kept; None if there are none.
        held_out: Share of the corrections that is kept out of training, 0 to 1.

    Raises:
        DataError: If the file cannot be used, or has no correction to learn from.
    """
    cache = Path(settings.cache_dir)
    digests = DigestCache(cache / "digests.json")
    source = source_digest([digests.of(file) for file in find_parts(feedback)])
    fmt = _format(settings.data, feedback)
    before = None if earlier is None else corrections_manifest(earlier)["sha256"]
    content = [CORRECTIONS_VERSION, source, fmt.content, corpus.fingerprint, split.name, before, held_out]

    def make(staging: Path) -> None:
        table, lines = read_corrections(feedback, fmt)
        for line in (f"rows of {feedback}:", *(f"  {line}" for line in lines)):
            say(line)
        known = None if earlier is None else Corrections.open(earlier)
        checked = Corrections.checked(table, corpus, load_parts(corpus, split), held_out, known)
        if not checked.facts["counts"]["learnt"]:
            told = _told(checked.facts) or "no rows"
            raise DataError(f"{feedback} has no correction to learn from ({told}); judge more documents")
        checked.write(staging)
        facts = {"corpus": corpus.fingerprint, "split": split.name, "source": source, "held_out": held_out}
        seal(staging, {"kind": CORRECTIONS_KIND, **facts, **checked.facts})

    folder = ensure(cache / CORRECTIONS_FOLDER / fingerprint(content), make)
    say(f"corrections: {_told(corrections_manifest(folder))}  {folder}")
    return folder


def found_corrections(named: str, cache: Path) -> Path:
    """Return the folder of the corrections that a system has learnt: the recorded one, or its copy in a moved cache.

    Args:
        named: Folder as recorded in the system's settings.
        cache: The cache folder.

    Raises:
        ConfigError: If the folder no longer exists; without it, the system would forget the corrections.
    """
    for folder in (Path(named), cache / CORRECTIONS_FOLDER / Path(named).name):
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"the corrections {named}, which the system has learnt, no longer exist; name the cache that has them with "
        "cache_dir=FOLDER, or start from the first version of the system with all corrections together"
    )


def _format(data: DataSettings, feedback: Path) -> RawFormat:
    """Return the format of a table of corrections: known headers, any depth, no limit on rejected rows.

    The text consists of the fields that the system reads if the table has them, else of title and abstract, or of the
    one that the table has.
    """
    fmt = replace(
        raw_format(data), columns={}, delimiter=None, sheet=None, encoding=None, min_symbol="class", edition="latest",
        max_reject_share=1.0,
    )  # fmt: skip
    for text in (tuple(data.text), *_TEXTS):
        own = replace(fmt, text=text)
        try:
            Cleaning(feedback, own).look()
        except DataError:
            continue
        return own
    return fmt  # reading it reports the missing columns


def _told(facts: Any) -> str:
    return ", ".join(f"{count} {what}" for what, count in facts["counts"].items() if count)


def learning_content(settings: Settings, corpus: Corpus, split: Path) -> dict[str, Any]:
    """Return what determines the learning, for a run's fingerprint; empty without corrections.

    Raises:
        ConfigError: If the folder has no corrections, or they belong to another corpus or split.
    """
    own = settings.learn
    if own.corrections is None:
        return {}
    manifest = corrections_manifest(Path(own.corrections))
    for what, theirs, ours in (
        ("corpus", manifest.get("corpus"), corpus.fingerprint),
        ("split", manifest.get("split"), split.name),
    ):
        if theirs != ours:
            raise ConfigError(
                f"learn.corrections={own.corrections} belongs to {what} {theirs}, but this run has {ours}; learn on "
                "the same data"
            )
    content = {"corrections": str(manifest["sha256"])[:12], "weight": own.weight}
    if own.base is not None and settings.model.inputs != "ngrams":
        content |= {
            "base": _base(Path(own.base))["suite"],
            "replay": own.replay,
            "rate": own.rate,
            "passes": own.passes,
        }
    return {"learn": content}


def learnt_facts(settings: Settings) -> dict[str, Any]:
    """Return the facts about learnt corrections for a node's manifest; empty without corrections."""
    if settings.learn.corrections is None:
        return {}
    folder = Path(settings.learn.corrections)
    return {"corrections": {"folder": str(folder), "counts": corrections_manifest(folder)["counts"]}}


def _base(folder: Path) -> Any:
    """Return the manifest of the result whose networks are trained further.

    Raises:
        ConfigError: If the folder is not a result folder.
    """
    manifest = manifest_of(folder, "result")
    if manifest is None:
        raise ConfigError(f"learn.base={folder} is not a result folder; name runs/<model>/result-...")
    return manifest


@dataclass(frozen=True, eq=False)
class Learning:
    """The corrections that a run learns from.

    Attributes:
        corrections: The corrections that are not held out.
        settings: Settings of the run.
        corpus: Corpus of the run.
    """

    corrections: Corrections
    settings: Settings
    corpus: Corpus

    @property
    def documents(self) -> list[str]:
        """The texts of the corrections, as the model reads them."""
        is_ngrams = self.settings.model.inputs == "ngrams"
        return self.corrections.documents(self.settings.data.context if is_ngrams else ())

    @property
    def relearning(self) -> "Relearning":
        """The weights of the corrections, and the networks to train further."""
        from patent_hier.training.node_data import Relearning

        own, n = self.settings.learn, self.corpus.size
        weights = np.ones(n + len(self.corrections), np.float32)
        weights[n:] = own.weight
        goes_on = own.base is not None and self.settings.model.inputs != "ngrams"
        folders = node_folders(Path(str(own.base))) if goes_on else {}
        models = {node: folder / MODEL_FOLDER for node, folder in folders.items()}
        return Relearning(n, weights, models, own.replay, own.passes, own.rate)


def learnt_labels(settings: Settings, corpus: Corpus, split: Path) -> tuple[DocumentLabels, Codes]:
    """Return labels and parts of a corpus, then those of the corrections; cached for all nodes of a process.

    A training document that a correction replaces no longer belongs to any part.
    """
    depth, named = settings.data.depth, settings.learn.corrections
    if named is None:
        return corpus_labels(corpus, depth), load_parts(corpus, split)
    return _learnt_labels(corpus.folder, split, depth, Path(named), corrections_manifest(Path(named))["sha256"])


@functools.lru_cache(maxsize=2)
def _learnt_labels(
    folder: Path, split: Path, depth: str, corrections: Path, unchanged: str
) -> tuple[DocumentLabels, Codes]:
    corpus, own = Corpus.open(folder), _learnt(corrections, unchanged)
    parts = load_parts(corpus, split).copy()
    parts[positions(np.array(own.replaced, object), corpus.document_ids.to_numpy(), "the corpus")] = NO_PART
    parts = np.concatenate([parts, np.full(len(own), TRAIN, np.int8)])
    parts.flags.writeable = False
    return with_corrections(corpus_labels(corpus, depth), own), parts


def node_folders(result: Path) -> dict[str, Path]:
    """Return the node folders next to a result, by node."""
    return {node: result.parent / Path(folder).name for node, folder in _base(result)["nodes"].items()}


def load_corrections(settings: Settings, corpus: Corpus) -> Learning | None:
    """Return the corrections that a run learns from; None if there are none."""
    if settings.learn.corrections is None:
        return None
    folder = Path(settings.learn.corrections)
    return Learning(_learnt(folder, corrections_manifest(folder)["sha256"]), settings, corpus)


@functools.lru_cache(maxsize=1)
def _learnt(folder: Path, unchanged: str) -> Corrections:
    """Return the corrections to learn from, read once for all nodes of a process."""
    return Corrections.open(folder).learnt


def known_words(words: Sequence[str]) -> list[str]:
    """Return the overrides of an earlier run, except those that choose its node, its corrections or its teacher.

    A teacher's answers belong to one corpus, and a network that is trained further has already learnt from them.
    """
    return [word for word in words if not word.lstrip("+").startswith(("node=", "learn.", "distill."))]
