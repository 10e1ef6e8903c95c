"""A result keeps the titles of the table that it was trained with."""

from dataclasses import replace
from pathlib import Path

from patent_hier.data.titles import LABELS_FILE, load_titles
from patent_hier.inference.predictor import load_system
from patent_hier.pipeline.combine import combine
from patent_hier.pipeline.suite import train_suite
from patent_hier.report.results import save_suite
from patent_hier.settings import LevelSettings, Settings

TABLE = "code,level,title\nA,section,人类生活必需\nB,section,作业\nA01,class,农业（注）\nH01,class,电气\n"
TITLES = {"A": "人类生活必需", "B": "作业", "A01": "农业"}


def trained(settings: Settings, table: Path | None, seed: int = 1) -> Path:
    data = replace(settings.data, label_text=None if table is None else str(table), label_levels=["class"])
    suite = train_suite(replace(settings, data=data, level=LevelSettings("hier"), seed=seed), [])
    save_suite(suite)
    return suite.folder


def test_a_result_and_a_combination_keep_titles(settings: Settings, tmp_path: Path) -> None:
    table = tmp_path / "titles.csv"
    table.write_text(TABLE, "utf-8")
    with_titles, without = trained(settings, table), trained(settings, None)
    assert load_titles(with_titles) == TITLES
    assert load_system(with_titles).tree.titles == TITLES
    assert not (without / LABELS_FILE).exists()
    for suite in combine([without, with_titles], Path(settings.runs_dir), "both", Path(settings.cache_dir)):
        save_suite(suite)
        assert load_titles(suite.folder) == TITLES
