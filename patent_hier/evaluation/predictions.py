"""The predictions contract: what a node writes down about every document outside training.

One Parquet file for each node with the columns ``document_id`` (string), ``part`` (``val``, ``calibration`` or
``test``), ``target`` (the true label, null when the document is not under the node) and ``log_prob`` (fixed-size list
of float32 in label order). The labels (JSON) and the node's name are in the schema metadata. Every node scores every
document of these parts, its own or not, so cascade, calibration and thresholds need no second pass over the texts.

A target may be a label that the node has never seen in training; such a document stays in the denominator as an error.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from patent_hier.atomic import atomic_file
from patent_hier.errors import ArtifactError

SCORED_PARTS = ("val", "calibration", "test")
PREDICTIONS_FILE = "predictions.parquet"
UNSEEN = -1  # code of a target that is not among the labels
NO_TARGET = -2  # code of a document that is not under the node

_COLUMNS = ("document_id", "part", "target", "log_prob")
_TOLERANCE = 1e-3  # of the logarithm of a row's summed probabilities
_CHUNK = 65_536  # rows checked at a time, so that temporary arrays stay small


@dataclass(frozen=True, eq=False)
class Predictions:
    """The scores of one node.

    Attributes:
        node: ``root``, a section (``A`` ... ``H``) or ``flat``.
        labels: The node's ``n_labels`` children, in the order of ``log_prob``'s columns.
        document_ids: ``(n_documents,)`` strings.
        parts: ``(n_documents,)`` names of :data:`SCORED_PARTS`.
        targets: ``(n_documents,)`` true labels, ``None`` where the document is not under the node.
        log_prob: ``(n_documents, n_labels)`` float32, natural logarithm; minus infinity is probability 0.
    """

    node: str
    labels: tuple[str, ...]
    document_ids: NDArray[Any]
    parts: NDArray[Any]
    targets: NDArray[Any]
    log_prob: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.document_ids)

    def select(self, part: str) -> Self:
        """Only the documents of one part.

        Raises:
            ArtifactError: If there are none.
        """
        rows = np.flatnonzero(self.parts == part)
        if not len(rows):
            raise ArtifactError(f"node {self.node} has no prediction for part {part!r}; score that part first")
        return self.take(rows)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """The documents at the given positions, in that order."""
        return replace(
            self,
            document_ids=self.document_ids[rows],
            parts=self.parts[rows],
            targets=self.targets[rows],
            log_prob=self.log_prob[rows],
        )

    def predicted_codes(self) -> NDArray[np.intp]:
        """Positions in ``labels`` of the most probable labels ``(n_documents,)``; the first of equals."""
        codes: NDArray[np.intp] = self.log_prob.argmax(axis=1)
        return codes

    def target_codes(self) -> NDArray[np.intp]:
        """Positions in ``labels`` of the targets ``(n_documents,)``; else :data:`UNSEEN` or :data:`NO_TARGET`."""
        codes: NDArray[np.intp] = pd.Index(self.labels, dtype=object).get_indexer(pd.Index(self.targets, dtype=object))
        codes[pd.isna(self.targets)] = NO_TARGET
        return codes

    def validate(self) -> None:
        """Check everything that the contract promises.

        Raises:
            ArtifactError: Naming the node and the first thing that is wrong.
        """
        problem = self._shape_problem() or self._column_problem() or _probability_problem(self.log_prob)
        if problem:
            raise ArtifactError(f"predictions of node {self.node}: {problem}; score the node again")

    def write(self, path: Path) -> None:
        """Validate, then write the Parquet file atomically.

        Raises:
            ArtifactError: If the predictions break the contract; then nothing is written.
        """
        self.validate()
        flat = pa.array(np.ascontiguousarray(self.log_prob, dtype=np.float32).ravel())
        table = pa.table(
            {
                "document_id": pa.array(self.document_ids, type=pa.string()),
                "part": pa.array(self.parts, type=pa.string()),
                "target": pa.array(self.targets, type=pa.string(), from_pandas=True),
                "log_prob": pa.FixedSizeListArray.from_arrays(flat, len(self.labels)),
            }
        ).replace_schema_metadata({"node": self.node, "labels": json.dumps(self.labels, ensure_ascii=False)})
        with atomic_file(path) as temporary:
            pq.write_table(table, temporary)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and validate a file that :meth:`write` made.

        Raises:
            ArtifactError: If it is missing, damaged or breaks the contract.
        """
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise ArtifactError(
                f"{path} cannot be read ({reason}); delete its folder and run the node again"
            ) from error
        try:
            node, labels = _metadata(table.schema)
            predictions = cls(node, labels, *_arrays(table, len(labels)))
            predictions.validate()
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {error}") from error
        return predictions

    def _shape_problem(self) -> str | None:
        rows = {len(self.document_ids), len(self.parts), len(self.targets), len(self.log_prob)}
        if not self.labels or len(set(self.labels)) < len(self.labels):
            return f"labels {list(self.labels)} are empty or repeat"
        if len(rows) > 1:
            return f"columns have different lengths {sorted(rows)}"
        if self.log_prob.ndim != 2 or self.log_prob.shape[1] != len(self.labels):
            return f"log_prob has shape {self.log_prob.shape} but there are {len(self.labels)} labels"
        return None

    def _column_problem(self) -> str | None:
        if pd.isna(self.document_ids).any():
            return "a document id is null"
        repeated = pd.Index(self.document_ids).duplicated()
        if repeated.any():
            return f"document id {self.document_ids[repeated][0]!r} occurs twice"
        unknown = ~pd.Index(self.parts).isin(SCORED_PARTS)
        if unknown.any():
            return f"part {self.parts[unknown][0]!r} is not one of {', '.join(SCORED_PARTS)}"
        return None


