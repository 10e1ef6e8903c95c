import numpy as np
import pytest
from scipy.sparse import csr_matrix

from patent_hier.models.ngram_features import ContextBlock, tf_idf

COUNTS = csr_matrix(np.array([[2, 1, 0, 3], [0, 1, 0, 0], [0, 0, 4, 0], [0, 0, 0, 0]], np.float32))
IDF = np.array([1.0, 2.0, 1.5, 3.0], np.float32)


def test_text_and_context_have_lengths_of_their_own():
    features = tf_idf(COUNTS, IDF, ContextBlock(2, 0.3)).toarray()
    text = tf_idf(COUNTS[:, :2].tocsr(), IDF[:2]).toarray()
    context = 0.3 * tf_idf(COUNTS[:, 2:].tocsr(), IDF[2:]).toarray()
    assert np.allclose(features, np.concatenate([text, context], axis=1), atol=1e-6)
    assert np.allclose(np.linalg.norm(features[:, 2:], axis=1), [0.3, 0, 0.3, 0])


def test_the_block_among_kept_columns():
    assert ContextBlock(5, 0.3).among(np.array([1, 4, 5, 9])) == ContextBlock(2, 0.3)
    assert ContextBlock(5, 0.3).among(np.array([1, 4])) == ContextBlock(2, 0.3)  # none of it is kept


@pytest.mark.parametrize("damaged", [[5.0, 0.3], [-1.0, 0.3], [1.5, 0.3], [2.0, 0.0], [2.0, np.nan], [2.0]])
def test_a_damaged_block_is_refused(damaged):
    whole = ContextBlock(2, 0.3)
    assert ContextBlock.from_arrays(whole.arrays(), 4) == whole
    assert ContextBlock.from_arrays({}, 4) is None
    with pytest.raises(ValueError, match="context is"):
        ContextBlock.from_arrays({"context": np.array(damaged)}, 4)
