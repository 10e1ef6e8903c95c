import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from patent_hier.atomic import read_json
from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import CALIBRATION, NO_PART, PARTS, TEST
from patent_hier.errors import DataError
from patent_hier.features.pretrained import locate
from patent_hier.features.token_store import TokenStore
from patent_hier.pipeline.feature_stages import ensure_tokens
from patent_hier.pipeline.stages import (
    calibration_groups,
    ensure_corpus,
    ensure_split,
    load_parts,
    raw_files,
    raw_format,
    split_plan,
)
from patent_hier.settings import DemoDataSettings
from tests.commands import write_csv


@pytest.fixture
def cache(settings):
    return Path(settings.cache_dir)


def test_raw_format_takes_every_setting(changed):
    data = changed(
        "data", columns={"title": "名称"}, encoding="utf-8", edition="2017", max_reject_share=0.1, min_symbol="subclass"
    ).data
    fmt = raw_format(data)
    assert fmt.header_names["title"] == "名称"
    assert (fmt.text, fmt.encoding, fmt.edition) == (("摘要",), "utf-8", "2017")
    assert (fmt.min_symbol, fmt.max_reject_share) == ("subclass", 0.1)


def test_demo_file_is_generated_once(cache, capsys):
    data = DemoDataSettings("demo", rows=300)
    (path,) = raw_files(data, cache)
    stamp = path.stat().st_mtime_ns
    assert "300 documents" in capsys.readouterr().out
    assert raw_files(data, cache) == [path]
    assert path.stat().st_mtime_ns == stamp
    assert capsys.readouterr().out == ""
    assert raw_files(DemoDataSettings("demo", rows=300, seed=1), cache) != [path]


def test_interrupted_demo_file_leaves_nothing(cache, monkeypatch):
    def write(path, rows, seed):
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr("patent_hier.pipeline.stages.write_demo_csv", write)
    with pytest.raises(KeyboardInterrupt):
        raw_files(DemoDataSettings("demo", rows=300), cache)
    assert [path.name for path in (cache / "demo").iterdir() if path.is_file()] == []


def test_stages_are_made_once_and_reported(settings, cache, capsys):
    corpus = ensure_corpus(settings.data, cache)
    split = ensure_split(corpus, split_plan(settings.split), cache)
    files = locate(settings.encoder, cache)
    tokens = ensure_tokens(corpus, files, 32, cache)
    said = capsys.readouterr().out
    assert "rows of" in said
    assert "= kept" in said
    assert "split by policy random" in said
    stamps = {
        path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file() and ".locks" not in path.parts
    }
    assert ensure_corpus(settings.data, cache).folder == corpus.folder
    assert ensure_split(corpus, split_plan(settings.split), cache) == split
    assert ensure_tokens(corpus, files, 32, cache) == tokens
    assert capsys.readouterr().out == ""
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps

    store = TokenStore.open(tokens)
    assert len(store) == corpus.size == 160
    assert store.lengths.max() <= 32
    parts = load_parts(corpus, split)
    assert parts.shape == (160,)
    assert np.bincount(parts).tolist() == pytest.approx([122, 14, 7, 16], abs=6)  # 10 % test; 10 % and 5 % of the rest


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest"])
def test_damaged_corpus_is_made_again_and_says_so(damage, settings, cache, capsys):
    folder = ensure_corpus(settings.data, cache).folder
    file = folder / ("manifest.json" if damage == "manifest" else "corpus.parquet")
    content = (folder / "corpus.parquet").read_bytes()
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-40])
    capsys.readouterr()
    assert ensure_corpus(settings.data, cache).size == 160
    assert f"{folder} is damaged; it is rebuilt" in capsys.readouterr().out
    assert (folder / "corpus.parquet").read_bytes() == content


def test_the_limit_of_rejects_holds_for_a_corpus_that_is_there(changed, cache, tmp_path, capsys):
    raw = write_csv(tmp_path / "bad.csv", {"A01B1/00": 30, "B60K1/00": 30, "X": 30})
    mild, strict = (replace(changed().data, path=str(raw), max_reject_share=share) for share in (0.9, 0.2))
    with pytest.raises(DataError, match="malformed_symbol 30"):
        ensure_corpus(strict, cache)
    assert "malformed_symbol" in capsys.readouterr().out  # the accounting is printed all the same
    assert ensure_corpus(mild, cache).size == 60
    with pytest.raises(DataError, match="malformed_symbol 30"):
        ensure_corpus(strict, cache)


def test_failed_stage_leaves_nothing(changed, cache):
    data = changed("data", text=["没有"]).data
    with pytest.raises(DataError, match="没有"):
        ensure_corpus(data, cache)
    assert not [path for path in (cache / "corpora").iterdir() if path.name != ".locks"]


def test_raw_files_may_go_once_its_corpus_is_there(settings, cache):
    folder = ensure_corpus(settings.data, cache).folder
    shutil.copytree(folder, cache / "elsewhere")
    assert Corpus.open(cache / "elsewhere").size == 160


