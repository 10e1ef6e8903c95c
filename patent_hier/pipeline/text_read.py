"""Texts that an encoder has read: make their digests, and find the test documents of a corpus among them."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from patent_hier.artifacts import MANIFEST, file_digest, fingerprint, seal, verify
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import TEST
from patent_hier.errors import ConfigError
from patent_hier.features.passages import read_passages
from patent_hier.features.text_digests import DIGESTS_FILE, FEWEST_LETTERS, TextDigests
from patent_hier.pipeline.encoder_manifest import earlier_runs
from patent_hier.pipeline.stages import ensure, load_parts
from patent_hier.sanitize import shown

READ_VERSION = 1  # raise it when identical texts would have other digests or counts
DIGESTS = "text_digests"  # key in an encoder's manifest
_COUNTS = "counts.json"
WriteCard = Callable[[Path, Mapping[str, Any], Sequence[Mapping[str, float]]], None]


@dataclass(frozen=True)
class ReadBefore:
    """Counts of the test documents that occur in the text that an encoder has read.

    Attributes:
        documents: All test documents.
        passages: Test documents that are a passage of that text.
        within: Further test documents whose clauses all occur in passages; see
            :meth:`patent_hier.features.text_digests.TextDigests.find`.
        complete: Whether the encoder's digests cover all its training text, not only that of its further training.
    """

    documents: int
    passages: int
    within: int
    complete: bool

    def in_words(self, encoder: str) -> str:
        """Return one sentence; ``encoder`` is the encoder's name."""
        only = "" if self.complete else " in its further training (its earlier training text is not recorded)"
        return (
            f"Encoder {encoder}: {self.passages:,} of {self.documents:,} test documents are a passage of the text that "
            f"it has read{only}; {self.within:,} more occur in passages clause by clause (clauses of {FEWEST_LETTERS} "
            "letters or more)."
        )


def read_before(encoder: Path, corpus: Corpus, split: Path, cache: Path) -> ReadBefore | None:
    """Count the test documents that an encoder has read; the counts are cached.

    Args:
        encoder: Folder of the encoder.
        corpus: The clean corpus.
        split: Folder of its split.
        cache: The run's cache folder.

    Returns:
        The counts; None if the folder has no digests, as with an encoder from elsewhere or one without weights.

    Raises:
        ArtifactError: If the digests are damaged.
    """
    digests = TextDigests.open(encoder)
    if digests is None:
        return None
    content = [READ_VERSION, file_digest(encoder / DIGESTS_FILE), corpus.fingerprint, split.name]

    def make(staging: Path) -> None:
        counts = np.zeros(3, np.int64)  # documents, passages, within
        is_test, first = load_parts(corpus, split) == TEST, 0
        for texts in corpus.iter_texts():
            chosen = np.flatnonzero(is_test[first : first + len(texts)])
            first += len(texts)
            passages, within = digests.find([texts[position] for position in chosen])
            counts += (len(chosen), passages.sum(), (within & ~passages).sum())
        write_json(staging / _COUNTS, counts.tolist())
        seal(staging, {"kind": "test documents read", "corpus": corpus.fingerprint, "split": split.name})

    documents, passages, within = read_json(ensure(cache / "read_before" / fingerprint(content), make) / _COUNTS)
    return ReadBefore(documents, passages, within, _is_complete(encoder))


def joined_digests(own: TextDigests, start: Path | None) -> tuple[TextDigests, dict[str, Any]]:
    """Return the digests of an encoder, and the facts about them for its manifest.

    Args:
        own: Digests of the text of its own run.
        start: Folder of the encoder that it started from; None for a new one.
    """
    earlier = None if start is None else TextDigests.open(start)
    digests = own if earlier is None else own.joined(earlier)
    return digests, {"count": len(digests), "complete": start is None or (earlier is not None and _is_complete(start))}


def add_digests(folder: Path, files: Sequence[Path], write_card: WriteCard) -> int:
    """Add the digests of the text that it has read to a finished encoder, and update its card.

    Args:
        folder: Folder of an encoder that was made by ``patent-hier pretrain``.
        files: All texts that it has read, including those of the runs that it started from.
        write_card: As in :func:`patent_hier.pipeline.pretrain.pretrain`.

    Returns:
        The number of digests.

    Raises:
        ConfigError: If the folder is not such an encoder, or a text of its manifest is missing.
        ArtifactError: If the folder is damaged.
        DataError: If a text cannot be read.
    """
    if not earlier_runs(folder):
        raise ConfigError(f"{folder} is not an encoder made by patent-hier pretrain; give a folder that it has made")
    verify(folder)
    manifest = read_json(folder / MANIFEST)
    given = {file_digest(file) for file in files}
    for source in manifest["text"]["sources"]:
        if source.get("sha256") not in given:
            name = source.get("file") or f"corpus {source.get('corpus')}"
            raise ConfigError(f"{folder} has read {shown(name)}, which is not among the texts; add it with --text")
    digests = TextDigests.of(read_passages(files))
    manifest = {key: value for key, value in manifest.items() if key not in ("files", "sha256")}
    manifest[DIGESTS] = {"count": len(digests), "complete": True}
    with exclusive(folder), atomic_folder(folder) as staging:
        shutil.copytree(folder, staging, dirs_exist_ok=True)
        digests.save(staging)
        write_card(staging, manifest, read_json(folder / "history.json"))
        seal(staging, manifest)
    return len(digests)


def ensure_digests(content: object, batches: Callable[[], Any], cache: Path) -> TextDigests:
    """Return the digests of a text for pre-training; they are cached.

    Args:
        content: What identifies the text.
        batches: Function that returns its passages in lists.
        cache: The run's cache folder.
    """

    def make(staging: Path) -> None:
        digests = TextDigests.of(batches())
        digests.save(staging)
        seal(staging, {"kind": "text digests", "count": len(digests)})

    found = TextDigests.open(ensure(cache / "text_digests" / fingerprint([READ_VERSION, content]), make))
    assert found is not None  # it has just been made
    return found


def digest_facts(encoder: Path) -> dict[str, Any]:
    """Return the entry :data:`DIGESTS` of an encoder's manifest; empty if there is none."""
    manifest = read_json(encoder / MANIFEST) if (encoder / MANIFEST).is_file() else {}
    return {DIGESTS: manifest[DIGESTS]} if isinstance(manifest, dict) and DIGESTS in manifest else {}


def _is_complete(encoder: Path) -> bool:
    facts = digest_facts(encoder).get(DIGESTS)
    return isinstance(facts, dict) and facts.get("complete") is True


def as_facts(read: ReadBefore | None) -> dict[str, Any]:
    """Return the counts for a node's manifest; empty if they are unknown."""
    return {} if read is None else {"read_before": asdict(read)}
