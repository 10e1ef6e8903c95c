"""The steps before training, each a folder on disk that is made once: corpus, split, token ids.

Every step is named by the fingerprint of what decides its content, made under a lock in a staging folder, and found
again by every later run. A damaged cache is removed and made again, and says so.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import (
    MANIFEST,
    DigestCache,
    atomic_file,
    atomic_folder,
    exclusive,
    file_digest,
    find_damage,
    read_json,
    remove_partials,
    seal,
    write_manifest,
)
from patent_hier.data.accounting import Accounting
from patent_hier.data.corpus import (
    Corpus,
    RefusedFileError,
    corpus_fingerprint,
    prepare,
    refuse_rejects,
    shared_strings,
)
from patent_hier.data.demo import DEMO_VERSION, write_demo_csv
from patent_hier.data.label_text import LabelTexts, read_label_texts
from patent_hier.data.raw import RawFormat
from patent_hier.data.relatives import application_days, find_groups, refuse_torn
from patent_hier.data.splits import DATE, GROUPED, TRAIN, SplitPlan, SplitReport, assign, load, save, split_fingerprint
from patent_hier.data.workers import choose_processes
from patent_hier.errors import ArtifactError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.pipeline.progress import byte_progress, item_progress, say
from patent_hier.settings import (
    HIER_NODES,
    ROOT,
    DataSettings,
    DemoDataSettings,
    EncoderSettings,
    FeatureSettings,
    SplitSettings,
    TermSettings,
    TrainerSettings,
)


def raw_format(data: DataSettings) -> RawFormat:
    """The raw file's format as the cleaner takes it."""
    return RawFormat(
        columns=data.columns,
        text=tuple(data.text),
        min_symbol=data.min_symbol,
        edition=data.edition,
        max_reject_share=data.max_reject_share,
        encoding=data.encoding,
    )


def raw_file(data: DataSettings, cache: Path) -> Path:
    """The raw CSV: the user's, or the demo corpus, generated on first use."""
    if not isinstance(data, DemoDataSettings):
        assert data.path is not None  # settings.check has seen to it
        return Path(data.path)
    path = cache / "demo" / f"demo-v{DEMO_VERSION}-{data.rows}-{data.seed}.csv"
    digest = path.with_suffix(".sha256")
    with exclusive(path):
        if not (path.is_file() and digest.is_file() and digest.read_text("utf-8") == file_digest(path)):
            if path.is_file():
                say(f"{path} is {'damaged' if digest.is_file() else 'of an older version'}; it is made again")
            remove_partials(path)
            remove_partials(digest)
            say(f"writing the demo corpus, {data.rows} documents, to {path}")
            with atomic_file(path) as partial:
                write_demo_csv(partial, data.rows, data.seed)
            with atomic_file(digest) as partial:
                partial.write_text(file_digest(path), "utf-8")
    return path


def cleaning_processes(data: DataSettings, source: Path) -> int:
    """How many processes clean a raw file: as set, else by its size and the cores."""
    return data.processes or choose_processes(source)


def ensure_corpus(data: DataSettings, cache: Path) -> Corpus:
    """The clean corpus of a raw file; prepared, and its row accounting printed, if it is not there."""
    source = raw_file(data, cache)
    fmt = raw_format(data)
    name = corpus_fingerprint(DigestCache(cache / "digests.json").of(source), fmt)
    folder = cache / "corpora" / f"{data.name}-{name}"

    def make(staging: Path) -> None:
        try:
            with byte_progress(f"reading {source}") as progress:
                accounting = prepare(
                    source,
                    staging,
                    fmt,
                    extra_manifest={"name": data.name},
                    progress=progress,
                    processes=cleaning_processes(data, source),
                )
        except RefusedFileError as error:
            report_accounting(error.accounting, source)
            raise
        report_accounting(accounting, source)

    ensure(folder, make)
    corpus = Corpus.open(folder)
    # The limit may be stricter today than when the corpus was made.
    refuse_rejects(Accounting.from_dict(corpus.manifest["accounting"]), source, fmt)
    return corpus


