import numpy as np
import pytest

from patent_hier.features.token_store import TokenStore
from patent_hier.training.batching import Collate, ItemPaths, LengthGroupedBatches, NodeDocuments, Passes
from patent_hier.training.ranks import Ranks

LENGTHS = np.random.default_rng(1).integers(3, 200, 1003)


def batches(epoch: int = 0, seed: int = 1, batch_size: int = 16, lengths: np.ndarray = LENGTHS) -> list[list[int]]:
    sampler = LengthGroupedBatches(lengths, batch_size, seed)
    sampler.set_epoch(epoch)
    found = list(sampler)
    assert len(found) == len(sampler)
    return found


@pytest.mark.parametrize("batch_size", [1, 16, 1003, 5000])
@pytest.mark.parametrize("epoch", [0, 3])
def test_each_document_once_per_epoch(batch_size: int, epoch: int) -> None:
    found = batches(epoch, batch_size=batch_size)
    assert sorted(item for batch in found for item in batch) == list(range(1003))
    sizes = sorted(map(len, found), reverse=True)
    assert set(sizes[:-1]) <= {batch_size}
    assert sizes[-1] == (1003 % batch_size or batch_size)


def test_order_is_of_seed_and_epoch() -> None:
    assert batches(epoch=2, seed=3) == batches(epoch=2, seed=3)
    assert batches(epoch=2, seed=3) != batches(epoch=1, seed=3)
    assert batches(epoch=2, seed=3) != batches(epoch=2, seed=4)


def test_another_epoch_mixes_other_documents() -> None:
    first, second = ({frozenset(batch) for batch in batches(epoch)} for epoch in (0, 1))
    assert len(first & second) <= 1


