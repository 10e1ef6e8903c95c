"""All symbols of a document by its title, on a benchmark with given folds and with further titles to learn from.

    python experiments/several_symbols.py TITLES.csv --test "fold 4" --more GAZETTE.csv --encoder FOLDER

TITLES.csv and the files of ``--more`` have the paper's 16 columns (README, "Your data"). The column ``--column`` of
TITLES.csv (the default is 法律状态) names each document's fold; the folds of ``--test`` are the test part. Of the other
folds 8 % of the documents choose (``val``), and 12 % decide from which probability on a symbol is named
(``calibration``), both by a hash of the publication number; the rest trains, with all documents of ``--more``. A
document of ``--more`` that has a test document's title or publication number is left out. What follows ``--`` goes to
``patent-hier ensemble``.
"""

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

import pandas as pd

ID, TITLE = "公开号", "专利名称"
VAL, CALIBRATION = 0.08, 0.12
MEMBERS = "data.labels=all data.depth=subclass data.min_symbol=subclass trainer.max_epochs=3"


def main(words: list[str]) -> int:
    """Write the corpus and its parts, then train and combine; the exit status of ``patent-hier ensemble``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("titles", type=Path)
    parser.add_argument("--test", nargs="+", required=True, help="folds that are tested on")
    parser.add_argument("--column", default="法律状态", help="column of the folds")
    parser.add_argument("--more", nargs="*", type=Path, default=[], help="further files to learn from")
    parser.add_argument("--encoder", type=Path, help="folder of an encoder; the default is the built-in one")
    parser.add_argument("--output", type=Path, default=Path("runs/several-symbols"))
    at = words.index("--") if "--" in words else len(words)
    options, overrides = parser.parse_args(words[:at]), words[at + 1 :]
    corpus, parts = assemble(read(options.titles), [read(path) for path in options.more], options.column, options.test)
    options.output.mkdir(parents=True, exist_ok=True)
    corpus.to_csv(options.output / "corpus.csv", index=False, encoding="gb18030")
    parts.to_csv(options.output / "parts.csv", index=False)
    print(parts["part"].value_counts().to_string(header=False), flush=True)
    encoder = [] if options.encoder is None else ["encoder=folder", f"encoder.path={options.encoder}"]
    given = {word.partition("=")[0] for word in overrides}
    members = [word for word in MEMBERS.split() if word.partition("=")[0] not in given]
    data = [f"data.path={options.output / 'corpus.csv'}", f"split.path={options.output / 'parts.csv'}"]
    command = [sys.executable, "-m", "patent_hier", "ensemble", "data=gazette", "split=file", *data, *members]
    command += [*encoder, f"runs_dir={options.output}", *overrides]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own program


def read(path: Path) -> pd.DataFrame:
    """All columns of a file as text."""
    return pd.read_csv(path, encoding="gb18030", encoding_errors="replace", dtype=str, keep_default_na=False)


def assemble(
    titles: pd.DataFrame, more: list[pd.DataFrame], column: str, test: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The corpus, and each document's part.

    Args:
        titles: The benchmark.
        more: Further documents to learn from.
        column: The benchmark's column of folds.
        test: Folds of the test part.

    Raises:
        SystemExit: If no document is in the test part.
    """
    is_test = titles[column].isin(test)
    if not is_test.any():
        known = ", ".join(sorted(titles[column].unique())[:10])
        raise SystemExit(f"error: no document has {' or '.join(test)} in {column}; it has {known}")
    held_out = titles[is_test]
    seen_titles, seen_ids = set(map(plain, held_out[TITLE])), set(held_out[ID])
    others = pd.concat([titles[~is_test], *more])
    leaks = others[TITLE].map(plain).isin(seen_titles) | others[ID].isin(seen_ids)
    print(f"left out, for their title or number is a test document's: {int(leaks.sum())}", flush=True)
    corpus = pd.concat([held_out, others[~leaks]])
    unnamed = (corpus[ID] == "") | (corpus[TITLE].map(plain) == "")
    print(f"left out, for they have no {ID} or no {TITLE}: {int(unnamed.sum())}", flush=True)
    corpus = corpus[~unnamed].drop_duplicates(ID)
    benchmark = set(titles[ID])
    parts = [part_of(name, name in seen_ids, name in benchmark) for name in corpus[ID]]
    return corpus, pd.DataFrame({ID: corpus[ID].to_numpy(), "part": parts})


def plain(title: str) -> str:
    """A title without white space."""
    return "".join(title.split())


def part_of(name: str, is_test: bool, is_benchmark: bool) -> str:
    """The part of a document."""
    if is_test:
        return "test"
    share = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32
    if not is_benchmark or share >= VAL + CALIBRATION:
        return "train"
    return "val" if share < VAL else "calibration"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
