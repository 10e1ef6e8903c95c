"""Compare the conversion of raw CSV to clean Parquet with pandas, in new processes on the same generated file."""

import tempfile
from pathlib import Path
from statistics import median

import pandas as pd

from benchmarks.speed.rows import Row, rate_row
from benchmarks.speed.stages import CORPUS, PEER_FILE, run_stage, write_raw_csv
from patent_hier.data.corpus import CORPUS_FILE

LABELS = ["section", "ipc_class", "subclass", "main_group", "subgroup"]
_MEMORY = 0.5  # upper limit of our peak memory, as a share of the peer's


def prepare_row(rows: int, repeats: int) -> Row:
    """Prepare a file of about ``rows`` rows with both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = write_raw_csv(folder, rows)
        runs = [[run_stage(stage, folder) for stage in ("prepare", "peer")] for _ in range(repeats)]
        both = agreement(folder / CORPUS / CORPUS_FILE, folder / PEER_FILE)
    ours, peer = (median(run["peak_bytes"] for run in column) for column in zip(*runs, strict=True))
    # The peer loses rows after an unclosed quote and may therefore keep fewer; the rows that it keeps must agree.
    agrees = ours <= _MEMORY * peer and len(set(both.values())) == 1
    facts = {"memory_ratio": ours / peer, "documents": runs[0][0]["documents"], **both}
    rounds = [[run["seconds"] for run in pair] for pair in runs]
    work = f"raw CSV to Parquet, {written:,} rows, generated"
    return rate_row(work, "rows", written, rounds, "pandas", target=2.0, agrees=agrees, facts=facts)


def agreement(ours: Path, peer: Path) -> dict[str, int]:
    """Count the documents that two Parquet files have in common, by id, and those with equal labels and equal text."""
    columns = ["document_id", "text", *LABELS]
    frames = [pd.read_parquet(file, columns=columns).astype(object).fillna("") for file in (ours, peer)]
    first, second = (frame.set_index("document_id") for frame in frames)
    first, second = first.align(second, join="inner", axis=0)
    same = first == second
    labels, text = int(same[LABELS].all(axis=1).sum()), int(same["text"].sum())
    return {"documents_of_both": len(same), "same_labels": labels, "same_text": text}
