"""Convert raw CSV to clean Parquet as a good data engineer would with pandas.

The code reads only the necessary columns, drops broken rows, splits the symbols into labels, cleans the texts and drops
repeated numbers. A quote that is never closed swallows the rows up to the next quote.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from patent_hier.data.raw import PAPER_COLUMNS
from patent_hier.taxonomy.symbols import all_classes

_COLUMNS = {  # columns to read, and their names in the result, from which symbols and validity are dropped
    "application_number": "application_number", "publication_number": "document_id", "symbols": "symbols",
    "application_date": "application_date", "publication_date": "publication_date", "title": "title",
    "abstract": "text", "applicant": "applicant", "kind": "kind", "validity": "validity",
}  # fmt: skip
_SYMBOL = r"^([A-H][0-9]{2})([A-Z]) *([0-9]{1,4})(?:/([0-9]{2,6})|([0-9]{6}))"


def prepare_with_pandas(source: Path, target: Path) -> None:
    """Prepare a raw file."""
    names = {PAPER_COLUMNS[name]: column for name, column in _COLUMNS.items()}
    reading: dict[str, Any] = {"encoding": "gb18030", "encoding_errors": "replace", "on_bad_lines": "skip"}
    frame = pd.read_csv(source, dtype=str, na_filter=False, usecols=[*names], **reading).rename(columns=names)
    symbols = frame["symbols"].str.normalize("NFKC").str.upper()
    parts = symbols.str.extract(_SYMBOL).set_axis(["ipc_class", "letter", "main", "sub", "fixed"], axis=1)
    is_good = parts["ipc_class"].isin(all_classes()) & (frame["validity"] != "") & (frame["text"] != "")
    is_good &= ~frame["text"].str.contains("\ufffd", regex=False)
    frame, parts, symbols = frame[is_good], parts[is_good], symbols[is_good]
    subclass, sub = parts["ipc_class"] + parts["letter"], parts["sub"].fillna(parts["fixed"]).str.slice(0, 2)
    group = subclass + parts["main"].str.lstrip("0")
    result = frame.drop(columns=["symbols", "validity"]).assign(
        text=_clean(frame["text"]),
        title=_clean(frame["title"]),
        section=parts["ipc_class"].str.slice(0, 1),
        ipc_class=parts["ipc_class"],
        subclass=subclass,
        main_group=group + "/00",
        subgroup=(group + "/" + sub).where(sub != "00"),
        further_symbols=[field.split(";")[1:] for field in symbols],
        applicant=frame["applicant"].str.rstrip(";； "),
        application_date=pd.to_datetime(frame["application_date"], format="%Y.%m.%d", errors="coerce"),
        publication_date=pd.to_datetime(frame["publication_date"], format="%Y.%m.%d", errors="coerce"),
    )
    result[(result["text"] != "") & ~result["document_id"].duplicated()].to_parquet(target, index=False)


def _clean(texts: Iterable[str]) -> list[str]:
    """Normalise texts and their white space; this is faster than pandas's own methods."""
    return [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts]
