"""The predictions contract: the scores that a network stores for every document outside training, at every level.

Each network writes one Parquet file. It has a row for each document of ``val``, ``calibration`` and ``test``, whether
or not the document belongs to the network's part of the tree. So cascades, ensembles, calibration and thresholds need
no second pass over the texts. For each level of its part of the label tree, a network stores

- the true label; null if the document has none at the level;
- the joint log-probabilities (natural logarithm of P(label | the network's root)). A level with at most
  ``DENSE_LABELS`` (200) labels stores all of them, in the tree's order. A larger level stores the best ``KEPT`` (20)
  in descending order, with their positions. So the file grows with documents x levels, not with the number of labels;
- for the true label, the joint and the conditional log-probability, the rank among all labels of the level, and the
  rank among its siblings, which the head of its parent decides;
- the label of the greedy search, which takes the likeliest child of the root, then its likeliest child, and so on.

The conditional log-probability of a stored label is its joint log-probability minus that of its parent. The tree is
in the metadata of the schema. A true label that never occurs in training is not in the tree, but it counts in every
denominator.
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
_TOLERANCE = 1e-3  # for the logarithm of a row's summed probabilities
_CHUNK = 65_536  # rows checked at a time, so that temporary arrays stay small
_GROUP = "group"
_AGAIN = "delete its folder and run the node again"
_PER_LEVEL = ("target", "log_prob", "target_log_prob", "target_conditional", "target_rank", "sibling_rank", "greedy")


@dataclass(frozen=True, eq=False)
class NetworkPredictions:
    """The scores of one network.

    Attributes:
        node: Name of the network: ``root``, ``flat``, ``shared``, or the label whose part of the tree it decides.
        tree: Labels that the network knows; the positions in ``levels`` count from the start of each level.
        document_ids: ``(n,)`` strings.
        parts: ``(n,)`` names from :data:`SCORED_PARTS`.
        levels: Scores at each level of the tree, in order.
        flat: Whether one softmax over the deepest level decides, instead of one for each parent.
        groups: ``(n,)`` int32 numbers, equal for calibration documents that the split keeps together; -1 for all other
            documents. None if the split keeps no documents together, and in files from before this column existed.
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
        """Return the scores of one level.

        Raises:
            ArtifactError: If the network has no scores at this level.
        """
        for own in self.levels:
            if own.level == name:
                return own
        raise ArtifactError(f"node {self.node} has no scores for level {name}; it has {', '.join(self.tree.levels)}")

    @property
    def is_whole(self) -> bool:
        """Whether every level stores all its labels."""
        return all(own.labels is None for own in self.levels)

    def scores(self) -> TreeScores:
        """Return the log-probabilities of all labels, from the top down to the last level that stores all of them.

        Raises:
            ArtifactError: If the first level already stores only its best labels.
        """
        if not self.dense:
            own = self.levels[0]
            raise ArtifactError(
                f"node {self.node} stores only the best {own.log_prob.shape[1]} labels of its first level {own.level}, "
                "but all of them are needed; use a node with fewer labels below it"
            )
        log_prob = np.concatenate([own.log_prob for own in self.dense], axis=1)
        if self.is_whole:
            return TreeScores(self.tree, log_prob, self.flat)
        return TreeScores(self.tree.to_depth(self.dense[-1].level), log_prob)

    @property
    def dense(self) -> tuple[LevelScores, ...]:
        """Levels that store all their labels, from the top down to the first level that does not."""
        return tuple(itertools.takewhile(lambda own: own.labels is None, self.levels))

    def select(self, part: str) -> Self:
        """Return the predictions for the documents of one part only.

        Raises:
            ArtifactError: If the part has no documents.
        """
        rows = np.flatnonzero(self.parts == part)
        if not len(rows):
            raise ArtifactError(f"node {self.node} has no predictions for part {part!r}; score that part first")
        return self.take(rows)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return the predictions for the documents at the given positions, in that order."""
        levels = tuple(own.take(rows) for own in self.levels)
        groups = None if self.groups is None else self.groups[rows]
        return replace(self, document_ids=self.document_ids[rows], parts=self.parts[rows], levels=levels, groups=groups)

    def write(self, path: Path) -> None:
        """Write the Parquet file atomically.

        Raises:
            ArtifactError: If the predictions break the contract; nothing is written then.
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
        # Numbers rarely repeat, so byte-stream split is a tenth smaller than a dictionary, and faster.
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
        """Read and validate a file written by :meth:`write`.

        Raises:
            ArtifactError: If the file is missing, damaged or breaks the contract.
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
            raise ArtifactError(f"{path} does not hold predictions ({reason(error)}); {_AGAIN}") from error
        return predictions

    @classmethod
    def _from_table(cls, table: pa.Table) -> Self:
        facts = table.schema.metadata or {}
        if b"node" not in facts or b"tree" not in facts:
            raise ArtifactError(f"the metadata of the schema lacks the node or the tree; {_AGAIN}")
        try:
            tree = LabelTree.from_dict(json.loads(facts[b"tree"]))
        except RecursionError as error:
            raise ArtifactError(f"the metadata of the schema does not hold a label tree; {_AGAIN}") from error
        ids, parts = (_strings(table, name) for name in ("document_id", "part"))
        levels = tuple(_level(table, tree, level) for level in tree.levels)
        groups = _numbers(table, _GROUP, np.int32) if _GROUP in table.column_names else None
        return cls(facts[b"node"].decode(), tree, ids, parts, levels, facts.get(b"flat") == b"true", groups)

    def validate(self) -> None:
        """Check that the predictions fulfil the contract.

        Raises:
            ArtifactError: If they do not; the message names the node and the first problem.
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
                return f"log_prob of level {own.level} has shape {own.log_prob.shape}, but the level has {size} labels"
            return _probability_problem(own, whole=own.level == self.tree.levels[0])
        if (
            own.labels.shape != own.log_prob.shape
            or own.labels.min(initial=0) < NONE
            or own.labels.max(initial=0) >= size
        ):
            return f"labels of level {own.level} are not those of the tree"
        falls = (np.diff(own.log_prob, axis=1) <= 0) | np.isneginf(own.log_prob[:, 1:])
        return None if falls.all() else f"log_prob of level {own.level} is not in descending order"


