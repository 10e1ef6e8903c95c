"""Titles of a system's labels for users: read from a table of the scheme and stored as ``labels.json``."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from patent_hier.atomic import read_json
from patent_hier.data.label_text import strip_notes
from patent_hier.errors import ArtifactError, DataError
from patent_hier.sanitize import one_line, shown
from patent_hier.taxonomy.names import LabelNames
from patent_hier.taxonomy.table import read_scheme
from patent_hier.taxonomy.tree import LabelTree

LABELS_FILE = "labels.json"
_LONGEST = 500  # characters of a title


def read_titles(table: Path, tree: LabelTree) -> dict[str, str]:
    """Read the titles of the labels of a tree from a table, without their notes.

    Args:
        table: Table of the scheme; see :func:`patent_hier.taxonomy.table.read_scheme`.
        tree: The labels.

    Raises:
        DataError: If the table cannot be used, or gives none of the labels a title.
    """
    known = read_scheme(table).titles
    titles = _shown((code, strip_notes(known[code])) for code in tree.codes.tolist() if code in known)
    if not titles:
        few = ", ".join(tree.codes[:3])
        raise DataError(
            f"{table} has no title for any label of the system, such as {few}; use the table of the right scheme"
        )
    return titles


def label_table(tree: LabelTree) -> dict[str, Any]:
    """Return all labels with their titles as JSON-compatible values, level by level, with siblings together.

    Returns:
        ``levels`` and ``labels``; each label has ``code``, ``level``, ``parent`` (the code above it, null at the first
        level) and, if known, ``title`` (from the user's table) and our short names ``zh`` and ``en``.
    """
    names, labels = LabelNames(tree), []
    for level in tree.levels:
        own = tree.span(level)
        for code, parent in zip(tree.codes[own], tree.names(tree.parents[own]), strict=True):
            labels.append({"code": code, "level": level, "parent": parent, **names.all_of(code)})
    return {"levels": list(tree.levels), "labels": labels}


def labels_json(tree: LabelTree) -> str:
    """Return the content of ``labels.json``: :func:`label_table` with one label per line."""
    content = label_table(tree)
    lines = ",\n".join(json.dumps(label, ensure_ascii=False) for label in content["labels"])
    return f'{{"levels": {json.dumps(content["levels"], ensure_ascii=False)}, "labels": [\n{lines}\n]}}\n'


def load_titles(folder: Path) -> dict[str, str]:
    """Return the titles in a folder's ``labels.json``, an untrusted file, by code; empty if the file is missing.

    Raises:
        ArtifactError: If the file has other content.
    """
    file = folder / LABELS_FILE
    content = read_json(file) if file.is_file() else {"labels": []}
    try:
        labels = content["labels"]
        return _shown((str(one["code"]), str(one.get("title", ""))) for one in labels)
    except (AttributeError, KeyError, TypeError) as error:
        raise ArtifactError(f"{file} is not a table of labels ({shown(error)}); export the model again") from error


def _shown(titles: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the non-empty titles, cut and escaped for a terminal."""
    return {code: one_line(title[:_LONGEST]) for code, title in titles if title}
