"""Parts, plan and file of a split. How documents are given parts: :mod:`patent_hier.data.assigning`.

One split of the whole corpus, by document id, is made before any filter by section.
"""

import datetime
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from patent_hier.artifacts import fingerprint
from patent_hier.atomic import atomic_file
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.settings import SplitSettings

SPLIT_VERSION = 1
SPLIT_FILE = "split.parquet"
DATE = "date"
APPLICANT, DEDUPLICATED, FAMILY = GROUPED = ("applicant", "deduplicated", "family")
POLICIES = ("random", *GROUPED, DATE)
PARTS = ("train", "val", "calibration", "test")  # a part code is the position in this tuple
TRAIN, VAL, CALIBRATION, TEST = range(len(PARTS))

Codes = NDArray[np.int8]


@dataclass
class SplitPlan(SplitSettings):
    """How to split: settings that are checked.

    Policy ``random`` splits each document on its own; ``applicant``, ``deduplicated`` and ``family`` keep all documents
    of an applicant, of a text, of a family in one part; ``date`` cuts by the day of application.

    Raises:
        ConfigError: If the policy is unknown, a share is out of range, or a date is none or of another policy.
    """

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ConfigError(f"split policy {self.policy!r} is unknown; use one of: {', '.join(POLICIES)}")
        for name, value in (("test", self.test), ("val", self.val)):
            if not 0 < value < 1:
                raise ConfigError(f"split share {name}={value} is out of range; give a fraction between 0 and 1")
        if not 0 <= self.calibration < 1:
            raise ConfigError(
                f"split share calibration={self.calibration} is out of range; give 0 or a fraction below 1"
            )
        if self.val + self.calibration >= 1:
            raise ConfigError(
                f"val + calibration = {self.val + self.calibration:g} leaves no training documents; lower one"
            )
        if self.date is not None:
            self._check_date(self.date)

    def _check_date(self, date: str) -> None:
        if self.policy != DATE:
            raise ConfigError(f"split.date={date} is of policy {DATE}, not {self.policy}; add split={DATE}")
        try:
            datetime.date.fromisoformat(date)
        except ValueError as error:
            raise ConfigError(f"split.date={date} is not a date; write it as 2018-10-31") from error

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of all documents, ``(4,)``, in the order of :data:`PARTS`."""
        rest = 1 - self.test
        val, calibration = rest * self.val, rest * self.calibration
        return np.array([rest - val - calibration, val, calibration, self.test])


def split_fingerprint(corpus_fingerprint: str, plan: SplitPlan) -> str:
    """Name a split by the corpus it was made of, its plan and the version of this module's rules."""
    content = {name: value for name, value in asdict(plan).items() if value is not None}  # as before there was a date
    return fingerprint({"corpus": corpus_fingerprint, "plan": content, "version": SPLIT_VERSION})


def save(folder: Path, document_ids: Sequence[str] | NDArray[Any], parts: Codes) -> None:
    """Write ``split.parquet`` (``document_id``, ``part`` by name) into a folder that the caller has staged.

    Args:
        folder: See :func:`patent_hier.atomic.atomic_folder`.
        document_ids: ``n`` ids in the order of the corpus.
        parts: ``(n,)`` part codes.
    """
    names = pa.DictionaryArray.from_arrays(pa.array(parts, type=pa.int8()), pa.array(PARTS))
    table = pa.table({"document_id": pa.array(document_ids, type=pa.string()), "part": names})
    table = table.replace_schema_metadata({"split_version": str(SPLIT_VERSION)})
    with atomic_file(folder / SPLIT_FILE) as temporary:
        pq.write_table(table, temporary)


def load(folder: Path) -> tuple["pa.ChunkedArray[Any]", Codes]:
    """Read what :func:`save` wrote.

    Returns:
        Document ids ``(n,)`` of strings and part codes ``(n,)`` in the order of the corpus.

    Raises:
        ArtifactError: If the file is missing, damaged or of another version.
    """
    path = folder / SPLIT_FILE
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(
            f"{path} cannot be read ({reason}); delete its folder and prepare the data again"
        ) from error
    version = (table.schema.metadata or {}).get(b"split_version", b"none").decode()
    if version != str(SPLIT_VERSION) or table.column_names != ["document_id", "part"]:
        raise ArtifactError(
            f"{path} is of split version {version}, not {SPLIT_VERSION}; delete its folder and prepare again"
        )
    names = table["part"].to_numpy(zero_copy_only=False)
    codes = pd.Index(PARTS).get_indexer(pd.Index(names)).astype(np.int8)
    if (codes < 0).any():
        raise ArtifactError(
            f"{path} names an unknown part {names[codes < 0][0]!r}; delete its folder and prepare again"
        )
    return table["document_id"], codes
