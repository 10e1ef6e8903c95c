"""Texts to words: our segmentation beside jieba's own, and whether every text has the same words."""

from collections.abc import Sequence

from patent_hier.bench.rows import Row, compare, in_turn
from patent_hier.features.segmentation import cut, jieba_tokenizer, rjieba_cut

_TARGET = 3.0


def segmentation_row(texts: Sequence[str], repeats: int) -> Row:
    """Segment all texts by both."""
    tokenizer = jieba_tokenizer()
    different = sum(cut(text) != list(tokenizer.cut(text)) for text in texts)

    def ours() -> None:
        for text in texts:
            cut(text)

    def peer() -> None:
        for text in texts:
            list(tokenizer.cut(text))

    rate, other, ratio = compare(len(texts), in_turn([ours, peer], repeats))
    return Row(
        work="segmentation into words",
        unit="documents/s",
        ours=rate,
        peer=other,
        peer_name="jieba",
        ratio=ratio,
        target=_TARGET,
        agrees=different == 0,
        repeats=repeats,
        facts={"documents": len(texts), "different": different, "rjieba": rjieba_cut() is not None},
    )
