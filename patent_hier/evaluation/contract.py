"""The predictions contract: what a network writes down about every document outside training, at every level.

One Parquet file for each network, a row for each document of ``val``, ``calibration`` and ``test``, the network's own
or not, so cascades, ensembles, calibration and thresholds need no second pass over the texts. Each level of the
network's part of the label tree has

- the true label, null where the document has none there;
- the joint log-probabilities (natural logarithm of P(label | the network's root)) of its best labels: of all labels,
  in the tree's order, while a level has at most ``DENSE_LABELS`` (200); else of the best ``KEPT`` (20), falling,
  with their positions in the tree. So the file grows with documents x levels, not with labels;
- of the true label the joint and the conditional log-probability, its rank among all labels of the level, and its rank
  among its siblings, which is what the head of its parent answers;
- the label that greedy search ends at: the likeliest child of the root, its likeliest child, and so on.

The conditional log-probability of any kept label is its joint one less that of its parent. The tree stands in the
schema's metadata. A true label that training has never shown is not in the tree; it stays in every denominator.
"""

import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from patent_hier.atomic import atomic_file
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.level_scores import LevelScores, find_targets
from patent_hier.evaluation.scores import TreeScores
from patent_hier.sanitize import reason
from patent_hier.taxonomy.tree import NONE, LabelTree

SCORED_PARTS = ("val", "calibration", "test")
PREDICTIONS_FILE = "predictions.parquet"
_TOLERANCE = 1e-3  # of the logarithm of a row's summed probabilities
_CHUNK = 65_536  # rows checked at a time, so that temporary arrays stay small
_GROUP = "group"
_AGAIN = "delete its folder and run the node again"
_PER_LEVEL = ("target", "log_prob", "target_log_prob", "target_conditional", "target_rank", "sibling_rank", "greedy")