@pytest.mark.parametrize(("texts", "turns"), [(303, 3), (304, 4), (301, 4), (0, 2), (3, 5)])
def test_texts_are_dealt_out_among_epochs(texts: int, turns: int) -> None:
    documents = 1003 - texts
    sampler = LengthGroupedBatches(LENGTHS, 16, seed=1, dealt=(texts, turns))
    assert sampler.size == documents + -(-texts // turns)
    read = []
    for epoch in range(2 * turns):
        sampler.set_epoch(epoch)
        found = sorted(item for batch in sampler for item in batch)
        assert len(found) == sampler.size
        assert -(-len(found) // 16) == len(sampler) == len(list(sampler))
        assert found[:documents] == list(range(documents))
        read.append(found[documents:])
    for own in (read[:turns], read[turns:]):
        assert set().union(*own) == set(range(documents, 1003))
    assert texts <= 3 or read[0] != read[turns]  # another deal


def test_one_turn_reads_all() -> None:
    assert list(LengthGroupedBatches(LENGTHS, 16, 1, dealt=(500, 1))) == batches()


def padding(found: list[list[int]]) -> int:
    return sum(len(batch) * LENGTHS[batch].max() - LENGTHS[batch].sum() for batch in found)


def test_a_batch_is_of_like_length() -> None:
    order = np.random.default_rng(0).permutation(1003)
    plain = [order[i : i + 16].tolist() for i in range(0, 1003, 16)]
    assert padding(batches()) < 0.15 * padding(plain)


def test_batches_are_not_in_order_of_length() -> None:
    longest = [int(LENGTHS[batch].max()) for batch in batches()]
    assert abs(np.corrcoef(longest, range(len(longest)))[0, 1]) < 0.4


STORE = TokenStore.from_documents([[2, 3], [2, 7, 8, 3], [2, 9, 3]])
WEIGHTS = np.array([1.0, 0.5, 0.25], np.float32)


def leaves(*codes: int) -> ItemPaths:
    """Paths of one level."""
    return ItemPaths(np.array(codes, np.int32)[:, None])


def test_collate() -> None:
    paths = np.array([[0, 5], [1, 6], [1, -1]], np.int32)
    collate = Collate(STORE, np.array([2, 0, 1]), ItemPaths(paths), pad_id=1)
    batch = collate([0, 1])
    assert batch["input_ids"].tolist() == [[2, 9, 3], [2, 3, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["target"].tolist() == [[[0, 5]], [[1, 6]]]
    assert batch["document"].tolist() == [2, 0]
    assert set(batch) == {"input_ids", "attention_mask", "target", "document"}
    assert collate(2)["target"].tolist() == [[[1, -1]]]  # as Lightning asks for one under overfit_batches


def test_collate_of_several_symbols() -> None:
    further = np.array([[0, 5], [2, 8], [1, 7]], np.int32)
    paths = ItemPaths(np.array([[0, 4], [1, 6], [1, 7]], np.int32), further, np.array([0, 0, 2]))
    batch = Collate(STORE, np.arange(3), paths, pad_id=1)([1, 0])
    assert batch["target"].tolist() == [[[1, 6], [-1, -1], [-1, -1]], [[0, 4], [0, 5], [2, 8]]]


def test_collate_of_weighted_documents() -> None:
    assert Collate(STORE, np.array([2, 0, 1]), leaves(5, 6, 7), 1, WEIGHTS)([2, 0])["weight"].tolist() == [0.25, 1.0]


def test_ranks_share_a_batch_and_know_the_whole() -> None:
    collates = [Collate(STORE, np.arange(3), leaves(5, 6, 7), 1, WEIGHTS, Ranks(rank, 2, 2)) for rank in (0, 1)]
    first, second = (collate([0, 1, 2]) for collate in collates)
    assert first["whole"].flatten().tolist() == second["whole"].flatten().tolist() == [5, 6, 7]
    assert (first["target"].flatten().tolist(), first["weight"].tolist()) == ([6], [0.5])  # the longest alone
    assert (second["target"].flatten().tolist(), second["weight"].tolist()) == ([5, 7], [1.0, 0.25])
    assert second["input_ids"].tolist() == [[2, 3, 1], [2, 9, 3]]  # padded to the share's longest


def test_a_rank_without_a_share_is_lent_a_document_that_does_not_count() -> None:
    own, lent = (Collate(STORE, np.arange(3), leaves(5, 6, 7), 1, None, Ranks(rank, 2, 2))([1]) for rank in (0, 1))
    assert "weight" not in own
    assert lent["weight"].tolist() == [0.0]
    assert {batch[key].item() for batch in (own, lent) for key in ("target", "whole")} == {6}


def test_passes_over_a_batch_have_each_document_once() -> None:
    batches = Passes(LengthGroupedBatches(STORE.lengths, 3, seed=1), 2)
    collate = Collate(STORE, np.arange(3), leaves(5, 6, 7), 1, None, passes=2)
    batches.set_epoch(1)
    first, second = batches
    assert len(batches) == 2
    assert (first.number, second.number) == (0, 1)
    assert sorted(first.items) == sorted(second.items) == [0, 1, 2]
    targets = [collate(drawn)["target"].flatten().tolist() for drawn in (first, second)]
    assert sorted(targets[0] + targets[1]) == [5, 6, 7]
    assert sorted(map(len, targets)) == [1, 2]
    assert sorted(collate(first)["whole"].flatten().tolist()) == [5, 6, 7]


def test_passes_are_of_the_epoch() -> None:
    lengths = np.random.default_rng(1).integers(3, 9, 40)
    batches = LengthGroupedBatches(lengths, 4, seed=1)
    for epoch in (0, 3):
        passes = Passes(LengthGroupedBatches(lengths, 4, seed=1), 3)
        passes.set_epoch(epoch)
        batches.set_epoch(epoch)
        assert [drawn.items for drawn in passes if drawn.number == 2] == list(batches)


def test_documents_are_their_positions() -> None:
    documents = NodeDocuments(3)
    assert [documents[i] for i in range(len(documents))] == [0, 1, 2]
