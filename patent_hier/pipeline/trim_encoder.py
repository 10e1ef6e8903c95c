"""Trim an encoder's vocabulary to the word pieces that given texts need, so that its folder becomes smaller."""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import file_digest, refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.errors import ConfigError, DataError
from patent_hier.features.passages import is_held_out, read_passages
from patent_hier.features.pretrained import CONFIG, TOKENIZER, TOKENIZER_CONFIG, EncoderFiles, locate
from patent_hier.features.special_tokens import token_names
from patent_hier.features.text_digests import DIGESTS_FILE
from patent_hier.features.trimming import Vocabulary
from patent_hier.features.wordpiece import load_tokenizer
from patent_hier.pipeline.encoder_manifest import ENCODER_KIND
from patent_hier.pipeline.environment import describe_environment
from patent_hier.pipeline.text_read import digest_facts
from patent_hier.progress import say
from patent_hier.regular_files import read_regular
from patent_hier.settings import EncoderSettings

_HELD_OUT = 0.01  # share of the lines, for measuring unknown tokens on other text
_MOST_README = 1 << 20  # bytes
_LICENCE = re.compile(r"\A---\r?\n(?:.*\r?\n)*?license:[ \t]*([\w.+-]+)[ \t]*\r?\n")  # a hub page's header
_LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.md")
WriteCard = Callable[[Path, dict[str, Any]], None]


@dataclass(frozen=True)
class OtherText:
    """The cost of trimming on other text: held-out lines, tokenised with the pieces of the remaining lines.

    Attributes:
        lines: Number of held-out lines.
        tokens: Tokens from the original encoder.
        trimmed_tokens: Tokens from the trimmed encoder.
        unknown: Unknown tokens from the original encoder.
        trimmed_unknown: Unknown tokens from the trimmed encoder.
    """

    lines: int
    tokens: int
    trimmed_tokens: int
    unknown: int
    trimmed_unknown: int

    def in_words(self) -> str:
        """Return the cost in one sentence."""
        if not self.tokens:
            return "There are too few lines to hold some out, so the loss on other text is unknown."
        return (
            f"On {self.lines:,} held-out lines, with the pieces of the other lines: "
            f"{self.trimmed_unknown / max(1, self.trimmed_tokens):.3%} of the tokens are unknown (before: "
            f"{self.unknown / self.tokens:.3%}), and there are {self.trimmed_tokens / self.tokens - 1:.2%} more tokens."
        )


@dataclass(frozen=True)
class _Counted:
    """Counts of pieces, ``(n,)``, in all lines and in those not held out; number of lines; the held-out lines."""

    all: NDArray[np.int64]
    shown: NDArray[np.int64]
    lines: int
    held_out: list[str]


def trim_encoder(
    source: str, texts: Sequence[Path], target: Path, min_count: int, half: bool, write_card: WriteCard
) -> OtherText:
    """Write an encoder with a smaller vocabulary to a folder.

    Args:
        source: Folder or hub name of an encoder.
        texts: Files as :func:`patent_hier.features.passages.read_passages` reads them.
        target: New or empty folder, or an encoder's folder written by this package, which is replaced as a whole.
        min_count: Occurrences that a piece needs to be kept.
        half: Whether to write the weights in float16.
        write_card: Function that writes the card into the folder, from the manifest.

    Raises:
        ConfigError: If the encoder, its tokenizer or the target cannot be used.
        DataError: If a text cannot be read, or all are empty.
    """
    with exclusive(target):
        refuse_foreign(target, ENCODER_KIND)
        files = _locate(source)
        tokenizer = load_tokenizer(files, 512)
        tokenizer.no_truncation()
        vocabulary = Vocabulary(tokenizer)
        names = token_names(tokenizer, files.folder)
        counted = _count(vocabulary, texts)
        kept, changed = _checked(vocabulary, vocabulary.needed(counted.all, min_count, names.values()), texts)
        shown = vocabulary.needed(counted.shown, min_count, names.values())
        other = _other_text(vocabulary, shown, counted.held_out)
        facts = {
            "source": Path(source).name if Path(source).is_dir() else source,
            "licence": _licence(files.folder),
            "pieces": {"before": len(kept), "after": int(kept.sum())},
            "texts": [{"file": f.name, "bytes": f.stat().st_size, "sha256": file_digest(f)} for f in texts],
            "lines": {"all": counted.lines, "changed": changed},
            "min_count": min_count,
            "half": half,
            "other_text": asdict(other),
        }
        with atomic_folder(target) as staging:
            _write(staging, files, vocabulary, kept, names, half)
            manifest = {"kind": ENCODER_KIND, "name": target.name, "trimmed": facts, **digest_facts(files.folder)}
            manifest["environment"] = describe_environment()
            write_card(staging, manifest)
            seal(staging, manifest)
    same = f"{counted.lines - changed:,} of {counted.lines:,} lines have the same tokens as before"
    say(f"{int(kept.sum()):,} of {len(kept):,} pieces kept; {same}")
    say(other.in_words())
    return other