def report_accounting(accounting: Accounting, source: Path) -> None:
    """Print where every row went."""
    say(f"rows of {source}:")
    for line in accounting.lines():
        say(f"  {line}")


def split_plan(split: SplitSettings) -> SplitPlan:
    """The checked plan of a split; to be made before the corpus is read, so that a mistake shows at once."""
    return SplitPlan(**asdict(split))


def ensure_split(corpus: Corpus, plan: SplitPlan, cache: Path) -> Path:
    """The corpus-level split; made, and its small classes reported, if it is not there."""
    folder = cache / "splits" / f"{plan.policy}-{split_fingerprint(corpus.fingerprint, plan)}"

    def make(staging: Path) -> None:
        columns = corpus.table(["document_id", "ipc_class"])
        document_ids = columns["document_id"].to_numpy()
        groups = find_groups(corpus, plan.policy)
        days = application_days(corpus) if plan.policy == DATE else None
        parts, report = assign(document_ids, shared_strings(columns["ipc_class"]), groups, plan, days)
        if groups is not None:
            refuse_torn(groups[0], parts, plan.policy)
        save(staging, document_ids, parts)
        seal(staging, {"kind": "split", "corpus": corpus.fingerprint, "plan": asdict(plan), **report.as_dict()})
        _report_split(report, plan)

    ensure(folder, make)
    return folder


def load_parts(corpus: Corpus, folder: Path) -> NDArray[np.int8]:
    """Part codes in the order of the corpus, ``(corpus.size,)``."""
    document_ids, parts = load(folder)
    assert document_ids.equals(corpus.document_ids)  # both are named by the corpus's fingerprint
    return parts


def wanted_nodes(corpus: Corpus, split: Path) -> tuple[str, ...]:
    """The nodes of a hierarchical result: ``root`` and every section with a training document."""
    sections = set(shared_strings(corpus.column("section"))[load_parts(corpus, split) == TRAIN])
    return tuple(node for node in HIER_NODES if node == ROOT or node in sections)


def load_label_texts(data: DataSettings) -> LabelTexts | None:
    """The titles of IPC places that are training documents too, and how many, said in one line; None if not asked for.

    Raises:
        DataError: If their table cannot be used.
    """
    if data.label_text is None:
        return None
    texts = read_label_texts(Path(data.label_text), data.label_levels, data.edition)
    say(f"label texts of {data.label_text}: {texts.line()}")
    return texts


def ensure_tokens(corpus: Corpus, encoder: EncoderFiles, max_length: int, cache: Path) -> Path:
    """The corpus as token ids of an encoder; encoded if they are not there."""
    from patent_hier.features.wordpiece import encode_corpus, load_tokenizer, tokens_fingerprint

    vocabulary = encoder.vocabulary_digest(DigestCache(cache / "digests.json"))
    folder = cache / "tokens" / tokens_fingerprint(corpus.fingerprint, vocabulary, max_length)

    def make(staging: Path) -> None:
        with item_progress(f"encoding {corpus.size} documents", corpus.size) as progress:
            encode_corpus(corpus.iter_texts(), load_tokenizer(encoder, max_length), staging, progress)

    ensure(folder, make)
    return folder


def ensure_layer_vectors(
    corpus: Corpus,
    tokens: Path,
    files: EncoderFiles,
    encoder: EncoderSettings,
    pooling: str,
    trainer: TrainerSettings,
    cache: Path,
) -> Path:
    """The document vectors of a frozen encoder's last layers; computed if they are not there."""
    from patent_hier.features.layer_vectors import layer_vectors_fingerprint
    from patent_hier.features.token_store import TokenStore
    from patent_hier.features.wordpiece import WordPieceReader
    from patent_hier.models.encoder import load_encoder
    from patent_hier.models.frozen import write_layer_vectors
    from patent_hier.training.device import choose_gpu, choose_precision

    on_gpu = choose_gpu(trainer.accelerator, "trainer.accelerator")
    precision = choose_precision(trainer.precision, on_gpu)
    layers = encoder.vector_layers or files.num_layers
    digest = files.digest(DigestCache(cache / "digests.json"), pretrained=True)
    name = layer_vectors_fingerprint(tokens.name, digest, pooling, layers, precision)
    folder = cache / "layer_vectors" / name

    def make(staging: Path) -> None:
        network = load_encoder(files, pretrained=True, frozen=True).to("cuda" if on_gpu else "cpu")
        with item_progress(f"encoding {corpus.size} documents by {encoder.name}", corpus.size) as progress:
            write_layer_vectors(
                network,
                TokenStore.open(tokens),
                staging,
                layers=layers,
                pooling=pooling,
                pad_id=WordPieceReader(files, encoder.max_length).pad_id,
                batch_size=trainer.score_batch_size,
                precision=precision,
                progress=progress,
            )

    ensure(folder, make)
    return folder