def _probability_problem(own: LevelScores, whole: bool) -> str | None:
    """Return a message if a row's probabilities sum to more than 1 or, with ``whole``, to anything else than 1.

    At a deeper level the sum may be below 1, because not every label above it has labels there.
    """
    for start in range(0, len(own.log_prob), _CHUNK):
        with np.errstate(divide="ignore", over="ignore"):  # sums of 0 or infinity are detected below
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
        raise ArtifactError(f"column {name} has type {kind}, not string; {_AGAIN}")
    return table[name].to_numpy(zero_copy_only=False)


def _numbers(table: pa.Table, name: str, dtype: type[np.generic]) -> NDArray[Any]:
    column = table[name]
    if column.null_count or not column.type.equals(pa.from_numpy_dtype(np.dtype(dtype))):
        raise ArtifactError(
            f"column {name} has the wrong type or nulls (type {column.type}, nulls: {column.null_count}); {_AGAIN}"
        )
    return column.to_numpy()


def _level(table: pa.Table, tree: LabelTree, level: str) -> LevelScores:
    def matrix(name: str, dtype: type[np.generic]) -> NDArray[Any]:
        kind = table.schema.field(f"{level}.{name}").type
        if not pa.types.is_fixed_size_list(kind) or not kind.value_type.equals(pa.from_numpy_dtype(np.dtype(dtype))):
            raise ArtifactError(f"column {level}.{name} has the wrong type {kind}; {_AGAIN}")
        column = cast("Any", table[f"{level}.{name}"].combine_chunks())
        flat = column.flatten()
        if column.null_count or flat.null_count:
            raise ArtifactError(f"column {level}.{name} contains nulls; {_AGAIN}")
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
