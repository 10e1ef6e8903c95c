"""Corrections: documents whose symbols examiners have judged, checked against a corpus and its split.

On disk, ``corrections.parquet`` has the columns of a corpus and two more: ``held_out`` (whether the correction is kept
out of training, for comparing systems) and ``replaces`` (the ids of the training documents that it replaces).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from patent_hier.artifacts import find_damage, manifest_of
from patent_hier.atomic import atomic_file
from patent_hier.data.cleaning import Cleaning
from patent_hier.data.columns import SCHEMA
from patent_hier.data.context import join_context
from patent_hier.data.corpus import Corpus
from patent_hier.data.labels import LABEL_COLUMNS, DocumentLabels, ipc_path
from patent_hier.data.raw import RawFormat
from patent_hier.data.splits import Codes
from patent_hier.data.subjects import Owners, Subjects
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.sanitize import reason
from patent_hier.taxonomy.tree import NONE

CORRECTIONS_VERSION = 1  # increase it when the same files would give other corrections
CORRECTIONS_KIND = "corrections"
CORRECTIONS_FILE = "corrections.parquet"
_HELD_OUT, _REPLACES = "held_out", "replaces"
_SCHEMA = SCHEMA.append(pa.field(_HELD_OUT, pa.bool_(), nullable=False)).append(
    pa.field(_REPLACES, pa.list_(pa.string()), nullable=False)
)
LabelCodes = tuple[str | None, ...]


def corrections_manifest(folder: Path) -> Any:
    """Return the manifest of a folder of corrections.

    Raises:
        ConfigError: If the folder contains no corrections.
    """
    manifest = manifest_of(folder, CORRECTIONS_KIND)
    if manifest is None:
        raise ConfigError(f"learn.corrections={folder} contains no corrections; create them with patent-hier learn")
    return manifest


def read_corrections(source: Path, fmt: RawFormat) -> tuple[pa.Table, list[str]]:
    """Read a file of corrections in the same way as a raw file of a corpus.

    Args:
        source: A table with known headers, such as the one that ``patent-hier feedback --export`` writes.
        fmt: Format of the raw file that the system was trained on.

    Returns:
        The documents, and printable lines with the counts of the rows.

    Raises:
        DataError: If the file cannot be used.
    """
    cleaning = Cleaning(source, fmt)
    tables = [batch.documents for batch in cleaning.batches()]
    cleaning.accounting.check()
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    return table.select(SCHEMA.names).cast(SCHEMA), cleaning.accounting.lines()


@dataclass(frozen=True, eq=False)
class Corrections:
    """Checked corrections.

    Attributes:
        table: The corrections, ``n`` rows.
        facts: The manifest, with the corpus, split and counts.
    """

    table: pa.Table
    facts: dict[str, Any]

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def held_out(self) -> NDArray[np.bool_]:
        """Mask of the corrections that are kept out of training, ``(n,)``."""
        return np.array(self.table[_HELD_OUT].to_pylist(), np.bool_)

    @property
    def learnt(self) -> "Corrections":
        """The corrections used for training."""
        return self._take(~self.held_out)

    @property
    def compared(self) -> "Corrections":
        """The corrections held out of training."""
        return self._take(self.held_out)

    @property
    def replaced(self) -> list[str]:
        """Ids of the training documents that the corrections replace."""
        lists: Any = self.table[_REPLACES].to_pylist()
        return sorted({str(name) for own in lists for name in own})

    def documents(self, context: Sequence[str]) -> list[str]:
        """Return ``n`` texts with the given columns as context, joined as in :mod:`patent_hier.data.context`."""
        texts = self.table["text"].to_pylist()
        fields = [self.table[name].to_pylist() for name in context]
        return [
            join_context(str(text), {name: own[row] for name, own in zip(context, fields, strict=True)})
            for row, text in enumerate(texts)
        ]

    def symbols(self, n_levels: int) -> list[list[LabelCodes]]:
        """Return the paths of each correction's symbols, the main symbol first, down to ``n_levels`` levels."""
        columns = zip(*(self.table[name].to_pylist() for name in LABEL_COLUMNS), strict=True)
        mains = [next(label for label in reversed(own) if label) for own in columns]
        further = self.table["further_symbols"].to_pylist()
        return [
            [ipc_path(str(symbol), n_levels) for symbol in (main, *(more or ()))]
            for main, more in zip(mains, further, strict=True)
        ]

    def _take(self, rows: NDArray[np.bool_]) -> "Corrections":
        return Corrections(self.table.filter(pa.array(rows)), self.facts)

    def write(self, folder: Path) -> None:
        """Write the table into a staging folder; the caller seals it."""
        with atomic_file(folder / CORRECTIONS_FILE) as partial:
            pq.write_table(self.table, partial, compression="zstd")

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read a folder of corrections.

        Raises:
            ConfigError: If it is not a folder of corrections.
            ArtifactError: If it is damaged.
        """
        manifest = corrections_manifest(folder)
        if damaged := find_damage(folder):
            raise ArtifactError(f"{folder / damaged} differs from its manifest; delete {folder} and learn again")
        try:
            return cls(pq.read_table(folder / CORRECTIONS_FILE, schema=_SCHEMA), manifest)
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(f"cannot read {folder} ({reason(error)}); delete it and learn again") from error

    @classmethod
    def checked(
        cls, table: pa.Table, corpus: Corpus, parts: Codes, held_out: float, earlier: Self | None = None
    ) -> Self:
        """Check corrections against the corpus that a system was trained on.

        A later correction of the same document, by id or text, replaces an earlier one. A correction of a document
        outside the training part, by id or text, is left out, so that validation, calibration and test documents stay
        untouched. A correction of a training document replaces that document: by its id, or by its text if the text is
        long enough to be unique.

        Args:
            table: The corrections, the oldest first.
            corpus: The corpus.
            parts: Part codes of its documents, ``(corpus.size,)``.
            held_out: Share of the corrections that are kept out of training. The id decides, so a held-out document
                stays out in later files. Documents that the system was already trained on are never held out, because
                they would test nothing.
            earlier: Corrections that the system has already learnt; they are kept and come first.
        """
        known = [] if earlier is None else [earlier.table.select(SCHEMA.names)]
        table = pa.concat_tables([*known, table.select(SCHEMA.names)]).combine_chunks()
        subjects = Subjects.of(table)
        newest = subjects.newest()
        owners = Owners.of(corpus, parts, subjects.only(newest))
        learnt, kept_out = (
            (Subjects.of(own.table) for own in (earlier.learnt, earlier.compared)) if earlier else (None, None)
        )
        rows = [row for row in newest if not owners.is_held_out(*subjects.at(row))]
        replaced = [owners.replaced(*subjects.at(row)) for row in rows]
        is_held = [
            not own
            and not owners.is_trained(*subjects.at(row))
            and not (learnt and learnt.has(*subjects.at(row)))
            and (_draw(subjects.ids[row]) < held_out or bool(kept_out and kept_out.has(*subjects.at(row))))
            for own, row in zip(replaced, rows, strict=True)
        ]
        chosen = table.take(pa.array(rows, pa.int64()))
        chosen = chosen.append_column(_SCHEMA.field(_HELD_OUT), pa.array(is_held, pa.bool_()))
        chosen = chosen.append_column(_SCHEMA.field(_REPLACES), pa.array(replaced, _SCHEMA.field(_REPLACES).type))
        counts = {
            "given": len(subjects.ids),
            "replaced by a later one": len(subjects.ids) - len(newest),
            "of val, calibration or test": len(newest) - len(rows),
        }
        return cls(chosen, {"counts": counts | counts_of(chosen)})


def counts_of(table: pa.Table) -> dict[str, int]:
    """Return the numbers of corrections that replace training documents, are held out, and are learnt."""
    held = sum(map(bool, table[_HELD_OUT].to_pylist()))
    about = sum(bool(own) for own in table[_REPLACES].to_pylist())
    return {"of training documents": about, "held out": held, "learnt": len(table) - held}


def kept_within(table: pa.Table, document_ids: Collection[str]) -> pa.Table:
    """Return the corrections without the replaced documents that are not among ``document_ids``."""
    lists: Any = table[_REPLACES].to_pylist()
    replaces = [[name for name in own if name in document_ids] for own in lists]
    place = table.schema.get_field_index(_REPLACES)
    return table.set_column(place, _SCHEMA.field(_REPLACES), pa.array(replaces, _SCHEMA.field(_REPLACES).type))


def with_corrections(labels: DocumentLabels, corrections: Corrections) -> DocumentLabels:
    """Return the labels of a corpus followed by those of corrections; the tree has the labels of both."""
    levels = labels.tree.levels
    symbols = corrections.symbols(len(levels))
    labels = labels.extended([path for own in symbols for path in own])
    tree, n_levels = labels.tree, len(labels.tree.levels)

    def placed(paths: Sequence[LabelCodes]) -> NDArray[np.int32]:
        if not paths:
            return np.full((0, n_levels), NONE, np.int32)
        columns = zip(*((*path, *[None] * n_levels)[:n_levels] for path in paths), strict=True)
        found = [tree.find(level, codes) for level, codes in zip(tree.levels, columns, strict=True)]
        return np.stack(found, axis=1)

    main = placed([own[0] for own in symbols])
    more = [[path for path in dict.fromkeys(own[1:]) if path != own[0]] for own in symbols]
    offsets = labels.offsets[-1] + np.cumsum([len(own) for own in more], dtype=np.int64)
    further = placed([path for own in more for path in own])
    return DocumentLabels(
        tree,
        np.concatenate([labels.main, main]),
        np.concatenate([labels.further, further]),
        np.concatenate([labels.offsets, offsets]),
    )


def _draw(name: str) -> float:
    """Return a pseudo-random number from 0 to 1 that depends only on the name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8, person=b"held-out").digest()) / 2**64
