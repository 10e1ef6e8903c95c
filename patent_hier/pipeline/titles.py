"""Titles of a result's labels, from the table that its nodes or its members' nodes were trained with."""

from pathlib import Path

from patent_hier.atomic import read_yaml
from patent_hier.data.titles import load_titles, read_titles
from patent_hier.inference.nodes import CONFIG_FILE
from patent_hier.progress import say
from patent_hier.taxonomy.tree import LabelTree


def titles_of(node: Path, tree: LabelTree) -> dict[str, str]:
    """Return the titles of a system's labels, by code; empty without ``data.label_text``.

    Args:
        node: Folder of one of its nodes.
        tree: Its labels.

    Raises:
        DataError: If the table of titles cannot be used.
    """
    config = read_yaml(node / CONFIG_FILE)
    if "members" in config:  # an ensemble
        known = [load_titles(Path(member["result"])) for member in config["members"]]
        return {code: title for titles in reversed(known) for code, title in titles.items()}
    table = config["data"]["label_text"]
    if table is None:
        return {}
    if not Path(table).is_file():
        say(f"note: {table} no longer exists, so the result has no titles; give them with --titles FILE")
        return {}
    return read_titles(Path(table), tree)