@dataclass(frozen=True, eq=False)
class NetworkPredictions:
    """The scores of one network.

    Attributes:
        node: Its name: ``root``, ``flat``, ``shared``, or the label whose part of the tree it decides.
        tree: The labels that it knows; the levels' positions count within each level.
        document_ids: ``(n,)`` strings.
        parts: ``(n,)`` names of :data:`SCORED_PARTS`.
        levels: By level of the tree, in order.
        flat: Whether one softmax over the deepest level decides, instead of one for each parent.
        groups: ``(n,)`` int32: calibration documents that the split keeps together have the same number; -1 for every
            other one. None where the split keeps nothing together, and in files from before this column.
    """

    node: str
    tree: LabelTree
    document_ids: NDArray[Any]
    parts: NDArray[Any]
    levels: tuple[LevelScores, ...]
    flat: bool = False
    groups: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.document_ids)

    def level(self, name: str) -> LevelScores:
        """The scores of one level.

        Raises:
            ArtifactError: If the network does not reach it.
        """
        for own in self.levels:
            if own.level == name:
                return own
        raise ArtifactError(f"node {self.node} has no scores of level {name}; it has {', '.join(self.tree.levels)}")

    @property
    def is_whole(self) -> bool:
        """Whether every level has all of its labels."""
        return all(own.labels is None for own in self.levels)

    def scores(self) -> TreeScores:
        """The log-probabilities of all labels, down to the first level that keeps only its best ones.

        Raises:
            ArtifactError: If that is the uppermost level.
        """
        if not self.dense:
            own = self.levels[0]
            raise ArtifactError(
                f"node {self.node} keeps only the best {own.log_prob.shape[1]} labels of its first level {own.level}, "
                "but this needs all of them; use a node with fewer labels below it"
            )
        log_prob = np.concatenate([own.log_prob for own in self.dense], axis=1)
        if self.is_whole:
            return TreeScores(self.tree, log_prob, self.flat)
        return TreeScores(self.tree.to_depth(self.dense[-1].level), log_prob)

    @property
    def dense(self) -> tuple[LevelScores, ...]:
        """The levels from the top down to the first that keeps only its best labels."""
        return tuple(itertools.takewhile(lambda own: own.labels is None, self.levels))

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
        levels = tuple(own.take(rows) for own in self.levels)
        groups = None if self.groups is None else self.groups[rows]
        return replace(self, document_ids=self.document_ids[rows], parts=self.parts[rows], levels=levels, groups=groups)

    def write(self, path: Path) -> None:
        """Write the Parquet file atomically.

        Raises:
            ArtifactError: If the predictions break the contract; then nothing is written.
        """
        self.validate()
        columns: dict[str, Any] = {
            "document_id": pa.array(self.document_ids, pa.string()),
            "part": pa.array(self.parts, pa.string()),
            **({} if self.groups is None else {_GROUP: pa.array(self.groups, pa.int32())}),
        }
        for own in self.levels:
            columns |= {f"{own.level}.{name}": value for name, value in _columns(own).items()}
        facts = {
            "node": self.node,
            "flat": json.dumps(self.flat),
            "tree": json.dumps(self.tree.as_dict(), ensure_ascii=False),
        }
        table = pa.table(columns).replace_schema_metadata(facts)
        # Numbers hardly repeat: a stream for each of their bytes takes a tenth less than a dictionary, and less time.
        texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
        numbers = [
            f"{field.name}.list.element" if pa.types.is_fixed_size_list(field.type) else field.name
            for field in table.schema
            if field.name not in texts
        ]
        encodings: dict[str, Any] = {"use_dictionary": texts, "use_byte_stream_split": numbers}
        with atomic_file(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", **encodings)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and validate a file that :meth:`write` made.

        Raises:
            ArtifactError: If it is missing, damaged or breaks the contract.
        """
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(f"{path} cannot be read ({str(error).splitlines()[0]}); {_AGAIN}") from error
        try:
            predictions = cls._from_table(table)
            predictions.validate()
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {error}") from error
        except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise ArtifactError(f"{path} holds no predictions ({reason(error)}); {_AGAIN}") from error
        return predictions

    @classmethod
    def _from_table(cls, table: pa.Table) -> Self:
        facts = table.schema.metadata or {}
        if b"node" not in facts or b"tree" not in facts:
            raise ArtifactError(f"the schema's metadata lacks the node or the tree; {_AGAIN}")
        try:
            tree = LabelTree.from_dict(json.loads(facts[b"tree"]))
        except RecursionError as error:
            raise ArtifactError(f"the schema's metadata holds no label tree; {_AGAIN}") from error
        ids, parts = (_strings(table, name) for name in ("document_id", "part"))
        levels = tuple(_level(table, tree, level) for level in tree.levels)
        groups = _numbers(table, _GROUP, np.int32) if _GROUP in table.column_names else None
        return cls(facts[b"node"].decode(), tree, ids, parts, levels, facts.get(b"flat") == b"true", groups)

    def validate(self) -> None:
        """Check what the contract promises.

        Raises:
            ArtifactError: Naming the node and the first thing that is wrong.
        """
        for problem in (self._columns_problem(), *(self._level_problem(own) for own in self.levels)):
            if problem:
                raise ArtifactError(f"predictions of node {self.node}: {problem}; score the node again")

    def _columns_problem(self) -> str | None:
        if tuple(own.level for own in self.levels) != self.tree.levels:
            return f"levels {[own.level for own in self.levels]} are not those of the tree"
        if any(value is None for value in self.document_ids):
            return "a document id is null"
        if len(set(self.document_ids)) < len(self):
            return "a document id occurs twice"
        if unknown := set(self.parts) - set(SCORED_PARTS):
            return f"part {unknown.pop()!r} is not one of {', '.join(SCORED_PARTS)}"
        return None

    def _level_problem(self, own: LevelScores) -> str | None:
        size = len(self.tree.labels(own.level))
        if any(len(value) != len(self) for value in vars(own).values() if isinstance(value, np.ndarray)):
            return f"columns of level {own.level} have different lengths"
        for name in ("log_prob", "target_log_prob", "target_conditional"):
            if np.isnan(getattr(own, name)).any():
                return f"{name} of level {own.level} is NaN"
        for name, least, most in (("target_rank", 0, size), ("sibling_rank", NONE, size), ("greedy", NONE, size - 1)):
            values = getattr(own, name)
            if values.min(initial=least) < least or values.max(initial=least) > most:
                return f"{name} of level {own.level} is out of range"
        if own.labels is None:
            if own.log_prob.shape[1:] != (size,):
                return f"log_prob of level {own.level} has shape {own.log_prob.shape} but there are {size} labels"
            return _probability_problem(own, whole=own.level == self.tree.levels[0])
        if (
            own.labels.shape != own.log_prob.shape
            or own.labels.min(initial=0) < NONE
            or own.labels.max(initial=0) >= size
        ):
            return f"labels of level {own.level} are not those of the tree"
        falls = (np.diff(own.log_prob, axis=1) <= 0) | np.isneginf(own.log_prob[:, 1:])
        return None if falls.all() else f"log_prob of level {own.level} does not fall"


def _probability_problem(own: LevelScores, whole: bool) -> str | None:
    """Every label of the first level has a share of 1; deeper ones may not be known below each of them."""
    for start in range(0, len(own.log_prob), _CHUNK):
        with np.errstate(divide="ignore", over="ignore"):  # sums of 0 or infinity are what we look for
            sums = np.log(np.exp(own.log_prob[start : start + _CHUNK]).sum(axis=1))
        wrong = ~(np.abs(sums) <= _TOLERANCE) if whole else ~(sums <= _TOLERANCE)
        if wrong.any():
            return f"log_prob of level {own.level} is not normalised in row {start + int(wrong.argmax())}"
    return None


def _columns(own: LevelScores) -> dict[str, Any]:
    columns: dict[str, Any] = {"target": pa.array(own.targets, pa.string(), from_pandas=True)}
    if own.labels is not None:
        columns["labels"] = _lists(own.labels)
    columns["log_prob"] = _lists(own.log_prob)
    return columns | {name: pa.array(getattr(own, name)) for name in _PER_LEVEL[2:]}


def _lists(values: NDArray[Any]) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), values.shape[1])


def _strings(table: pa.Table, name: str) -> NDArray[Any]:
    kind = table.schema.field(name).type
    if not pa.types.is_string(kind):
        raise ArtifactError(f"column {name} is {kind}, not string; {_AGAIN}")
    return table[name].to_numpy(zero_copy_only=False)


def _numbers(table: pa.Table, name: str, dtype: type[np.generic]) -> NDArray[Any]:
    column = table[name]
    if column.null_count or not column.type.equals(pa.from_numpy_dtype(np.dtype(dtype))):
        raise ArtifactError(f"column {name} is {column.type} with {column.null_count} nulls; {_AGAIN}")
    return column.to_numpy()


def _level(table: pa.Table, tree: LabelTree, level: str) -> LevelScores:
    def matrix(name: str, dtype: type[np.generic]) -> NDArray[Any]:
        kind = table.schema.field(f"{level}.{name}").type
        if not pa.types.is_fixed_size_list(kind) or not kind.value_type.equals(pa.from_numpy_dtype(np.dtype(dtype))):
            raise ArtifactError(f"column {level}.{name} is {kind}; {_AGAIN}")
        column = cast("Any", table[f"{level}.{name}"].combine_chunks())
        flat = column.flatten()
        if column.null_count or flat.null_count:
            raise ArtifactError(f"column {level}.{name} holds nulls; {_AGAIN}")
        return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(table.num_rows, kind.list_size)

    if missing := [name for name in _PER_LEVEL if f"{level}.{name}" not in table.column_names]:
        raise ArtifactError(f"column {level}.{missing[0]} is missing; {_AGAIN}")
    targets = _strings(table, f"{level}.target")
    return LevelScores(
        level,
        targets,
        find_targets(tree, level, targets),
        matrix("labels", np.int32) if f"{level}.labels" in table.column_names else None,
        matrix("log_prob", np.float32),
        *(_numbers(table, f"{level}.{name}", np.float32) for name in _PER_LEVEL[2:4]),
        *(_numbers(table, f"{level}.{name}", np.int32) for name in _PER_LEVEL[4:]),
    )
