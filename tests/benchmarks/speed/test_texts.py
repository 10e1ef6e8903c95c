import os

import numpy as np
import pytest

from benchmarks.speed.texts import segmentation_row, tokens_row
from patent_hier.features.fast_wordpiece import FastWordPiece
from patent_hier.features.ragged import Ragged

TEXTS = ["本发明公开了一种轴承12", "[MASK]", "", "PM2.5 " * 300]


@pytest.mark.slow
def test_both_are_measured_on_the_same_texts() -> None:
    row = tokens_row(TEXTS * 300, repeats=2)
    assert (row.facts["documents"], row.facts["different"], row.repeats) == (1200, 0, 2)
    assert row.agrees
    assert row.facts["tables_seconds"] > 0
    assert segmentation_row(TEXTS, repeats=1).agrees


def test_different_ids_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    encode, threads = FastWordPiece.encode, []

    def wrong(self: FastWordPiece, texts: list[str]) -> Ragged:
        threads.append(os.environ["TOKENIZERS_PARALLELISM"])
        ids, lengths = encode(self, texts)
        ids[np.cumsum(lengths)[1:] - 1] += 1  # the last token of every text but the first
        return ids, lengths

    monkeypatch.setattr(FastWordPiece, "encode", wrong)
    row = tokens_row(TEXTS, repeats=1)
    assert (row.facts["different"], row.agrees) == (3, False)
    assert set(threads) == {"false"}  # one thread
