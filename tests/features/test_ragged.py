from patent_hier.features.ragged import end_to_end, join, replace

DOCUMENTS = [[1, 2], [], [3], [4, 5, 6]]


def test_documents_end_to_end() -> None:
    ids, lengths = end_to_end(DOCUMENTS)
    assert ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert lengths.tolist() == [2, 0, 1, 3]
    assert [one.tolist() for one in end_to_end([])] == [[], []]


def test_several_lists_are_one() -> None:
    joined = join([end_to_end(DOCUMENTS[:1]), end_to_end([]), end_to_end(DOCUMENTS[1:])])
    assert [one.tolist() for one in joined] == [one.tolist() for one in end_to_end(DOCUMENTS)]
    assert [one.tolist() for one in join([])] == [[], []]


def test_documents_are_exchanged() -> None:
    for rows in ([], [0], [1, 2], [3], [0, 1, 2, 3]):
        others = [[9] * (row + 2) for row in rows]
        expected = [others[rows.index(i)] if i in rows else document for i, document in enumerate(DOCUMENTS)]
        found = replace(end_to_end(DOCUMENTS), rows, end_to_end(others))
        assert [one.tolist() for one in found] == [one.tolist() for one in end_to_end(expected)]
