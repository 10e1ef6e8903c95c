from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from patent_hier.features.packing import PackedText
from patent_hier.training.masking import MaskedRows, SpecialIds, Steps, mask_tokens

CLS, SEP, MASK, VOCABULARY = 2, 3, 4, 5000
SPECIAL = SpecialIds(CLS, SEP, MASK, VOCABULARY)


def row_of(n: int, length: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows of ordinary tokens with [CLS] first and some [SEP], and words of one to four tokens."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, VOCABULARY, (n, length))
    starts = rng.random((n, length)) < 0.5
    ids[:, 0] = CLS
    ids[rng.random((n, length)) < 0.05] = SEP
    ids[:, 0] = CLS
    starts |= (ids == SEP) | (ids == CLS)
    starts[:, 1:] |= ids[:, :-1] == SEP
    return ids, starts


def mask(
    ids: NDArray[np.int64], starts: NDArray[np.bool_], share: float = 0.15, seed: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The hidden rows, and which tokens were chosen."""
    hidden, positions = mask_tokens(ids, starts, SPECIAL, share, np.random.default_rng(seed))
    chosen = np.zeros(ids.size, np.bool_)
    chosen[positions] = True
    assert np.array_equal(positions, np.unique(positions))
    return hidden, chosen.reshape(ids.shape)


@given(st.integers(0, 10**6), st.floats(0.01, 0.9), st.integers(1, 5), st.integers(2, 40))
@settings(max_examples=100, deadline=None)
def test_what_always_holds(seed: int, share: float, n: int, length: int) -> None:
    ids, starts = row_of(n, length, seed)
    before = ids.copy()
    hidden, chosen = mask(ids, starts, share, seed)
    assert np.array_equal(ids, before)
    assert chosen.any()
    assert np.array_equal(hidden[~chosen], ids[~chosen])
    if ((ids != CLS) & (ids != SEP)).any():
        assert not chosen[(ids == CLS) | (ids == SEP)].any()
    assert ((hidden >= 0) & (hidden < VOCABULARY)).all()


def test_words_are_chosen_whole() -> None:
    ids, starts = row_of(200, 100)
    _, chosen = mask(ids, starts)
    inside = ~starts[:, 1:] & (ids[:, :-1] != CLS)  # of one word with the token before
    assert np.array_equal(chosen[:, 1:][inside], chosen[:, :-1][inside])
    assert inside.sum() > 5000
    _, single = mask(ids, np.ones_like(starts))
    assert not np.array_equal(single[:, 1:][inside], single[:, :-1][inside])


def within(count: int, n: int, share: float, deviations: float = 4.5) -> bool:
    return bool(abs(count - n * share) < deviations * (n * share * (1 - share)) ** 0.5)


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_share_of_chosen_tokens_and_their_fates(share: float) -> None:
    ids, starts = row_of(2000, 100)
    ordinary = (ids != CLS) & (ids != SEP)
    _, whole = mask(ids, starts, share)
    words = starts & ordinary
    assert within(int((whole & words).sum()), int(words.sum()), share)
    hidden, chosen = mask(ids, np.ones_like(starts), share)
    n = int(chosen.sum())
    assert within(n, int(ordinary.sum()), share)
    masked = (hidden == MASK) & chosen
    kept = (hidden == ids) & chosen
    assert within(int(masked.sum()), n, 0.8 + 0.1 / VOCABULARY)
    assert within(int(kept.sum()), n, 0.1 + 0.1 / VOCABULARY)
    assert within(n - int((masked | kept).sum()), n, 0.1)
    replacements = hidden[chosen & ~masked & ~kept]
    assert replacements.max() > 0.99 * VOCABULARY
    assert replacements.min() < 0.01 * VOCABULARY
    assert len(np.unique(replacements)) > 0.5 * min(len(replacements), VOCABULARY)


def test_one_token_is_chosen_where_chance_chooses_none() -> None:
    ids = np.array([[CLS, SEP, 7, SEP]])
    for seed in range(40):
        _, chosen = mask(ids, np.ones_like(ids, np.bool_), 0.01, seed)
        assert np.argwhere(chosen).tolist() == [[0, 2]]


# --- rows of packed text


def rows_of(
    n_tokens: int, seq_len: int = 16, batch_size: int = 4, seed: int = 1, whole_words: bool = True
) -> MaskedRows:
    text = PackedText(np.arange(10, 10 + n_tokens).astype("<u4"), np.arange(n_tokens) % 2 == 0)
    special = SpecialIds(CLS, SEP, MASK, n_tokens)
    return MaskedRows(text, special, seq_len, batch_size, 0.15, whole_words, seed)


def unhidden(batch: dict[str, Tensor]) -> NDArray[np.int64]:
    ids = batch["input_ids"].clone().flatten()
    ids[batch["positions"]] = batch["targets"]
    return ids.reshape(batch["input_ids"].shape).numpy()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_batch_is_cut_from_the_text() -> None:
    batch = rows_of(2000).batch(0)
    assert {name: value.dtype for name, value in batch.items()} == {
        "input_ids": torch.int64, "positions": torch.int64, "targets": torch.int64
    }  # fmt: skip
    ids = unhidden(batch)
    assert ids.shape == (4, 16)
    assert (ids[:, 0] == CLS).all()
    assert (np.diff(ids[:, 1:], axis=1) == 1).all()
    assert (batch["input_ids"].flatten()[batch["positions"]] == MASK).any()
    chosen = np.isin(np.arange(64), batch["positions"].numpy()).reshape(4, 16)
    second = (ids % 2 == 1) & (ids >= 10)  # the second token of a word, as the text has it
    assert np.array_equal(chosen[:, 2:][second[:, 2:]], chosen[:, 1:-1][second[:, 2:]])


def test_the_same_step_is_the_same_batch_wherever_one_begins() -> None:
    one, other = rows_of(700), rows_of(700)
    batches = [one.batch(step) for step in range(40)]
    for step in (39, 3, 3, 17, 0):
        assert same(other.batch(step), batches[step])
    assert not any(same(batches[0], batch) for batch in batches[1:])
    assert not same(rows_of(700, seed=2).batch(0), batches[0])
    assert not same(rows_of(700, whole_words=False).batch(0), batches[0])
    loader = DataLoader(Steps(one, 17, 5), batch_size=None)
    assert all(same(batch, batches[17 + number]) for number, batch in enumerate(loader))
    assert len(loader) == 5


@pytest.mark.parametrize(("n_tokens", "batch_size"), [(700, 4), (333, 7), (31, 3)])
def test_each_pass_covers_every_row_once(n_tokens: int, batch_size: int) -> None:
    rows = rows_of(n_tokens, batch_size=batch_size)
    n = rows.rows_per_pass
    assert n == max(1, (n_tokens - 14) // 15)
    steps = -(-3 * n // batch_size)
    found = np.concatenate([unhidden(rows.batch(step)) for step in range(steps)])
    shifts = set()
    for number in range(3):
        text = np.sort(found[number * n : (number + 1) * n, 1:], axis=0)
        assert np.array_equal(text.flatten(), text[0, 0] + np.arange(n * 15))  # end to end, each token once
        shifts.add(int(text[0, 0]))
        assert text[0, 0] >= 10
        assert text[-1, -1] < 10 + n_tokens
    assert len(shifts) > 1  # cut elsewhere in each pass
    if n > 2:
        assert not np.array_equal(found[:n] - found[:n].min(), found[n : 2 * n] - found[n : 2 * n].min())


def test_scored_rows_and_masks_never_change() -> None:
    rows = rows_of(700)
    first = list(rows.fixed(200))
    rows.batch(5)
    assert all(same(a, b) for a, b in zip(first, rows.fixed(200), strict=True))
    assert sum(len(batch["input_ids"]) for batch in first) == 200 // 16
    everything = list(rows_of(700).fixed(10**6))
    begins = [int(row[1]) for batch in everything for row in unhidden(batch)]
    assert begins == [10 + 15 * row for row in range(rows.rows_per_pass)]
    assert len(list(rows.fixed(1))) == 1
    # Other rows get other masks, and not those of a training step.
    assert not torch.equal(everything[0]["positions"], everything[1]["positions"])
    assert not torch.equal(everything[0]["positions"], rows.batch(0)["positions"])


@pytest.mark.parametrize("n_tokens", [1, 5, 14, 15])
def test_a_text_of_less_than_a_row(n_tokens: int) -> None:
    rows = replace(rows_of(n_tokens), batch_size=2)
    for batch in (rows.batch(0), rows.batch(9), *rows.fixed(100)):
        for row in unhidden(batch):
            assert row.tolist() == [CLS, *range(10, 10 + n_tokens), *[SEP] * (15 - n_tokens)]
        assert len(batch["positions"]) >= 1
        assert set(batch["targets"].tolist()) <= set(range(10, 10 + n_tokens))
