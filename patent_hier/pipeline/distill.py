"""A finished system as the teacher of one network: its answers as a folder, and what the network loses against it.

The answers are made once, for training documents, for texts without labels, or for both. Texts that are documents of
the parts ``val``, ``calibration`` and ``test`` are left out, whatever their case, width and punctuation: the teacher's
answer would be no label, but the student would have read what it is scored on.
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
    """Where texts without labels come from.

    Attributes:
        passages: Files of one passage a line, as pre-training reads them.
        tables: Files of documents, as ``predict`` reads them.
    """

    passages: tuple[Path, ...] = ()
    tables: tuple[Path, ...] = ()

    def check(self) -> None:
        """Refuse what is no such file.

        Raises:
            ConfigError: Naming it.
        """
        require_text_files(self.passages, "--text ")

    def digests(self, cache: Path) -> list[str]:
        """What decides the texts."""
        known = DigestCache(cache / "digests.json")
        tables = [part for table in self.tables for part in find_parts(table)]
        return [known.of(file) for file in (*self.passages, *tables)]

    def texts(self, system: "System") -> Iterator[str | None]:
        """Every text, in the order of the files; None for a row that cannot be read or has none."""
        for passages in read_passages(self.passages):
            yield from map(system.raw.read, passages)
        for table in self.tables:
            for rows in IncomingFiles(table, system.raw).batches(_BATCH):
                yield from (None if row.fault else row.text for row in rows)


@dataclass
class _Sieve:
    """Lets each text through once, and none that the corpus has."""

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
        """Whether a text goes on; it is counted in any case."""
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
    """The teacher's answers as a cache folder; made if they are not there.

    Args:
        settings: Of the student: corpus and split must be the teacher's.
        teacher: Its result folder.
        unlabelled: The texts without labels.
        on: What it answers, of :data:`patent_hier.settings.distillation.ANSWERED`.

    Raises:
        ConfigError: If the teacher is of another corpus, split or depth.
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
    say(f"teacher {member.short_name}: answers on {facts['counts']['documents']} training documents and "
        f"{facts['counts']['texts']} other texts{'; left out' + dropped[1:] if dropped else ''}  {folder}")  # fmt: skip
    return folder


def _refuse_other_data(member: Member, corpus: Corpus, split: Path, settings: Settings) -> None:
    own = member.manifest["data"]
    if (own["corpus"], own["split"]) != (corpus.fingerprint, split.name):
        raise ConfigError(
            f"the teacher {member.result} is of corpus {own['corpus']} and split {own['split']}, these settings of "
            f"{corpus.fingerprint} and {split.name}; give the data=... and split=... that it was made with"
        )
    if member.tree.depth != settings.data.depth:
        raise ConfigError(
            f"the teacher {member.result} reaches level {member.tree.depth}; use data.depth={member.tree.depth}"
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
            raise DataError(f"no text is left for the teacher ({told}); name other files")
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
    """The likeliest labels of the deepest level and their joint log-probabilities, both ``(n, k)``."""
    leaves = system.tree.leaves
    codes = system.tree.codes[leaves]
    k = min(KEPT, len(codes))
    found: list[NDArray[np.intp]] = []
    kept: list[NDArray[np.float32]] = []
    with item_progress(f"the teacher answers {len(texts)} texts", system.passes * len(texts)) as progress:
        for portion in system.portions(texts):
            scores = system.whole(system.log_prob(portion, progress)).log_prob[:, leaves]
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            found.append(best)
            kept.append(np.take_along_axis(scores, best, axis=1))
    return codes[np.concatenate(found)], np.concatenate(kept).astype(np.float32)


def compare_with_teacher(student: SuiteResult, teacher: Path, corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Student less teacher, on the test documents of both, by level; see :mod:`patent_hier.pipeline.comparison`."""
    return compare_on_test(student.nodes, read_member(teacher).nodes, corpus, ("student", "teacher"))
