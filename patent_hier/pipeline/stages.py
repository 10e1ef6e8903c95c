"""Data before any model: corpus and split, each a cache folder that is made once, and the titles of IPC symbols."""

import functools
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import chain, compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST, DigestCache, file_digest, find_damage, seal, write_manifest
from patent_hier.atomic import atomic_file, atomic_folder, exclusive, read_json, remove_partials
from patent_hier.data.accounting import Accounting, RefusedFileError, files_shown, refuse_rejects
from patent_hier.data.assigning import SplitReport, assign
from patent_hier.data.characters import Characters, sample
from patent_hier.data.corpus import Corpus, corpus_fingerprint, described, prepare, shared_strings, source_digest
from patent_hier.data.demo import DEMO_VERSION, write_demo_csv
from patent_hier.data.document_groups import application_days, find_groups, refuse_torn
from patent_hier.data.familiarity import common_bigrams
from patent_hier.data.given_parts import GivenParts, given_parts, usable_column
from patent_hier.data.label_text import LabelTexts, read_label_texts
from patent_hier.data.labels import DocumentLabels, corpus_labels
from patent_hier.data.raw import RawFormat
from patent_hier.data.splits import (
    CALIBRATION,
    DATE,
    FILE,
    GROUPED,
    RANDOM,
    TRAIN,
    SplitPlan,
    load,
    save,
    split_fingerprint,
)
from patent_hier.errors import ArtifactError, DataError
from patent_hier.progress import byte_progress, say
from patent_hier.reading.sources import find_parts
from patent_hier.settings import ROOT, DataSettings, DemoDataSettings, PretrainSettings, Settings, SplitSettings
from patent_hier.taxonomy.tree import NONE
from patent_hier.wording import quantity


