import json

import pytest

from tests.commands import command, write_csv


@pytest.fixture
def raw(tmp_path):
    return write_csv(tmp_path / "raw.csv", {"A01B1/00": 12, "B60K1/00": 8, "xx": 1})


def test_prepare_makes_the_corpus_once(raw, tmp_path):
    words = ("prepare", "data=gazette", f"data.path={raw}", f"cache_dir={tmp_path / 'cache'}")
    outcome = command(*words)
    assert (outcome.status, outcome.err) == (0, "")
    assert "malformed_symbol" in outcome.out
    assert "corpus of 20 documents in 2 classes, 21 rows" in outcome.out
    (folder,) = (tmp_path / "cache" / "corpora").glob("gazette-*")
    assert {"corpus.parquet", "rejects.csv", "manifest.json"} == {path.name for path in folder.iterdir()}
    facts = json.loads((folder / "manifest.json").read_text("utf-8"))["accounting"]
    assert facts["rows"] == 21
    again = command(*words)
    assert again.out.splitlines() == [outcome.out.splitlines()[-1]]


def test_check_writes_nothing(raw, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    words = ("prepare", "--check", "data=gazette", f"data.path={raw}", f"cache_dir={tmp_path / 'cache'}")
    outcome = command(*words)
    assert outcome.status == 0, outcome
    assert "malformed_symbol" in outcome.out
    assert sorted(tmp_path.rglob("*")) == before


def test_too_many_rejects_stop_it(raw, tmp_path):
    words = ("data=gazette", f"data.path={raw}", "data.max_reject_share=0.01", f"cache_dir={tmp_path / 'cache'}")
    for flags in ([], ["--check"]):
        outcome = command("prepare", *flags, *words)
        assert outcome.status == 1
        assert outcome.err.startswith(f"error: {raw}: ")
        assert outcome.err.count("\n") == 1
        assert "data.max_reject_share" in outcome.err


def test_own_column_names(tmp_path):
    raw = write_csv(tmp_path / "raw.csv", {"A01B1/00": 5})
    raw.write_bytes(raw.read_bytes().replace("专利名称".encode("gb18030"), "名称".encode("gb18030")))
    words = ("prepare", "data=gazette", f"data.path={raw}", f"cache_dir={tmp_path / 'cache'}", "data.text=[名称]")
    for columns in ("data.columns={title: 名称}", "data.columns.title=名称"):
        outcome = command(*words, columns)
        assert outcome.status == 0, outcome
        assert "corpus of 5 documents" in outcome.out
