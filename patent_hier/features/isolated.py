"""Characters that BERT's pre-tokenizer isolates as words of their own next to any neighbour, with their token ids.

The tokenizer itself is tested: each candidate is placed between several kinds of neighbours, and must form one word of
one token between all of them. A candidate that fails the test is encoded more slowly, but never wrongly.
"""

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

CUT = -1  # white space: it has no token and ends the word before it
IN_RUN = -2  # everything else: its tokens depend on its neighbours
_TABLE_SIZE = 0x10000  # the last code point, U+FFFF, also represents all code points above it: rare, and always in runs
# Ranges with words of one character: ASCII and Latin-1 signs, general punctuation, CJK punctuation, ideographs with
# extension A, compatibility ideographs, vertical and small forms, full-width forms.
_CANDIDATES = (
    (0x0000, 0x00BF), (0x2000, 0x206F), (0x3000, 0x303F), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF),
    (0xFE10, 0xFE6F), (0xFF00, 0xFF65),
)  # fmt: skip
# Characters that could join a neighbour, each in its own way: a letter, an accent, the Japanese voicing mark, a joiner
# that the normaliser deletes (so that the candidates become adjacent), and punctuation.
_NEIGHBOURS = ("a", "\u0301", "\u3099", "\u200d", ".")
_AT_ONCE = 256


def isolated_characters(plain: Tokenizer) -> NDArray[np.int32]:
    """Return the table of all characters of the basic multilingual plane.

    BERT's normaliser puts spaces around each Chinese character, and its pre-tokenizer removes white space and isolates
    punctuation. Its other steps (deleting, decomposing, lower-casing) work on single characters; canonical ordering
    moves only combining marks, and never across a character of another kind. So the tokens on one side of an isolated
    character or of white space do not depend on the other side.

    Args:
        plain: A BERT tokenizer without added tokens, special tokens and truncation.

    Returns:
        By code point, ``(65536,)``: a token id, ``CUT`` or ``IN_RUN``.

    Source: Devlin et al. (2019), ``BasicTokenizer``, as tokenizers implements it in ``BertNormalizer`` and
    ``BertPreTokenizer``.
    """
    candidates = [code for first, last in _CANDIDATES for code in range(first, last + 1)]
    found = np.stack([_between(plain, candidates, neighbour) for neighbour in _NEIGHBOURS])
    table = np.full(_TABLE_SIZE, IN_RUN, np.int32)
    table[candidates] = np.where((found == found[0]).all(axis=0), found[0], IN_RUN)
    table[_separating(plain, [code for code in candidates if chr(code).isspace()])] = CUT
    return table


def _between(plain: Tokenizer, candidates: list[int], neighbour: str) -> NDArray[np.int64]:
    """Return the token of each candidate that is a word of its own between two ``neighbour``, else ``IN_RUN``."""
    groups = [candidates[start : start + _AT_ONCE] for start in range(0, len(candidates), _AT_ONCE)]
    texts = [neighbour + neighbour.join(map(chr, group)) + neighbour for group in groups]
    encodings = plain.encode_batch(texts, add_special_tokens=False)
    return np.concatenate([_alone(one, len(group)) for one, group in zip(encodings, groups, strict=True)])


def _alone(encoding: Encoding, n: int) -> NDArray[np.int64]:
    """Return the same as :func:`_between` for the ``n`` candidates at positions 1, 3, 5 … of one text."""
    spans = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    words = np.array([-1, *encoding.word_ids, -1], np.int64)  # -1 at both ends, so that every token has neighbours
    is_word = (words[1:-1] != words[:-2]) & (words[1:-1] != words[2:])
    is_candidate = (spans[:, 1] - spans[:, 0] == 1) & (spans[:, 0] % 2 == 1)
    chosen = is_word & is_candidate
    tokens = np.full(n, IN_RUN, np.int64)
    tokens[spans[chosen, 0] // 2] = np.array(encoding.ids, np.int64)[chosen]
    return tokens


def _separating(plain: Tokenizer, candidates: list[int]) -> list[int]:
    """Return the candidates that split the letters around them into two words and have no token themselves."""
    encodings = plain.encode_batch([f"a{chr(code)}a" for code in candidates], add_special_tokens=False)
    apart = [(0, (0, 1)), (1, (2, 3))]  # for each letter, its word and its place
    return [
        code
        for code, one in zip(candidates, encodings, strict=True)
        if list(zip(one.word_ids, one.offsets, strict=True)) == apart
    ]