def test_small_classes_are_reported(settings, cache, tmp_path, capsys):
    raw = write_csv(tmp_path / "small.csv", {"A01B1/00": 60, "B60K1/00": 1})
    corpus = ensure_corpus(replace(settings.data, path=str(raw)), cache)
    ensure_split(corpus, split_plan(settings.split), cache)
    assert "1 class with too few documents for every part: B60" in capsys.readouterr().out


@pytest.mark.parametrize("shared", [True, False])
def test_a_split_by_applicant_without_applicants_says_so(settings, cache, tmp_path, capsys, shared):
    raw = write_csv(tmp_path / "some.csv", {"A01B1/00": 40})
    if not shared:
        raw.write_text(re.sub(r"公司\d", "个人", raw.read_text("gb18030")), "gb18030")
    corpus = ensure_corpus(replace(settings.data, path=str(raw)), cache)
    ensure_split(corpus, split_plan(replace(settings.split, policy="applicant")), cache)
    assert ("the split by applicant is random" in capsys.readouterr().out) is not shared


def given_file(folder, corpus, left_out=0):
    """Every tenth document is in test, the last ones are not listed, and one belongs to another corpus."""
    ids = corpus.document_ids.to_pylist()
    rows = [f"{name},{'test' if place % 10 == 0 else 'train'}" for place, name in enumerate(ids[: len(ids) - left_out])]
    path = folder / "parts.csv"
    path.write_text("\n".join(["id,part", *rows, "US1234567B2,test"]), "utf-8")
    return path


def test_a_split_by_file_says_what_became_of_every_row(settings, cache, tmp_path, capsys):
    corpus = ensure_corpus(settings.data, cache)
    path = given_file(tmp_path, corpus, left_out=10)
    plan = split_plan(replace(settings.split, policy="file", path=str(path), unlisted="drop"))
    capsys.readouterr()
    split = ensure_split(corpus, plan, cache)
    parts = load_parts(corpus, split)
    counts = {name: int((parts == code).sum()) for code, name in enumerate(PARTS)}
    assert (counts["test"], (parts == NO_PART).sum()) == (15, 10)
    assert capsys.readouterr().out.splitlines()[:5] == [
        f"split by policy file: train {counts['train']}, val {counts['val']}, calibration {counts['calibration']}, "
        "test 15 documents",
        f"{path} lists 151 documents: train 135, test 16",
        "1 of them are not in the corpus (rejected rows, designs, duplicates, or documents of another file): test 1",
        "10 documents of the corpus are not listed; they are left out",
        f"taken from the 135 documents of train for parts that are not given: val {counts['val']}, "
        f"calibration {counts['calibration']}",
    ]
    facts = read_json(split / "manifest.json")["given"]
    assert (facts["unlisted"], facts["dropped"], facts["absent"]["test"]) == (10, True, 1)
    moved = path.rename(tmp_path / "moved.csv")
    assert ensure_split(corpus, replace(plan, path=str(moved)), cache) == split
    moved.write_text(moved.read_text("utf-8").replace("US1234567B2", "US7654321B2"), "utf-8")
    assert ensure_split(corpus, replace(plan, path=str(moved)), cache) != split


def test_a_missing_file_of_parts_shows_before_anything_is_read(settings):
    with pytest.raises(DataError, match=r"^split.path=no.csv is not a file"):
        split_plan(replace(settings.split, policy="file", path="no.csv"))


def test_a_column_has_one_split_whatever_it_is_called(settings, cache, tmp_path):
    raw = write_csv(tmp_path / "raw.csv", {"A01B1/00": 90})
    corpus = ensure_corpus(replace(settings.data, path=str(raw)), cache)
    folders = {
        ensure_split(
            corpus, split_plan(replace(settings.split, policy="file", column=name, test_values=["公司3"])), cache
        )
        for name in ("applicant", "申请（专利权）人", "申请(专利权)人")
    }
    parts = load_parts(corpus, folders.pop())
    assert not folders
    assert ((parts == TEST) == (corpus.column("applicant").to_numpy() == "公司3")).all()


def test_calibration_documents_that_a_split_keeps_together(settings, cache, tmp_path):
    raw = write_csv(tmp_path / "raw.csv", {"A01B1/00": 90})
    corpus = ensure_corpus(replace(settings.data, path=str(raw)), cache)
    applicants = corpus.column("applicant").to_numpy()
    by_applicant, alone = (
        ensure_split(corpus, split_plan(replace(settings.split, policy=policy, calibration=0.4)), cache)
        for policy in ("applicant", "random")
    )
    assert calibration_groups(corpus, alone) is None
    groups, of_it = calibration_groups(corpus, by_applicant), load_parts(corpus, by_applicant) == CALIBRATION
    assert (groups[~of_it] == -1).all()
    pairs = set(zip(groups[of_it].tolist(), applicants[of_it].tolist(), strict=True))
    assert len(pairs) == len({name for _, name in pairs}) == len({group for group, _ in pairs}) > 1