def _write(
    staging: Path,
    files: EncoderFiles,
    vocabulary: Vocabulary,
    kept: NDArray[np.bool_],
    names: dict[str, str],
    half: bool,
) -> None:
    """Write weights, configuration and tokenizer; copy licences and text digests unchanged."""
    from patent_hier.models.trimming import trim_weights, trimmed_config  # imported late: loading torch takes seconds

    cut, new_ids = vocabulary.cut(kept)
    trim_weights(files, kept, half, staging)
    write_json(staging / CONFIG, trimmed_config(files.config, new_ids, half))
    cut.save(str(staging / TOKENIZER), pretty=False)
    write_json(staging / TOKENIZER_CONFIG, _tokenizer_config(files.folder, names))
    for name in (*_LICENCE_FILES, DIGESTS_FILE):
        if (files.folder / name).is_file():
            shutil.copyfile(files.folder / name, staging / name)


def _locate(source: str) -> EncoderFiles:
    """Return the encoder's files; error messages name this command's argument."""
    try:
        return locate(EncoderSettings("source", source, max_length=1), Path())
    except ConfigError as error:
        raise ConfigError(str(error).replace("encoder.path", "FOLDER")) from error


def _count(vocabulary: Vocabulary, texts: Sequence[Path]) -> _Counted:
    """Count pieces in one pass over the texts.

    Raises:
        DataError: If the texts are empty.
    """
    size, lines = len(vocabulary.pieces), 0
    every, shown = np.zeros(size, np.int64), np.zeros(size, np.int64)
    held_out: list[str] = []
    for batch in read_passages(texts):
        lines += len(batch)
        for text, ids in zip(batch, vocabulary.encode(batch), strict=True):
            np.add.at(every, ids, 1)
            if is_held_out(text, _HELD_OUT):
                held_out.append(text)
            else:
                np.add.at(shown, ids, 1)
    if not lines:
        raise DataError(f"{', '.join(map(str, texts)) or 'the text'} has no lines; give texts like those to classify")
    return _Counted(every, shown, lines, held_out)


def _checked(vocabulary: Vocabulary, kept: NDArray[np.bool_], texts: Sequence[Path]) -> tuple[NDArray[np.bool_], int]:
    """Trim the vocabulary and compare it with the old one on all texts, before anything is written.

    WordPiece may fail to split a word because of a misleading piece, and succeed once that piece is gone. All pieces
    of a line with such a word are kept.

    Returns:
        The kept pieces, possibly more than given, and the number of lines whose tokens change because a piece is rare.

    Raises:
        ConfigError: If the tokens of a line change although all its pieces are kept.
    """
    for attempt in range(2):
        cut, new_ids = vocabulary.cut(kept)
        changed, wrong = 0, []
        for batch in read_passages(texts):
            now = cut.encode_batch_fast(batch, add_special_tokens=False)
            for text, before, after in zip(batch, vocabulary.encode(batch), now, strict=True):
                expected = new_ids[before]
                if (expected < 0).any():
                    changed += 1
                elif expected.tolist() != after.ids:
                    wrong.append(text)
        if not wrong:
            return kept, changed
        if attempt == 0:
            kept = vocabulary.with_all_pieces_of(kept, wrong)
    raise ConfigError(
        f"{len(wrong)} lines would get other tokens with fewer pieces, such as {wrong[0][:40]!r}; this encoder cannot "
        "be trimmed"
    )


def _other_text(vocabulary: Vocabulary, kept: NDArray[np.bool_], lines: list[str]) -> OtherText:
    cut, new_ids = vocabulary.cut(kept)
    before = [number for ids in vocabulary.encode(lines) for number in ids]
    after = [number for one in cut.encode_batch_fast(lines, add_special_tokens=False) for number in one.ids]
    unknown = vocabulary.unknown
    if unknown is None:
        return OtherText(len(lines), len(before), len(after), 0, 0)
    return OtherText(len(lines), len(before), len(after), before.count(unknown), after.count(int(new_ids[unknown])))


def _tokenizer_config(folder: Path, names: dict[str, str]) -> dict[str, Any]:
    """Return what ``tokenizer.json`` lacks: the names of special tokens and the maximum input length."""
    file = folder / TOKENIZER_CONFIG
    before = read_json(file) if file.is_file() else {}
    longest = before.get("model_max_length") if isinstance(before, dict) else None
    length = {"model_max_length": longest} if isinstance(longest, int) else {}
    return {"tokenizer_class": "PreTrainedTokenizerFast", **names, **length}


def _licence(folder: Path) -> str | None:
    """Return the licence named in the header of an encoder's page."""
    page = folder / "README.md"
    text = read_regular(page, _MOST_README).decode("utf-8", "replace") if page.is_file() else ""
    found = _LICENCE.match(text)
    return found[1] if found else None
