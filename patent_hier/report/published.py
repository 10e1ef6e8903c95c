"""The paper's numbers as data: one JSON file for each table or figure, with its source."""

import functools
import json
from pathlib import Path
from typing import Any

import patent_hier
from patent_hier.evaluation.aggregate import product_from_table
from patent_hier.taxonomy.symbols import SECTIONS

COLUMNS = ("L1", *SECTIONS, "L2", "overall")  # columns of Table 2; L2 is weighted by documents
COUNTERPARTS = {"BERT-CNN": "bertcnn", "CNN": "textcnn", "RNN": "rnn"}  # the paper's model -> ours, the best first


@functools.cache
def published(name: str) -> Any:
    """Return the content of ``table_1``, ``table_2`` or ``figure_6``.

    Source: Lu and Ni (2019), arXiv:1911.06241.
    """
    return json.loads((_folder() / f"{name}.json").read_text("utf-8"))


def published_cells(model: str) -> tuple[dict[str, float], tuple[float, float]]:
    """Return a row of the paper in percent as printed, and its last two columns recomputed from its own cells."""
    row = published("table_2")["models"][model]
    counts = {section: facts["documents"] for section, facts in published("table_1")["sections"].items()}
    local = {section: value / 100 for section, value in row["local"].items()}
    oracle, product = product_from_table(row["section"] / 100, local, counts)
    printed = {"L1": row["section"], **row["local"], "L2": row["oracle"], "overall": row["product"]}
    return printed, (100 * oracle, 100 * product)


def _folder() -> Path:
    """Return the folder of the data: in an installed package, or ``experiments/`` of a checkout."""
    package = Path(patent_hier.__file__).resolve().parent
    inside = package / "published"
    return inside if inside.is_dir() else package.parent / "experiments" / "published"
