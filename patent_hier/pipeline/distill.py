"""Use a finished system as the teacher of one network: store its answers, and compare the student with it.

The answers are made once, for training documents, for unlabelled texts, or for both. Texts that match documents of the
parts ``val``, ``calibration`` or ``test``, apart from case, width and punctuation, are left out. The teacher's answers
would not reveal true labels, but the student would still train on the texts that it is scored on.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import DigestCache, fingerprint, seal
from patent_hier.data.answers import ANSWERS_KIND, ANSWERS_VERSION, KEPT, Answers
from patent_hier.data.corpus import Corpus
from patent_hier.data.incoming import IncomingFiles
from patent_hier.data.near_duplicates import letters
from patent_hier.data.splits import TRAIN
from patent_hier.errors import ConfigError, DataError
from patent_hier.features.passages import read_passages, require_text_files
from patent_hier.inference.predictor import load_system
from patent_hier.inference.texts import text_problem
from patent_hier.pipeline.comparison import compare_on_test
from patent_hier.pipeline.members import Member, read_member
from patent_hier.pipeline.stages import ensure, ensure_data, load_parts
from patent_hier.pipeline.suite import SuiteResult
from patent_hier.progress import item_progress, say
from patent_hier.reading.sources import find_parts
from patent_hier.settings import Settings
from patent_hier.settings.distillation import TRAINING, UNLABELLED

if TYPE_CHECKING:
    from patent_hier.inference.predictor import System

_BATCH = 1024  # rows of a table


@dataclass(frozen=True)
class Unlabelled:
    """Sources of unlabelled texts.

    Attributes:
        passages: Files with one passage per line, as for pre-training.
        tables: Files of documents, as for ``predict``.
    """

    passages: tuple[Path, ...] = ()
    tables: tuple[Path, ...] = ()

    def check(self) -> None:
        """Raise an error if a file of passages cannot be used.

        Raises:
            ConfigError: If so; the message names the file.
        """
        require_text_files(self.passages, "--text ")

    def digests(self, cache: Path) -> list[str]:
        """Return the digests of all files, which identify the texts."""
        known = DigestCache(cache / "digests.json")
        tables = [part for table in self.tables for part in find_parts(table)]
        return [known.of(file) for file in (*self.passages, *tables)]

    def texts(self, system: "System") -> Iterator[str | None]:
        """Yield the texts in the order of the files; None for a row that is unreadable or has no text."""
        for passages in read_passages(self.passages):
            yield from map(system.raw.read, passages)
        for table in self.tables:
            for rows in IncomingFiles(table, system.raw).batches(_BATCH):
                yield from (None if row.fault else row.text for row in rows)


@dataclass
class _Sieve:
    """A filter that passes each text once, and no text of the corpus."""

    train: set[str]
    held_out: set[str]
    used: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, corpus: Corpus, parts: NDArray[np.int8]) -> "_Sieve":
        texts = list(map(str, corpus.column("text").to_pylist()))
        train = {letters(text) for text, part in zip(texts, parts, strict=True) if part == TRAIN}
        return cls(train, {letters(text) for text, part in zip(texts, parts, strict=True) if part != TRAIN})

    def take(self, text: str | None) -> bool:
        """Return whether a text is used, and count it in either case."""
        key = "" if text is None or text_problem(text) else letters(text)
        why = (
            "no text" if not key
            else "in val, calibration or test" if key in self.held_out
            else "in train" if key in self.train
            else "repeated" if key in self.used
            else "used"
        )  # fmt: skip
        self.counts[why] += 1
        self.used.add(key)
        return why == "used"


def ensure_answers(settings: Settings, teacher: Path, unlabelled: Unlabelled, on: str) -> Path:
    """Return the cache folder of the teacher's answers; make it if it is missing.

    Args:
        settings: The student's settings; corpus and split must be the teacher's.
        teacher: The teacher's result folder.
        unlabelled: Sources of unlabelled texts.
        on: Which texts to answer, one of :data:`patent_hier.settings.distillation.ANSWERED`.

    Raises:
        ConfigError: If the teacher has another corpus, split or depth.
        DataError: If no text is left.
    """
    unlabelled.check()
    member, cache = read_member(teacher), Path(settings.cache_dir)
    corpus, split = ensure_data(settings)
    _refuse_other_data(member, corpus, split, settings)
    digests = unlabelled.digests(cache) if on != TRAINING else []
    content = [ANSWERS_VERSION, member.facts, corpus.fingerprint, split.name, on, digests]

    def make(staging: Path) -> None:
        answers = _answer(member, corpus, load_parts(corpus, split), unlabelled, on)
        answers.write(staging)
        facts = {"corpus": corpus.fingerprint, "split": split.name, "on": on, **answers.facts}
        seal(staging, {"kind": ANSWERS_KIND, **facts})

    folder = ensure(cache / "answers" / fingerprint(content), make)
    facts = Answers.open(folder).facts
    dropped = "".join(f", {count} {why}" for why, count in facts["dropped"].items() if count)
    say(f"teacher {member.short_name}: answers for {facts['counts']['documents']} training documents and "
        f"{facts['counts']['texts']} more texts{'; left out:' + dropped[1:] if dropped else ''}  {folder}")  # fmt: skip
    return folder


def _refuse_other_data(member: Member, corpus: Corpus, split: Path, settings: Settings) -> None:
    own = member.manifest["data"]
    if (own["corpus"], own["split"]) != (corpus.fingerprint, split.name):
        raise ConfigError(
            f"the teacher {member.result} was trained on corpus {own['corpus']} and split {own['split']}, but these "
            f"settings give {corpus.fingerprint} and {split.name}; use the data=... and split=... of the teacher"
        )
    if member.tree.depth != settings.data.depth:
        raise ConfigError(
            f"the deepest level of the teacher {member.result} is {member.tree.depth}; use "
            f"data.depth={member.tree.depth}"
        )


def _answer(member: Member, corpus: Corpus, parts: NDArray[np.int8], unlabelled: Unlabelled, on: str) -> Answers:
    system = load_system(member.result)
    ids: list[str] = []
    texts: list[str] = []
    sieve = _Sieve.of(corpus, parts)
    if on != TRAINING:
        texts = [text for text in unlabelled.texts(system) if sieve.take(text) and text is not None]
        if not texts:
            told = ", ".join(f"{count} {why}" for why, count in sieve.counts.items()) or "no text at all"
            raise DataError(f"no text is left for the teacher ({told}); give other files")
    asked = list(texts)
    if on != UNLABELLED:
        rows = np.flatnonzero(parts == TRAIN)
        ids = list(map(str, corpus.document_ids.take(rows).to_pylist()))
        asked = [*map(str, corpus.column("text").take(rows).to_pylist()), *texts]
    labels, log_prob = _ask(system, asked)
    facts = {
        "teacher": member.facts,
        "levels": list(member.tree.levels),
        "labels_kept": labels.shape[1],
        "counts": {"documents": len(ids), "texts": len(texts)},
        "dropped": {why: count for why, count in sieve.counts.items() if why != "used"},
    }
    return Answers(np.array(ids, object), tuple(texts), labels, log_prob, facts)


def _ask(system: "System", texts: list[str]) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
    """Return the most probable labels of the deepest level and their joint log-probabilities, both ``(n, k)``."""
    leaves = system.tree.leaves
    codes = system.tree.codes[leaves]
    k = min(KEPT, len(codes))
    found: list[NDArray[np.intp]] = []
    kept: list[NDArray[np.float32]] = []
    with item_progress(f"scoring {len(texts)} texts with the teacher", system.passes * len(texts)) as progress:
        for portion in system.portions(texts):
            scores = system.whole(system.log_prob(portion, progress)).log_prob[:, leaves]
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            found.append(best)
            kept.append(np.take_along_axis(scores, best, axis=1))
    return codes[np.concatenate(found)], np.concatenate(kept).astype(np.float32)


def compare_with_teacher(student: SuiteResult, teacher: Path, corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Compare a student with its teacher on the test documents by level; see :mod:`patent_hier.pipeline.comparison`."""
    return compare_on_test(student.nodes, read_member(teacher).nodes, corpus, ("student", "teacher"))
