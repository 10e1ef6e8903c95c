"""Outputs of an encoder's frozen lower layers for every token: computed once per corpus, read by every node and seed.

On disk: ``states.bin``, float16 ``(n_tokens, hidden_size)``, the tokens in the order of their store.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST, fingerprint
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError
from patent_hier.features.token_store import TokenStore
from patent_hier.features.versions import TOKEN_STATES_VERSION
from patent_hier.sanitize import reason

STATES_FILE = "states.bin"
DTYPE = np.dtype("<f2")


def token_states_fingerprint(tokens: str, encoder: str, layers: int) -> str:
    """Return the fingerprint of the states, from everything that decides their content.

    Args:
        tokens: Fingerprint of the token store.
        encoder: Digest of the encoder's files.
        layers: Number of frozen lower layers, above the embeddings, that computed the states.
    """
    return fingerprint([TOKEN_STATES_VERSION, tokens, encoder, layers])


class TokenStates:
    """Memory-mapped states of all tokens of a corpus.

    Attributes:
        layers: Number of frozen lower layers that computed them.
    """

    def __init__(self, states: NDArray[np.float16], layers: int) -> None:
        self._states = states
        self.layers = layers

    @classmethod
    def open(cls, folder: Path) -> "TokenStates":
        """Map a sealed folder.

        Raises:
            ArtifactError: If the folder is damaged.
        """
        manifest = read_json(folder / MANIFEST)
        try:
            shape = (manifest["tokens"], manifest["hidden_size"])
            return cls(np.memmap(folder / STATES_FILE, DTYPE, "r", shape=shape), int(manifest["layers"]))
        except (KeyError, OSError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"the token states in {folder} are damaged ({reason(error)}); delete the folder and run again"
            ) from error

    def __len__(self) -> int:
        return len(self._states)

    def rows(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the states at the given positions, ``(*positions.shape, hidden_size)``."""
        return self._states[positions].astype(np.float32)


class TokenPositions(TokenStore):
    """A token store that returns each token's position in the corpus instead of its id, to look up its state.

    Args:
        store: Token ids of the corpus; document lengths, and therefore batches, are the same as with ``store``.
    """

    def __init__(self, store: TokenStore) -> None:
        super().__init__(np.empty(0, np.uint32), store.offsets)

    def __getitem__(self, index: int) -> NDArray[np.unsignedinteger]:
        return np.arange(self.offsets[index], self.offsets[index + 1], dtype=np.uint64)