def ensure(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make a cache folder unless it is intact; one process makes it while others wait.

    A folder is intact if its content matches its manifest and its name is the one it was made under: a folder moved
    to the place of another would have the wrong vocabulary, split or corpus.
    """
    with exclusive(folder):
        if find_damage(folder) is None and read_json(folder / MANIFEST).get("made_as") == folder.name:
            return folder
        if folder.exists():
            state = "damaged" if _was_made_as_now(folder) else "from an older version"
            say(f"{folder} is {state}; it is rebuilt")
            shutil.rmtree(folder)
        with atomic_folder(folder) as staging:
            make(staging)
            write_manifest(staging, {**read_json(staging / MANIFEST), "made_as": folder.name})
    return folder


def _was_made_as_now(folder: Path) -> bool:
    """Return whether a folder's manifest has the current format, or cannot be read."""
    try:
        return "made_as" in read_json(folder / MANIFEST)
    except ArtifactError:
        return True


def raw_format(data: DataSettings) -> RawFormat:
    """Return the format of the raw file, as the cleaner expects it."""
    return RawFormat(
        columns=data.columns,
        text=tuple(data.text),
        min_symbol=data.min_symbol,
        edition=data.edition,
        max_reject_share=data.max_reject_share,
        encoding=data.encoding,
        convert=data.convert,
        delimiter=data.delimiter,
        sheet=data.sheet,
        context=tuple(data.context),
    )


def raw_files(data: DataSettings, cache: Path) -> list[Path]:
    """Return the raw files: the user's files, or the demo corpus, which is generated on first use."""
    if not isinstance(data, DemoDataSettings):
        assert data.path is not None  # settings.check ensures this
        return find_parts(data.path)
    path = cache / "demo" / f"demo-v{DEMO_VERSION}-{data.rows}-{data.seed}.csv"
    digest = path.with_suffix(".sha256")
    with exclusive(path):
        if not (path.is_file() and digest.is_file() and digest.read_text("utf-8") == file_digest(path)):
            if path.is_file():
                say(f"{path} is {'damaged' if digest.is_file() else 'from an older version'}; it is rebuilt")
            remove_partials(path)
            remove_partials(digest)
            say(f"writing the demo corpus, {data.rows} documents, to {path}")
            with atomic_file(path) as partial:
                write_demo_csv(partial, data.rows, data.seed)
            with atomic_file(digest) as partial:
                partial.write_text(file_digest(path), "utf-8")
    return [path]


def ensure_corpus(data: DataSettings, cache: Path) -> Corpus:
    """Return the clean corpus of a raw file; if it is missing, prepare it and print what happened to the rows."""
    fmt = raw_format(data)  # reports mistakes before the demo corpus is written
    files = raw_files(data, cache)
    source, folder = files_shown(files), _corpus_folder(data, files, fmt, cache)

    def make(staging: Path) -> None:
        try:
            with byte_progress(f"reading {source}") as progress:
                extra = {"name": data.name}
                accounting = prepare(files, staging, fmt, extra_manifest=extra, progress=progress)
        except RefusedFileError as error:
            report_accounting(error.accounting, source)
            raise
        for line in described(read_json(staging / MANIFEST)["parts"]):
            say(line)
        report_accounting(accounting, source)

    corpus = Corpus.open(ensure(folder, make))
    # The limit may be stricter today than when the corpus was made.
    refuse_rejects(Accounting.from_dict(corpus.manifest["accounting"]), source, fmt.max_reject_share)
    return corpus


def _corpus_folder(data: DataSettings, files: Sequence[Path], fmt: RawFormat, cache: Path) -> Path:
    digests = DigestCache(cache / "digests.json")
    name = corpus_fingerprint(source_digest([digests.of(file) for file in files]), fmt)
    return cache / "corpora" / f"{data.name}-{name}"


def is_prepared(data: DataSettings, cache: Path) -> bool:
    """Return whether the corpus exists, so that :func:`ensure_corpus` does not have to read the raw file.

    Raises:
        ConfigError, DataError: As :func:`ensure_corpus`.
    """
    if not (cache / "corpora").is_dir():
        return False
    fmt = raw_format(data)
    return _corpus_folder(data, raw_files(data, cache), fmt, cache).is_dir()


def report_accounting(accounting: Accounting, source: str) -> None:
    """Print how many rows were kept, rejected or dropped as duplicates."""
    say(f"rows of {source}:")
    for line in accounting.lines():
        say(f"  {line}")


def split_plan(split: SplitSettings) -> SplitPlan:
    """Return the checked plan of a split; call this before reading the corpus, so that mistakes are reported at once.

    Raises:
        ConfigError: If a setting is out of range.
        DataError: If the file of the parts is missing.
    """
    plan = SplitPlan(**asdict(split))
    if plan.path is not None and not Path(plan.path).is_file():
        raise DataError(f"split.path={plan.path} is not a file; check the path")
    return plan


def ensure_split(corpus: Corpus, plan: SplitPlan, cache: Path) -> Path:
    """Return the folder of a corpus's split; if it is missing, make it and report its small classes."""
    if plan.column is not None:
        plan = replace(plan, column=usable_column(corpus, plan.column))
    digest = None if plan.path is None else DigestCache(cache / "digests.json").of(Path(plan.path))
    folder = cache / "splits" / f"{plan.policy}-{split_fingerprint(corpus.fingerprint, plan, digest)}"

    def make(staging: Path) -> None:
        columns = corpus.table(["document_id", "ipc_class"])
        document_ids = columns["document_id"].to_numpy()
        groups = find_groups(corpus, plan.grouping)
        days = application_days(corpus) if plan.policy == DATE else None
        given = given_parts(corpus, plan) if plan.policy == FILE else None
        classes = shared_strings(columns["ipc_class"])
        parts, report = assign(document_ids, classes, groups, plan, days, None if given is None else given.parts)
        if groups is not None and plan.policy in GROUPED:
            refuse_torn(groups[0], parts, plan.policy)
        save(staging, document_ids, parts)
        facts = {"kind": "split", "corpus": corpus.fingerprint, "plan": asdict(plan), **asdict(report)}
        seal(staging, facts if given is None else {**facts, "given": given.facts})
        _report_split(report, plan, given)

    return ensure(folder, make)


def split_of(corpus: Corpus, name: str) -> Path:
    """Return the folder of a split, given its name, in the cache of the corpus."""
    return corpus.folder.parents[1] / "splits" / name


def load_parts(corpus: Corpus, folder: Path) -> NDArray[np.int8]:
    """Return part codes in corpus order, ``(corpus.size,)``; read once for all nodes that a process trains."""
    return _parts_of(corpus.folder, folder)


@functools.lru_cache(maxsize=2)
def _parts_of(corpus: Path, split: Path) -> NDArray[np.int8]:
    document_ids, parts = load(split)
    assert document_ids.equals(Corpus.open(corpus).document_ids)  # both are named by the corpus's fingerprint
    parts.flags.writeable = False
    return parts


def calibration_groups(corpus: Corpus, folder: Path) -> NDArray[np.int32] | None:
    """Return the groups of calibration documents that a split keeps together, ``(corpus.size,)``; -1 for all others.

    None if the split keeps nothing together. The result is cached for all nodes that a process trains.
    """
    return _groups_of(corpus.folder, folder)


@functools.lru_cache(maxsize=2)
def _groups_of(folder: Path, split: Path) -> NDArray[np.int32] | None:
    corpus = Corpus.open(folder)
    rows = np.flatnonzero(load_parts(corpus, split) == CALIBRATION)
    found = find_groups(corpus, SplitPlan(**read_json(split / MANIFEST)["plan"]).grouping, rows)
    if found is None:
        return None
    groups = np.full(corpus.size, -1, np.int32)
    groups[rows] = found[0]
    return groups


def training_characters(corpus: Corpus, split: Path) -> Characters:
    """Return the character statistics of the training part; cached for all results that a process makes."""
    return _shown_of(corpus.folder, split)[0]


def training_bigrams(corpus: Corpus, split: Path) -> frozenset[str]:
    """Return the frequent bigrams of the training part; cached for all results that a process makes."""
    return _shown_of(corpus.folder, split)[1]


@functools.lru_cache(maxsize=2)
def _shown_of(folder: Path, split: Path) -> tuple[Characters, frozenset[str]]:
    corpus = Corpus.open(folder)
    train = load_parts(corpus, split) == TRAIN
    texts = sample(compress(chain.from_iterable(corpus.iter_texts()), train), int(train.sum()))
    return Characters.learn(texts), common_bigrams(texts)


def wanted_nodes(corpus: Corpus, split: Path) -> tuple[str, ...]:
    """Return the nodes of a hierarchical result: ``root`` and every section with a training document."""
    labels = corpus_labels(corpus, "class")
    trained = np.unique(labels.main[load_parts(corpus, split) == TRAIN, 0])
    return (ROOT, *labels.tree.codes[trained].tolist())


def is_trained(labels: DocumentLabels, parts: NDArray[np.int8], settings: Settings) -> bool:
    """Return whether any training document has a label below the node's own.

    Args:
        labels: Labels of all documents, including corrections.
        parts: Part codes of the documents.
        settings: Settings of one node's run.
    """
    train = parts == TRAIN
    paths = [labels.main[train]]
    if settings.data.labels == "all":
        paths.append(labels.further[train[labels.owners]])
    for place, level in enumerate(labels.tree.levels[:-1]):
        (position,) = labels.tree.find(level, [settings.node])
        if position != NONE:
            return any(((own[:, place] == position) & (own[:, place + 1] != NONE)).any() for own in paths)
    return False


@functools.lru_cache(maxsize=2)
def _label_texts_of(path: Path, levels: tuple[str, ...], edition: str, unchanged: int) -> LabelTexts:
    """Return the label texts, read once for all nodes that a process trains while the file is unchanged."""
    return read_label_texts(path, levels, edition)


def load_label_texts(data: DataSettings) -> LabelTexts | None:
    """Return the IPC titles that serve as training documents, and print their number; None without a table of them.

    Raises:
        DataError: If the table cannot be used.
    """
    if data.label_text is None:
        return None
    path = Path(data.label_text)
    unchanged = path.stat().st_mtime_ns if path.is_file() else 0
    texts = _label_texts_of(path, tuple(data.label_levels), data.edition, unchanged)
    say(f"label texts of {data.label_text}: {texts.line()}")
    return texts


_NO_COMPANY = {
    "applicant": "no two documents have the same applicant, so the split by applicant is random",
    "deduplicated": "no two texts are identical or nearly identical, so the split is random",
    "family": "no two documents belong to the same family, so the split is random",
}


def ensure_data(settings: Settings | PretrainSettings) -> tuple[Corpus, Path]:
    """Return the clean corpus of the settings, and the folder of its split; make them if they are missing.

    Raises:
        ConfigError: If the settings of the split are unusable; nothing has been read then.
        DataError: If the raw file is unusable.
    """
    plan, cache = split_plan(settings.split), Path(settings.cache_dir)
    corpus = ensure_corpus(settings.data, cache)
    return corpus, ensure_split(corpus, plan, cache)


def _report_split(report: SplitReport, plan: SplitPlan, given: GivenParts | None) -> None:
    parts = ", ".join(f"{name} {count}" for name, count in report.documents.items())
    say(f"split by policy {plan.policy}: {parts} documents")
    if given is not None:
        for line in given.lines(report.documents):
            say(line)
    if plan.grouping is not None and not report.groups:
        say(_NO_COMPANY[plan.grouping])
    if plan.policy in (RANDOM, *GROUPED) and (told := report.shares(plan)):
        say(told)
    if report.small_classes:
        names = ", ".join(sorted(report.small_classes))
        why = "with too few documents for every part" if given is None else "missing from at least one part"
        say(f"{quantity(len(report.small_classes), 'class', 'classes')} {why}: {names}")
