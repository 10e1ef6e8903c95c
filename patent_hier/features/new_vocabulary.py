"""Build a vocabulary for a new encoder: Chinese characters, and word pieces for Latin letters, digits and units."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from patent_hier.errors import ConfigError, DataError
from patent_hier.features.pretrained import TOKENIZER, TOKENIZER_CONFIG, VOCABULARY
from patent_hier.features.vocabulary import CONTINUATION, SPECIAL_TOKENS
from patent_hier.regular_files import read_regular
from patent_hier.sanitize import reason

_MOST_BYTES = 1 << 26  # size limit of a vocabulary file


def build_vocabulary(batches: Callable[[], Iterable[list[str]]], size: int, min_count: int) -> list[str]:
    """Return the tokens of a vocabulary; a token's position is its id.

    Every Chinese character is a word of its own, so only Latin letters, digits and units are merged. The same text
    always gives the same vocabulary, in the same order.

    Args:
        batches: Function that yields lists of passages, from the start at each call; it is called two or three times.
        size: Largest number of tokens. Every character of the text becomes a token; if there are too many, the most
            frequent ones do, and ties are broken by code point.
        min_count: Occurrences that two adjacent pieces need to be merged into one.

    Returns:
        Special tokens first (``[PAD]`` is 0), then characters within words (``##x``), then characters, then word
        pieces in the order of their merges.

    Raises:
        DataError: If the text has no characters.

    Source: Devlin et al. (2019), section 3; WordPiece as trained by the tokenizers library.
    """
    known = _learn(batches(), len(SPECIAL_TOKENS), min_count, [], [])  # characters only: no room for merges
    characters = sorted(token for token in known if len(token) == 1)
    inside = {token[-1] for token in known if len(token) == len(CONTINUATION) + 1 and token.startswith(CONTINUATION)}
    if not characters:
        raise DataError("the text has no characters to build a vocabulary from; check the text files")
    if len(SPECIAL_TOKENS) + len(characters) + len(inside) > size:
        characters = _most_frequent(characters, inside, batches(), size - len(SPECIAL_TOKENS))
    # The library numbers characters within words in no fixed order, and breaks ties between merges by number. Passing
    # them in fixes their numbers.
    first = sorted(CONTINUATION + character for character in inside.intersection(characters))
    learnt = _learn(batches(), size, min_count, first, characters)
    words = sorted((token for token in learnt if token not in SPECIAL_TOKENS), key=lambda token: learnt[token])
    return [*SPECIAL_TOKENS, *words]


def _most_frequent(characters: list[str], inside: set[str], batches: Iterable[list[str]], room: int) -> list[str]:
    """Return as many characters as there is room for; a character that also occurs within words takes two places."""
    normalizer = BertWordPieceTokenizer(lowercase=True).normalizer
    counts: Counter[str] = Counter()
    for texts in batches:
        counts.update(normalizer.normalize_str("\n".join(texts)))
    kept = []
    for character in sorted(characters, key=lambda one: (-counts[one], one)):
        room -= 1 + (character in inside)
        if room < 0:
            break
        kept.append(character)
    return sorted(kept)


def _learn(
    batches: Iterable[list[str]], size: int, min_count: int, first: list[str], alphabet: list[str]
) -> dict[str, int]:
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(
        (iter(texts) for texts in batches),
        vocab_size=size,
        min_frequency=min_count,
        limit_alphabet=len(alphabet) or sys.maxunicode,
        initial_alphabet=alphabet,
        special_tokens=[*SPECIAL_TOKENS, *first],
        wordpieces_prefix=CONTINUATION,
        show_progress=False,
    )
    return tokenizer.get_vocab()


def read_vocabulary(path: Path) -> list[str]:
    """Read the tokens of a ``vocab.txt``.

    Raises:
        ConfigError: If it cannot be read, lacks a special token, does not begin with ``[PAD]``, or lists a token twice.
    """
    try:
        tokens = (
            read_regular(path, _MOST_BYTES).decode("utf-8").removesuffix("\n").split("\n")
        )  # splitlines would split at U+2028 too
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"vocabulary.path={path} cannot be read ({reason(error)}); use a vocab.txt") from error
    if missing := [token for token in SPECIAL_TOKENS if token not in tokens]:
        raise ConfigError(f"vocabulary.path={path} lacks {', '.join(missing)}; add one line for each")
    if tokens[0] != SPECIAL_TOKENS[0]:
        raise ConfigError(f"vocabulary.path={path} begins with {tokens[0]}; make {SPECIAL_TOKENS[0]} its first line")
    if repeated := next((token for token, count in Counter(tokens).items() if count > 1), None):
        raise ConfigError(f"vocabulary.path={path} lists {repeated} more than once; remove the duplicate")
    return tokens


def write_tokenizer(folder: Path, vocabulary: list[str], max_positions: int) -> None:
    """Write ``tokenizer.json``, ``vocab.txt`` and ``tokenizer_config.json`` of a lower-casing BERT tokenizer."""
    tokens = {token: number for number, token in enumerate(vocabulary)}
    BertWordPieceTokenizer(tokens, lowercase=True).save(str(folder / TOKENIZER))
    (folder / VOCABULARY).write_text("\n".join(vocabulary) + "\n", "utf-8")
    facts = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": max_positions}
    (folder / TOKENIZER_CONFIG).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
