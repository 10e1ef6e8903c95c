"""Document vectors from the layers of a frozen encoder: computed once per corpus, read by every node and seed.

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
    """Return the fingerprint of the vectors, from everything that decides their content.

    Args:
        tokens: Fingerprint of the token store.
        encoder: Digest of the encoder's files.
        pooling: Method that reduces a layer's output to one vector.
        layers: Number of last layers that are stored.
        precision: Numeric precision in which the encoder computed.
    """
    return fingerprint([LAYER_VECTORS_VERSION, tokens, encoder, pooling, layers, precision])


class LayerVectors:
    """Memory-mapped vectors of a whole corpus.

    Attributes:
        layers: Number of last layers that are stored.
        hidden_size: Width of each vector.
        num_layers: Number of layers of the encoder that computed them.
    """

    def __init__(self, vectors: NDArray[np.float16], num_layers: int) -> None:
        self._vectors = vectors
        _, self.layers, self.hidden_size = vectors.shape
        self.num_layers = num_layers

    @classmethod
    def open(cls, folder: Path) -> "LayerVectors":
        """Map a sealed folder.

        Raises:
            ArtifactError: If the folder is damaged.
        """
        manifest = read_json(folder / MANIFEST)
        try:
            shape = (manifest["documents"], manifest["layers"], manifest["hidden_size"])
            vectors = np.memmap(folder / VECTORS_FILE, DTYPE, "r", shape=shape)
            return cls(vectors, int(manifest["num_layers"]))
        except (KeyError, OSError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"the layer vectors in {folder} are damaged ({reason(error)}); delete the folder and run again"
            ) from error

    def __len__(self) -> int:
        return len(self._vectors)

    def rows(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of some documents, ``(len(positions), layers, hidden_size)``, the last layer first."""
        return self._vectors[positions].astype(np.float32)


class PositionStore(TokenStore):
    """A token store that returns a document's position instead of its tokens, to look up its vectors.

    Args:
        lengths: Number of tokens of each document, ``(n,)``, so that batches are the same as with the tokens.
    """

    def __init__(self, lengths: NDArray[np.int64]) -> None:
        self.lengths = lengths

    def __getitem__(self, index: int) -> NDArray[np.unsignedinteger]:
        return np.array([index], np.uint32)

    def padded_length(self, indices: Sequence[int] | NDArray[np.intp]) -> int:
        """Return 1: each document has one position."""
        return 1