def _metadata(schema: pa.Schema) -> tuple[str, tuple[str, ...]]:
    stored = schema.metadata or {}
    if b"node" not in stored or b"labels" not in stored:
        raise ArtifactError("the schema metadata lacks the node or the labels; run the node again")
    try:
        labels = json.loads(stored[b"labels"])
    except ValueError as error:
        raise ArtifactError("the labels in the schema metadata are not JSON; run the node again") from error
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ArtifactError("the labels in the schema metadata are not a list of strings; run the node again")
    return stored[b"node"].decode(), tuple(labels)


def _arrays(table: pa.Table, n_labels: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.float32]]:
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise ArtifactError(f"column {', '.join(missing)} is missing; run the node again")
    for name in _COLUMNS[:3]:
        if table.schema.field(name).type != pa.string():
            raise ArtifactError(f"column {name} is {table.schema.field(name).type}, not string; run the node again")
    kind = table.schema.field("log_prob").type
    if not pa.types.is_fixed_size_list(kind) or kind.list_size != n_labels or kind.value_type != pa.float32():
        raise ArtifactError(f"column log_prob is {kind}, not {n_labels} float32 labels; run the node again")
    column = cast("pa.FixedSizeListArray[Any, Any]", table["log_prob"].combine_chunks())
    flat = column.flatten()
    if column.null_count or flat.null_count:
        raise ArtifactError("column log_prob holds nulls; run the node again")
    document_ids, parts, targets = (table[name].to_numpy(zero_copy_only=False) for name in _COLUMNS[:3])
    return document_ids, parts, targets, flat.to_numpy(zero_copy_only=False).reshape(table.num_rows, n_labels)


def _probability_problem(log_prob: NDArray[np.float32]) -> str | None:
    for start in range(0, len(log_prob), _CHUNK):
        rows = log_prob[start : start + _CHUNK]
        if np.isnan(rows).any():
            return f"log_prob of row {start + int(np.isnan(rows).any(axis=1).argmax())} is NaN"
        with np.errstate(divide="ignore", over="ignore"):  # sums of 0 or infinity are what we look for
            wrong = ~(np.abs(np.log(np.exp(rows).sum(axis=1))) <= _TOLERANCE)
        if wrong.any():
            return f"log_prob of row {start + int(wrong.argmax())} is not normalised (logsumexp is not 0)"
    return None
