"""Parts, plan and file of a split; :mod:`patent_hier.data.assigning` assigns the documents to parts.

The whole corpus is split once, by document id, before any filter by section.
"""

import datetime
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from patent_hier.artifacts import fingerprint
from patent_hier.atomic import atomic_file
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.regular_files import require_regular
from patent_hier.sanitize import reason
from patent_hier.settings import SplitSettings

SPLIT_VERSION = 1
SPLIT_FILE = "split.parquet"
RANDOM, DATE, FILE = "random", "date", "file"
APPLICANT, DEDUPLICATED, FAMILY = GROUPED = ("applicant", "deduplicated", "family")
POLICIES = (RANDOM, *GROUPED, DATE, FILE)
PARTS = ("train", "val", "calibration", "test")  # a part code is a position in this tuple
TRAIN, VAL, CALIBRATION, TEST = range(len(PARTS))
NO_PART = -1  # code of a document used neither for training nor for scoring; policy ``file`` only
REFUSE, DROP = "refuse", "drop"
_UNLISTED = (REFUSE, "train", DROP)

Codes = NDArray[np.int8]
_OF_FILE = ("path", "column", *(f"{part}_values" for part in PARTS), "unlisted", "together")


@dataclass
class SplitPlan(SplitSettings):
    """Validated settings of a split.

    Policy ``random`` assigns each document on its own; ``applicant``, ``deduplicated`` and ``family`` keep all
    documents of an applicant, all near duplicates, or all documents of a family in one part; ``date`` splits by
    application date; ``file`` uses the parts given by a file or a column of the corpus.

    Raises:
        ConfigError: If the policy is unknown, a share is out of range, there is a share for calibration but none for
            ``val``, a date is invalid, a setting belongs to another policy, or policy ``file`` lacks a setting.
    """

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ConfigError(f"split policy {self.policy!r} is unknown; use one of {', '.join(POLICIES)}")
        if not 0 < self.test < 1:
            raise ConfigError(f"split.test is {self.test}; use a number above 0 and below 1")
        for name, value in (("val", self.val), ("calibration", self.calibration)):
            if not 0 <= value < 1:
                raise ConfigError(f"split.{name} is {value}; use a number of at least 0 and less than 1")
        if self.val + self.calibration >= 1:
            raise ConfigError(
                f"split.val + split.calibration is {self.val + self.calibration:g}, which leaves no training "
                "documents; lower one of them"
            )
        if self.policy != FILE and self.calibration:
            self.refuse_without_planning(bool(self.val))
        if self.date is not None:
            self._check_date(self.date)
        if self.policy == FILE:
            self._check_given()
        elif foreign := [name for name in _OF_FILE if getattr(self, name) not in (None, [], REFUSE)]:
            value = getattr(self, foreign[0])
            raise ConfigError(
                f"split.{foreign[0]}={value} belongs to policy {FILE}, not {self.policy}; add split={FILE}"
            )

    def refuse_without_planning(self, has_val: bool) -> None:
        """Refuse calibration documents without ``val`` documents, which are needed to plan thresholds.

        Raises:
            ConfigError: If there are no ``val`` documents.
        """
        if not has_val:
            raise ConfigError(
                f"split.val={self.val} leaves no documents for planning the calibration thresholds; set split.val "
                "above 0, or split.calibration=0"
            )

    def _check_given(self) -> None:
        if (self.path is None) == (self.column is None):
            raise ConfigError(
                f"split={FILE} needs either split.path=FILE.csv, or split.column=NAME with split.test_values=[VALUE]"
            )
        if self.unlisted not in _UNLISTED:
            raise ConfigError(f"split.unlisted={self.unlisted} is unknown; choose one of {', '.join(_UNLISTED)}")
        if self.together not in (None, *GROUPED):
            raise ConfigError(f"split.together={self.together} is unknown; choose null or one of {', '.join(GROUPED)}")
        values = [value for own in self.values.values() for value in own]
        if self.path is not None and values:
            raise ConfigError(
                f"split.*_values={values} require split.column, but split.path={self.path} is set; remove one"
            )
        if self.column is not None and not self.test_values:
            raise ConfigError(
                f"split.column={self.column} needs the values of the test part; set split.test_values=[VALUE]"
            )
        if repeated := [value for value in values if values.count(value) > 1]:
            raise ConfigError(f"split.*_values contain {repeated[0]!r} twice; keep it in one part")

    def _check_date(self, date: str) -> None:
        if self.policy != DATE:
            raise ConfigError(f"split.date={date} belongs to policy {DATE}, not {self.policy}; add split={DATE}")
        try:
            datetime.date.fromisoformat(date)
        except ValueError as error:
            raise ConfigError(f"split.date={date} is not a date; use YYYY-MM-DD") from error

    @property
    def values(self) -> dict[str, list[str]]:
        """Values of ``column`` that form each part, by the name of the part; an empty list if there are none."""
        return {part: getattr(self, f"{part}_values") for part in PARTS}

    @property
    def grouping(self) -> str | None:
        """Which related documents stay in one part, one of :data:`GROUPED`; None if each is assigned on its own."""
        return self.policy if self.policy in GROUPED else self.together

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of all documents in each part, ``(4,)``, in the order of :data:`PARTS`."""
        rest = 1 - self.test
        val, calibration = rest * self.val, rest * self.calibration
        return np.array([rest - val - calibration, val, calibration, self.test])


def split_fingerprint(corpus_fingerprint: str, plan: SplitPlan, file_digest: str | None = None) -> str:
    """Return the fingerprint of a split, which covers the corpus, the plan and the version of the rules.

    Args:
        corpus_fingerprint: Fingerprint of the corpus.
        plan: The plan; the path of a file of parts has no effect.
        file_digest: SHA-256 of the file of parts; None if there is no file.
    """
    unread = ("path", "test") if plan.policy == FILE else _OF_FILE
    content = {name: value for name, value in asdict(plan).items() if value is not None and name not in unread}
    if file_digest is not None:
        content["file"] = file_digest
    return fingerprint({"corpus": corpus_fingerprint, "plan": content, "version": SPLIT_VERSION})


def held_out(parts: Codes) -> NDArray[np.bool_]:
    """Return a mask ``(n,)`` of the documents that are scored: those of every part except ``train``."""
    return parts > TRAIN


def save(folder: Path, document_ids: Sequence[str] | NDArray[Any], parts: Codes) -> None:
    """Write ``split.parquet`` (``document_id`` and the name of its ``part``) into a staging folder.

    Args:
        folder: The folder; see :func:`patent_hier.atomic.atomic_folder`.
        document_ids: Document ids in the order of the corpus, ``n``.
        parts: Part codes, ``(n,)``; :data:`NO_PART` is written as null.
    """
    names = pa.DictionaryArray.from_arrays(parts, pa.array(PARTS), mask=parts == NO_PART)
    table = pa.table({"document_id": pa.array(document_ids, type=pa.string()), "part": names})
    table = table.replace_schema_metadata({"split_version": str(SPLIT_VERSION)})
    with atomic_file(folder / SPLIT_FILE) as temporary:
        pq.write_table(table, temporary)


def load(folder: Path) -> tuple["pa.ChunkedArray[Any]", Codes]:
    """Read a split that :func:`save` wrote.

    Returns:
        Document ids ``(n,)`` (strings) and part codes ``(n,)``, in the order of the corpus.

    Raises:
        ArtifactError: If the file is missing, damaged or of another version.
    """
    path = folder / SPLIT_FILE
    try:
        require_regular(path)
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(
            f"cannot read {path} ({reason(error)}); delete its folder and prepare the data again"
        ) from error
    version = (table.schema.metadata or {}).get(b"split_version", b"none").decode()
    if version != str(SPLIT_VERSION) or table.column_names != ["document_id", "part"]:
        raise ArtifactError(
            f"{path} has split version {version}, not {SPLIT_VERSION}; delete its folder and prepare the data again"
        )
    names = table["part"].cast(pa.string())  # to_numpy of a dictionary array would turn nulls into names
    codes = pc.index_in(names, pa.array(PARTS)).fill_null(NO_PART).to_numpy().astype(np.int8)
    unknown = names.filter(pa.array(codes == NO_PART)).drop_null()
    if len(unknown):
        raise ArtifactError(
            f"{path} has an unknown part {unknown[0].as_py()!r}; delete its folder and prepare the data again"
        )
    return table["document_id"], codes
