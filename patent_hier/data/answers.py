"""A teacher's answers, from which a student network learns: on training documents, and on texts without labels.

On disk: ``answers.parquet`` with a row for each answered document: ``document_id`` of a training document of the corpus
or null, ``text`` of any other or null, and its likeliest labels of the deepest level, ``label`` and ``log_prob``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from patent_hier.artifacts import find_damage, manifest_of
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.sanitize import reason
from patent_hier.taxonomy.tree import LabelTree

ANSWERS_VERSION = 1  # raise it when the same teacher and texts would give other answers
ANSWERS_KIND = "answers"
ANSWERS_FILE = "answers.parquet"
KEPT = 20  # labels of an answer; of an ensemble's, the rest has a few percent at most
_LEAST = 1e-3  # of an answer's share in a target; smaller ones cost memory and teach nothing
_SCHEMA = pa.schema(
    {
        "document_id": pa.string(),
        "text": pa.string(),
        "label": pa.list_(pa.string()),
        "log_prob": pa.list_(pa.float32()),
    }
)


def answers_manifest(folder: Path) -> Any:
    """The manifest of a folder of answers.

    Raises:
        ConfigError: If there is no such folder.
    """
    manifest = manifest_of(folder, ANSWERS_KIND)
    if manifest is None:
        raise ConfigError(f"distill.answers={folder} holds no teacher's answers; make them by patent-hier distill")
    return manifest


@dataclass(frozen=True, eq=False)
class Answers:
    """What a teacher says of ``n`` documents: ``n_documents`` of the corpus, then ``n_texts`` others.

    Attributes:
        document_ids: Of the documents, ``(n_documents,)`` of strings.
        texts: The others' texts.
        labels: ``(n, k)`` of strings, labels of the deepest level, the likeliest first.
        log_prob: ``(n, k)`` float32, their joint log-probabilities.
        facts: The manifest: teacher, corpus, split, counts.
    """

    document_ids: NDArray[np.object_]
    texts: tuple[str, ...]
    labels: NDArray[np.object_]
    log_prob: NDArray[np.float32]
    facts: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """Write the table into a folder; its manifest is the caller's."""
        n_texts = len(self.texts)
        columns: dict[str, Any] = {
            "document_id": [*self.document_ids, *[None] * n_texts],
            "text": [*[None] * len(self.document_ids), *self.texts],
            "label": self.labels.tolist(),
            "log_prob": list(self.log_prob),
        }
        pq.write_table(pa.table(columns, schema=_SCHEMA), folder / ANSWERS_FILE)

    @classmethod
    def open(cls, folder: Path) -> "Answers":
        """Read a sealed folder.

        Raises:
            ConfigError: If there is no such folder.
            ArtifactError: If it is damaged.
        """
        manifest = answers_manifest(folder)
        if damaged := find_damage(folder):
            raise ArtifactError(f"{folder / damaged} is damaged; delete {folder} and distill again")
        try:
            table = pq.read_table(folder / ANSWERS_FILE, schema=_SCHEMA)
            n, k = table.num_rows, int(manifest["labels_kept"])
            ids, texts = (table.column(name).to_pylist() for name in ("document_id", "text"))
            labels, log_prob = (
                pc.list_flatten(table.column(name)).to_numpy().reshape(n, k) for name in ("label", "log_prob")
            )
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise ArtifactError(f"{folder} cannot be read ({reason(error)}); delete it and distill again") from error
        n_documents = sum(name is not None for name in ids)
        documents = np.array(ids[:n_documents], object)
        return cls(documents, tuple(map(str, texts[n_documents:])), labels, log_prob, manifest)

    def targets(self, tree: LabelTree, temperature: float) -> tuple["NDArray[np.int32]", NDArray[np.float32]]:
        """The answers as targets of a student.

        Args:
            tree: The student's labels; what it does not know is left out, and the rest is made whole again.
            temperature: Divides the log-probabilities.

        Returns:
            Leaves ``(n, k)`` as positions in the tree, -1 for none, and their shares ``(n, k)``, which sum to 1, or to
            0 where the student knows none of them.
        """
        leaves = tree.find(tree.depth, self.labels.ravel()).reshape(self.labels.shape)
        scaled = np.where(leaves >= 0, self.log_prob.astype(np.float64) / temperature, -np.inf)
        with np.errstate(invalid="ignore"):
            shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        shares = np.nan_to_num(shares)
        shares[shares < _LEAST * shares.sum(axis=1, keepdims=True)] = 0
        total = shares.sum(axis=1, keepdims=True)
        return leaves, (shares / np.where(total > 0, total, 1)).astype(np.float32)