def ensure_vectors(
    corpus: Corpus, split: Path, train: NDArray[np.bool_], features: FeatureSettings, cache: Path
) -> Path:
    """The corpus as words with vectors of the training part; segmented once, whatever the split."""
    from patent_hier.features import word2vec, words

    segmentation = cache / "words" / words.segmentation_fingerprint(corpus.fingerprint, features.name)

    def segment(staging: Path) -> None:
        with item_progress(f"segmenting {corpus.size} documents into {features.name}", corpus.size) as progress:
            words.segment_corpus(corpus.iter_texts(), features.name, staging, progress)

    ensure(segmentation, segment)
    digest = DigestCache(cache / "digests.json").of(Path(features.vectors)) if features.vectors else None
    folder = cache / "vectors" / word2vec.vectors_fingerprint(segmentation.name, split.name, features, digest)

    def make(staging: Path) -> None:
        source = f"from {features.vectors}" if features.vectors else "on the training part"
        say(f"{features.name}: vocabulary and vectors {source}")
        word2vec.build_vectors(segmentation, train, features, staging)

    ensure(folder, make)
    return folder


def ensure_terms(corpus: Corpus, split: Path, train: NDArray[np.bool_], settings: TermSettings, cache: Path) -> Path:
    """The corpus as counts of the character n-grams of its training part."""
    from patent_hier.features.terms import count_corpus, terms_fingerprint

    folder = cache / "terms" / terms_fingerprint(corpus.fingerprint, split.name, settings)

    def make(staging: Path) -> None:
        with item_progress(f"counting n-grams of {corpus.size} documents", 2 * corpus.size) as progress:
            count_corpus(corpus.iter_texts, train, settings, staging, progress)

    ensure(folder, make)
    return folder


def _was_made_as_now(folder: Path) -> bool:
    """Whether its manifest is one of ours today, or cannot be read."""
    try:
        return "made_as" in read_json(folder / MANIFEST)
    except ArtifactError:
        return True


def ensure(folder: Path, make: Callable[[Path], None]) -> None:
    """Make a cache folder unless it is whole; one process makes it, others wait.

    Whole is what has the content that its manifest says, and the name that it was made under: a folder that was put
    in the place of another has the wrong vocabulary, split or corpus.
    """
    with exclusive(folder):
        if find_damage(folder) is None and read_json(folder / MANIFEST).get("made_as") == folder.name:
            return
        if folder.exists():
            state = "damaged" if _was_made_as_now(folder) else "of an older version"
            say(f"{folder} is {state}; it is made again")
            shutil.rmtree(folder)
        with atomic_folder(folder) as staging:
            make(staging)
            write_manifest(staging, {**read_json(staging / MANIFEST), "made_as": folder.name})


_NO_COMPANY = {
    "applicant": "no two documents name the same applicant, so the split by applicant is a random one",
    "deduplicated": "no two texts are equal or nearly so, so the split is a random one",
    "family": "no two documents are of one family, so the split is a random one",
}


def _report_split(report: SplitReport, plan: SplitPlan) -> None:
    parts = ", ".join(f"{name} {count}" for name, count in report.documents.items())
    say(f"split by policy {plan.policy}: {parts} documents")
    if plan.policy in GROUPED and not report.applicant_groups:
        say(_NO_COMPANY[plan.policy])
    if report.small_classes:
        names = ", ".join(sorted(report.small_classes))
        say(f"{len(report.small_classes)} classes have too few documents for every part: {names}")
