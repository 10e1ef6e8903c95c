"""Answers of a teacher model, from which a student learns: for training documents and for unlabelled texts.

On disk, ``answers.parquet`` has a row for each answered document: ``document_id`` (for training documents of the
corpus, else null), ``text`` (for all other texts, else null), and the most likely labels of the deepest level with
their log-probabilities (``label`` and ``log_prob``).
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

ANSWERS_VERSION = 1  # increase it when the same teacher and texts would give other answers
ANSWERS_KIND = "answers"
ANSWERS_FILE = "answers.parquet"
KEPT = 20  # labels per answer; in an ensemble's answers the others sum to a few percent at most
_LEAST = 1e-3  # smallest share of a target that is kept; smaller ones cost memory and have no effect
_SCHEMA = pa.schema(
    {
        "document_id": pa.string(),
        "text": pa.string(),
        "label": pa.list_(pa.string()),
        "log_prob": pa.list_(pa.float32()),
    }
)


def answers_manifest(folder: Path) -> Any:
    """Return the manifest of a folder of answers.

    Raises:
        ConfigError: If the folder contains no answers.
    """
    manifest = manifest_of(folder, ANSWERS_KIND)
    if manifest is None:
        raise ConfigError(
            f"distill.answers={folder} contains no answers of a teacher; create them with patent-hier distill"
        )
    return manifest


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of a teacher for ``n`` documents: ``n_documents`` of the corpus, then ``n_texts`` others.

    Attributes:
        document_ids: Ids of the corpus documents, strings, ``(n_documents,)``.
        texts: Texts of the other documents, ``n_texts`` strings.
        labels: Labels of the deepest level, the most likely first, strings, ``(n, k)``.
        log_prob: Joint log-probabilities of the labels, float32, ``(n, k)``.
        facts: The manifest, with the teacher, corpus, split and counts.
    """

    document_ids: NDArray[np.object_]
    texts: tuple[str, ...]
    labels: NDArray[np.object_]
    log_prob: NDArray[np.float32]
    facts: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """Write the table into a folder; the caller writes the manifest."""
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
            ConfigError: If it is not a folder of answers.
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
            raise ArtifactError(f"cannot read {folder} ({reason(error)}); delete it and distill again") from error
        n_documents = sum(name is not None for name in ids)
        documents = np.array(ids[:n_documents], object)
        return cls(documents, tuple(map(str, texts[n_documents:])), labels, log_prob, manifest)

    def targets(self, tree: LabelTree, temperature: float) -> tuple["NDArray[np.int32]", NDArray[np.float32]]:
        """Return the answers as training targets of a student.

        Args:
            tree: The student's labels; other labels are left out, and the remaining shares are rescaled to sum to 1.
            temperature: Divisor of the log-probabilities.

        Returns:
            Leaves ``(n, k)`` as positions in the tree, -1 for labels that the student does not have, and their shares
            ``(n, k)``, which sum to 1, or to 0 if the student has none of the labels.
        """
        leaves = tree.find(tree.depth, self.labels.ravel()).reshape(self.labels.shape)
        scaled = np.where(leaves >= 0, self.log_prob.astype(np.float64) / temperature, -np.inf)
        with np.errstate(invalid="ignore"):
            shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        shares = np.nan_to_num(shares)
        shares[shares < _LEAST * shares.sum(axis=1, keepdims=True)] = 0
        total = shares.sum(axis=1, keepdims=True)
        return leaves, (shares / np.where(total > 0, total, 1)).astype(np.float32)
