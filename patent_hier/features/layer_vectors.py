"""Document vectors of every layer of a frozen encoder: computed once per corpus, read by every node and seed.

On disk: ``vectors.bin``, float16 ``(n_documents, layers, hidden_size)``, the encoder's last layer first.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST, fingerprint
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError
from patent_hier.features.token_store import TokenStore
from patent_hier.features.versions import LAYER_VECTORS_VERSION
from patent_hier.sanitize import reason

VECTORS_FILE = "vectors.bin"
DTYPE = np.dtype("<f2")


def layer_vectors_fingerprint(tokens: str, encoder: str, pooling: str, layers: int, precision: str) -> str:
    """Name the vectors by what decides their content.

    Args:
        tokens: Name of the token store.
        encoder: Digest of the encoder's files.
        pooling: How a layer's output becomes one vector.
        layers: Number of last layers that are kept.
        precision: In which the encoder computed.
    """
    return fingerprint([LAYER_VECTORS_VERSION, tokens, encoder, pooling, layers, precision])


class LayerVectors:
    """Memory-mapped vectors of a whole corpus.

    Attributes:
        layers: Number of last layers that are kept.
        hidden_size: Width of each vector.
        num_layers: Layers of the encoder that made them.
    """

    def __init__(self, vectors: NDArray[np.float16], num_layers: int) -> None:
        self._vectors = vectors
        _, self.layers, self.hidden_size = vectors.shape
        self.num_layers = num_layers

    @classmethod
    def open(cls, folder: Path) -> "LayerVectors":
        """Map a sealed folder.

        Raises:
            ArtifactError: If it is damaged.
        """
        manifest = read_json(folder / MANIFEST)
        try:
            shape = (manifest["documents"], manifest["layers"], manifest["hidden_size"])
            vectors = np.memmap(folder / VECTORS_FILE, DTYPE, "r", shape=shape)
            return cls(vectors, int(manifest["num_layers"]))
        except (KeyError, OSError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"layer vectors {folder} are damaged ({reason(error)}); delete it and run again"
            ) from error

    def __len__(self) -> int:
        return len(self._vectors)

    def rows(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of some documents, ``(len(positions), layers, hidden_size)``, the last layer first."""
        return self._vectors[positions].astype(np.float32)


class PositionStore(TokenStore):
    """A corpus whose documents are read as their own positions, to look their vectors up.

    Args:
        lengths: Tokens of each document, ``(n,)``: batches hold the same documents as if the tokens were read.
    """

    def __init__(self, lengths: NDArray[np.int64]) -> None:
        self.lengths = lengths

    def __getitem__(self, index: int) -> NDArray[np.unsignedinteger]:
        return np.array([index], np.uint32)

    def padded_length(self, indices: Sequence[int] | NDArray[np.intp]) -> int:
        """One position for each document."""
        return 1
