"""Migration of a corpus and its split to a new edition of the scheme by a concordance.

If a symbol was split, its document moves to the successor whose title is most similar to the text, or, without titles,
up to the place that contains all successors. A document without a successor is left out and counted. A symbol that was
assigned when the new edition was already in force is not changed; the publication date, else the application date,
decides.
"""

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST, fingerprint, seal
from patent_hier.atomic import atomic_file, read_json
from patent_hier.data.columns import SCHEMA
from patent_hier.data.corpus import CORPUS_FILE, REJECTS_FILE, ROW_GROUP, Corpus
from patent_hier.data.labels import LABEL_COLUMNS
from patent_hier.data.splits import PARTS, Codes, load, save
from patent_hier.errors import DataError
from patent_hier.taxonomy.concordance import Concordance, Fate, Successors, common_symbol
from patent_hier.taxonomy.symbols import IpcSymbol

MIGRATION_VERSION = 1  # increase it when the same inputs would give other symbols
LEFT_OUT = "no_successor"
_OF_THE_FOLDER = ("files", "sha256", "made_as")  # manifest keys that apply only to the old folder


@dataclass
class Moves:
    """Changes to the symbols of a corpus.

    Attributes:
        fates: Number of documents by the fate of their main symbol.
        by_symbol: Number of documents by old symbol, then by new symbol; an empty new symbol means left out.
        kept: Rows of the old corpus that are in the new one.
        changed: Rows of the old corpus whose main or further symbols changed or disappeared.
    """

    fates: Counter[str] = field(default_factory=Counter)
    by_symbol: dict[str, Counter[str]] = field(default_factory=dict)
    kept: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)

    def note(self, row: int, old: str, new: str, fate: Fate) -> None:
        """Count a document's main symbol."""
        self.fates[str(fate)] += 1
        if new:
            self.kept.append(row)
        if new != old:
            self.by_symbol.setdefault(old, Counter())[new] += 1

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON-compatible values."""
        left_out = sum(own[""] for own in self.by_symbol.values())
        symbols = {old: dict(own) for old, own in sorted(self.by_symbol.items())}
        return {"fates": dict(self.fates), "left_out": left_out, "symbols": symbols}


class Chooser:
    """Chooser among the successors of a split symbol by their titles.

    Args:
        titles: Titles by symbol; may be empty.
    """

    def __init__(self, titles: Mapping[str, str]) -> None:
        self._titles = titles

    def choose(self, text: str, symbols: tuple[str, ...]) -> str | None:
        """Return the successor whose title is most similar to a text, by the cosine of character bigrams.

        Returns:
            The successor; if a title is missing or no title has anything in common with the text, the place that
            contains all successors, or None if there is none.
        """
        titles = [self._titles.get(symbol, "") for symbol in symbols]
        if all(titles):
            own, scores = Counter(_bigrams(text)), []
            for title in titles:
                other = Counter(_bigrams(title))
                length = float(np.sqrt(sum(count * count for count in other.values()))) or 1.0
                scores.append(sum(own[gram] * count for gram, count in other.items()) / length)
            if max(scores) > 0:
                return symbols[int(np.argmax(scores))]
        return common_symbol(symbols)


def _bigrams(text: str) -> list[str]:
    return [text[place : place + 2] for place in range(len(text) - 1)]


def migrate_table(
    table: pa.Table, concordance: Concordance, chooser: Chooser, *, dated: bool = True
) -> tuple[pa.Table, Moves]:
    """Return the documents with symbols of the new edition, without those that have no successor, and the changes.

    Args:
        table: The columns of a corpus, possibly with others.
        concordance: Successors of the symbols.
        chooser: Chooser for split symbols.
        dated: Whether the dates of the documents decide which edition their symbols belong to; if not, all symbols are
            of the old edition.
    """
    moves = Moves()
    columns: dict[str, list[Any]] = {name: table[name].to_pylist() for name in (*LABEL_COLUMNS, "further_symbols")}
    texts, days = table["text"], _days(table) if dated else [None] * len(table)
    for row, codes in enumerate(list(zip(*(columns[name] for name in LABEL_COLUMNS), strict=True))):
        old = str(next(code for code in reversed(codes) if code))
        found = concordance.follow(old, days[row])
        new = found.symbols[0] if len(found.symbols) == 1 else _decided(found, chooser, str(texts[row].as_py()))
        moves.note(row, old, new or "", found.fate)
        further = columns["further_symbols"][row] or []
        later = _followed(further, concordance, days[row], new)
        if new == old and later == further:
            continue
        moves.changed.append(row)
        if new:
            symbol = IpcSymbol.parse(new)
            values = (symbol.section, symbol.ipc_class, symbol.subclass, symbol.main_group, symbol.subgroup)
            for name, value in zip((*LABEL_COLUMNS, "further_symbols"), (*values, later), strict=True):
                columns[name][row] = value
    for name, own in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array(own, table.schema.field(place).type))
    kept = np.zeros(len(table), np.bool_)
    kept[moves.kept] = True
    return table.filter(pa.array(kept)), moves  # chunk by chunk: one string array is limited to 2 GiB


def _decided(found: Successors, chooser: Chooser, text: str) -> str | None:
    return chooser.choose(text, found.symbols) if found.symbols else None


def _followed(
    further: Sequence[str], concordance: Concordance, day: datetime.date | None, main: str | None
) -> list[str]:
    """Return the further symbols in the new edition; a split symbol becomes all its successors."""
    found = (symbol for old in further for symbol in concordance.follow(old, day).symbols)
    return [symbol for symbol in dict.fromkeys(found) if symbol != main]


def _days(table: pa.Table) -> list[datetime.date | None]:
    pairs = zip(table["publication_date"].to_pylist(), table["application_date"].to_pylist(), strict=True)
    return [published or applied for published, applied in pairs]


def migrate_corpus(corpus: Corpus, concordance: Concordance, chooser: Chooser, folder: Path, content: Any) -> Moves:
    """Write a corpus with the symbols of the new edition into a staged folder, and seal it.

    Args:
        corpus: The old corpus.
        concordance: Successors of the symbols.
        chooser: Chooser for split symbols.
        folder: An empty folder.
        content: All inputs of the new corpus, for its fingerprint.

    Raises:
        DataError: If no document is left.
    """
    table, moves = migrate_table(corpus.table(SCHEMA.names), concordance, chooser)
    if not moves.kept:
        raise DataError("no document of the corpus has a successor in the new edition; check the concordance")
    with atomic_file(folder / CORPUS_FILE) as partial:
        pq.write_table(table.cast(SCHEMA), partial, compression="zstd", row_group_size=ROW_GROUP)
    (folder / REJECTS_FILE).write_bytes((corpus.folder / REJECTS_FILE).read_bytes())
    manifest = {key: value for key, value in corpus.manifest.items() if key not in _OF_THE_FOLDER}
    counts = dict(manifest["accounting"])
    if gone := corpus.size - len(table):
        counts |= {"kept": len(table), "rejected": {**counts["rejected"], LEFT_OUT: gone}}
    facts = {
        "fingerprint": fingerprint(content),
        "accounting": counts,
        "classes": dict(sorted(Counter(map(str, table["ipc_class"].to_pylist())).items())),
        "mean_text_length": float(np.mean([len(str(text)) for text in table["text"].to_pylist()])),
        "migrated": {"from": corpus.fingerprint, "changed": len(moves.changed), **moves.as_dict()},
    }
    seal(folder, {**manifest, **facts})
    return moves


def migrate_split(old: Path, corpus: Corpus, folder: Path) -> None:
    """Write the split of a migrated corpus into a staged folder, and seal it: every document keeps its part.

    Args:
        old: The folder of the old corpus's split.
        corpus: The new corpus, whose documents are all in the old one.
        folder: An empty folder.
    """
    ids, parts = load(old)
    place = {name: row for row, name in enumerate(ids.to_pylist())}
    own = corpus.document_ids.to_numpy()
    kept: Codes = parts[np.array([place[name] for name in own.tolist()], np.intp)]
    save(folder, own, kept)
    counts: NDArray[np.int64] = np.bincount(kept[kept >= 0], minlength=len(PARTS))
    manifest = {
        key: value for key, value in read_json(old / MANIFEST).items() if key not in ("files", "sha256", "made_as")
    }
    documents = dict(zip(PARTS, counts.tolist(), strict=True))
    seal(folder, {**manifest, "corpus": corpus.fingerprint, "documents": documents, "migrated": {"from": old.name}})
