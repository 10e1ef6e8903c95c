import os

import numpy as np
import pytest

from patent_hier.bench import tokens
from patent_hier.errors import ConfigError
from patent_hier.features.fast_wordpiece import FastWordPiece
from patent_hier.features.ragged import Ragged

TEXTS = ["本发明公开了一种轴承12", "[MASK]", "", "PM2.5 " * 300]


def test_both_are_measured_on_the_same_texts() -> None:
    found = tokens.measure(TEXTS * 300, repeats=2)
    assert (found["documents"], found["different"]) == (1200, 0)
    assert found["ours"] > 0
    assert found["peer"] > 0
    assert 0 < found["ratio_with_tables"] < found["ratio"]
    assert found["tables_seconds"] > 0


def test_different_ids_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = FastWordPiece.encode

    def wrong(self: FastWordPiece, texts: list[str]) -> Ragged:
        ids, lengths = encode(self, texts)
        ids[np.cumsum(lengths)[1:] - 1] += 1  # the last token of every text but the first
        return ids, lengths

    monkeypatch.setattr(FastWordPiece, "encode", wrong)
    assert tokens.measure(TEXTS, repeats=1)["different"] == 3


@pytest.mark.parametrize("before", [None, "true"])
def test_one_thread_only_while_measuring(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if before is None:
        monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    else:
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", before)
    seen = []
    monkeypatch.setattr(tokens, "_different", lambda *_: seen.append(os.environ["TOKENIZERS_PARALLELISM"]) or 0)
    tokens.measure(TEXTS, repeats=1)
    assert seen == ["false"]
    assert os.environ.get("TOKENIZERS_PARALLELISM") == before


@pytest.mark.parametrize(("texts", "repeats"), [([], 1), (["一"], 0)])
def test_nothing_to_measure_is_one_line(texts: list[str], repeats: int) -> None:
    with pytest.raises(ConfigError, match="at least one of both"):
        tokens.measure(texts, repeats)
