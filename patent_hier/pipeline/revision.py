"""Apply a revision of the scheme to the data of a finished system: corpus, split and learnt corrections."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from patent_hier.artifacts import DigestCache, fingerprint, seal
from patent_hier.data.corpus import Corpus
from patent_hier.data.corrections import CORRECTIONS_KIND, Corrections, counts_of, kept_within
from patent_hier.data.labels import corpus_labels
from patent_hier.data.migrating import MIGRATION_VERSION, Chooser, migrate_corpus, migrate_split, migrate_table
from patent_hier.errors import ConfigError
from patent_hier.pipeline.learning import CORRECTIONS_FOLDER
from patent_hier.pipeline.members import Member
from patent_hier.pipeline.plan import Given
from patent_hier.pipeline.stages import ensure
from patent_hier.progress import say
from patent_hier.taxonomy.concordance import Concordance
from patent_hier.taxonomy.symbols import IPC_LEVELS
from patent_hier.taxonomy.table import read_rows


@dataclass(frozen=True)
class Revision:
    """A revision of the classification scheme.

    Attributes:
        path: File of the concordance.
        titles: Table with the titles of the new symbols, used to assign documents where a symbol was split; or None.
    """

    path: Path
    titles: Path | None = None

    @cached_property
    def concordance(self) -> Concordance:
        """The concordance between old and new symbols."""
        return Concordance.read(self.path)

    @cached_property
    def chooser(self) -> Chooser:
        """The chooser of a new symbol where an old one was split."""
        if self.titles is None:
            return Chooser({})
        return Chooser({row.code: row.title for row in read_rows(self.titles, "level", "parent") if row.title})

    def content(self, cache: Path) -> list[Any]:
        """Return what determines the new symbols, besides the old ones."""
        digests = DigestCache(cache / "digests.json")
        return [MIGRATION_VERSION, digests.of(self.path), None if self.titles is None else digests.of(self.titles)]


def migrate_data(corpus: Corpus, split: Path, cache: Path, revision: Revision) -> tuple[Corpus, Path]:
    """Return corpus and split in the new edition, as cache folders; make them if they are missing.

    Args:
        corpus: The old corpus.
        split: Folder of its split.
        cache: The cache folder.
        revision: The revision.

    Raises:
        DataError: If the concordance cannot be used, or leaves no document.
        ConfigError: If the revision changes no symbol of the corpus.
    """
    content = [*revision.content(cache), corpus.fingerprint]
    name = corpus.folder.name.removesuffix(f"-{corpus.fingerprint}")

    def make(staging: Path) -> None:
        migrate_corpus(corpus, revision.concordance, revision.chooser, staging, content)

    new = Corpus.open(ensure(cache / "corpora" / f"{name}-{fingerprint(content)}", make))
    facts = new.manifest["migrated"]
    if not facts["changed"]:
        raise ConfigError(f"{revision.path} changes no symbol of the corpus {corpus.folder}; there is nothing to do")
    say(f"{corpus.size} documents: {', '.join(f'{count} {fate}' for fate, count in facts['fates'].items())}")
    policy = split.name.rsplit("-", 1)[0]
    folder = cache / "splits" / f"{policy}-{fingerprint([split.name, new.fingerprint])}"
    return new, ensure(folder, lambda staging: migrate_split(split, new, staging))


def migrate_corrections(folder: Path, given: Given, cache: Path, revision: Revision) -> Path:
    """Return learnt corrections in the new edition, as a cache folder; make it if it is missing.

    Args:
        folder: Folder of the old corrections.
        given: The new corpus and split.
        cache: The cache folder.
        revision: The revision.
    """
    own = Corrections.open(folder)
    content = [*revision.content(cache), own.facts["sha256"], given.corpus.fingerprint, given.split.name]

    def make(staging: Path) -> None:
        # Examiners judge in the edition of the system, regardless of the date of the judgement.
        table, moves = migrate_table(own.table, revision.concordance, revision.chooser, dated=False)
        table = kept_within(table, set(map(str, given.corpus.document_ids.to_pylist())))
        Corrections(table, {}).write(staging)
        counts = {**own.facts["counts"], "without a successor": len(own) - len(moves.kept), **counts_of(table)}
        facts = {key: own.facts[key] for key in ("source", "held_out")}
        data = {"corpus": given.corpus.fingerprint, "split": given.split.name}
        seal(staging, {"kind": CORRECTIONS_KIND, **facts, **data, "counts": counts})

    return ensure(cache / CORRECTIONS_FOLDER / fingerprint(content), make)


def vanished(before: Member, new: Corpus, revision: Revision) -> dict[str, list[str]]:
    """Return the labels of the old system that the new corpus lacks, and the new symbols without documents.

    Args:
        before: The old system.
        new: The new corpus.
        revision: The revision.
    """
    tree = corpus_labels(new, before.tree.depth).tree
    present = set(map(str, tree.codes.tolist()))
    named = {symbol for entry in revision.concordance.entries.values() for symbol in entry.new}
    full = set(map(str, corpus_labels(new, IPC_LEVELS[-1]).tree.codes.tolist()))
    return {
        "gone": sorted(set(map(str, before.tree.codes.tolist())) - present),
        "without_documents": sorted(named - full),
    }
