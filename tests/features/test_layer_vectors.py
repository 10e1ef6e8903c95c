from pathlib import Path

import numpy as np
import pytest

from patent_hier.artifacts import seal
from patent_hier.errors import ArtifactError
from patent_hier.features.layer_vectors import DTYPE, VECTORS_FILE, LayerVectors, PositionStore
from patent_hier.features.token_store import pad_batch


def write(folder: Path, documents: int = 3) -> np.ndarray:
    vectors = np.arange(3 * 2 * 4).reshape(3, 2, 4).astype(DTYPE)
    vectors.tofile(folder / VECTORS_FILE)
    seal(folder, {"documents": documents, "layers": 2, "hidden_size": 4, "num_layers": 5})
    return vectors


def test_rows_come_back_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    written = write(tmp_path)
    vectors = LayerVectors.open(tmp_path)
    assert (len(vectors), vectors.layers, vectors.hidden_size, vectors.num_layers) == (3, 2, 4, 5)
    rows = vectors.rows(np.array([2, 0, 2]))
    assert rows.dtype == np.float32
    assert np.array_equal(rows, written[[2, 0, 2]])


def test_a_file_that_is_too_short_is_named(tmp_path: Path) -> None:
    write(tmp_path, documents=4)
    with pytest.raises(ArtifactError, match="delete the folder and run again"):
        LayerVectors.open(tmp_path)


def test_positions_are_one_wide_but_keep_the_lengths_of_their_documents() -> None:
    store = PositionStore(np.array([7, 3, 5]))
    assert store.lengths.tolist() == [7, 3, 5]
    ids, mask = pad_batch(store, np.array([2, 0]), pad_id=9)
    assert ids.tolist() == [[2], [0]]
    assert mask.tolist() == [[1], [1]]
