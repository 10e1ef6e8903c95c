import numpy as np

from patent_hier.features.token_store import JoinedTokens, TokenStore, pad_batch


def test_two_stores_seen_as_one() -> None:
    first = TokenStore.from_documents([[2, 3], [2, 7, 8, 3]])
    joined = JoinedTokens(first, TokenStore.from_documents([[2, 9, 3], [1]]))
    assert len(joined) == 4
    assert joined.lengths.tolist() == [2, 4, 3, 1]
    assert [joined[i].tolist() for i in range(4)] == [[2, 3], [2, 7, 8, 3], [2, 9, 3], [1]]
    input_ids, attention_mask = pad_batch(joined, np.array([3, 0, 2]), 0)
    assert input_ids.tolist() == [[1, 0, 0], [2, 3, 0], [2, 9, 3]]
    assert attention_mask.tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
