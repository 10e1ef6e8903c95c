"""The benchmark's recipe: what trains, what is tested on, what is left out."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

FILE = Path(__file__).parents[2] / "experiments" / "several_symbols.py"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("several_symbols", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["公开号", "专利名称", "法律状态"])


def test_no_title_or_number_of_a_test_document_trains(recipe: ModuleType) -> None:
    titles = rows(("CN1", "一种 锄", "fold 1"), ("CN2", "一种犁", "fold 2"), ("CN3", "一种锄", "fold 2"))
    leaks = [("CN4", "一种犁", "有效"), ("CN2", "别的", "有效")]
    more = rows(*leaks, ("CN5", "一种耙", ""), ("", "一种镰", ""), ("CN6", " ", ""))
    corpus, parts = recipe.assemble(titles, [more], "法律状态", ["fold 2"])
    assert parts.set_index("公开号")["part"].to_dict() == {"CN2": "test", "CN3": "test", "CN5": "train"}
    assert corpus["公开号"].tolist() == parts["公开号"].tolist()


def test_only_the_benchmarks_own_documents_choose(recipe: ModuleType) -> None:
    titles = rows(*((f"CN{i}", f"题{i}", "fold 2" if i % 4 == 0 else "fold 1") for i in range(2000)))
    more = rows(*((f"US{i}", f"别{i}", "") for i in range(500)))
    _, parts = recipe.assemble(titles, [more], "法律状态", ["fold 2"])
    part = parts.set_index("公开号")["part"]
    assert set(part[part.index.str.startswith("US")]) == {"train"}
    shares = part[part.index.str.startswith("CN") & (part != "test")].value_counts(normalize=True)
    assert shares["val"] == pytest.approx(0.08, abs=0.02)
    assert shares["calibration"] == pytest.approx(0.12, abs=0.02)
    assert (part == "test").sum() == 500


def test_an_unknown_fold_is_refused(recipe: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no document has fold 9 in 法律状态; it has fold 1"):
        recipe.assemble(rows(("CN1", "一种锄", "fold 1")), [], "法律状态", ["fold 9"])
