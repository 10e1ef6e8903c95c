"""A corpus in a new edition: every document follows its symbol, keeps its part, or is left out and counted."""

from pathlib import Path

import numpy as np
import pytest

from patent_hier.artifacts import find_damage, seal
from patent_hier.data.corpus import Corpus, prepare
from patent_hier.data.migrating import Chooser, migrate_corpus, migrate_split
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat
from patent_hier.data.splits import NO_PART, TEST, TRAIN, VAL, load, save
from patent_hier.errors import DataError
from patent_hier.taxonomy.concordance import Concordance

ROWS = [
    ("G06F19/10", "2017.05.01", "基因序列的比对方法"),
    ("G06F19/00", "2017.06.01", "医院的病历管理系统"),
    ("G06F19/00", "2017.07.01", "化合物结构的检索装置"),
    ("G06F19/10", "2019.05.01", "又一种基因比对方法"),
    ("B68C1/02;G06F19/10", "2017.08.01", "一种马鞍"),
    ("A01B1/00;G06F19/00", "2017.09.01", "一种犁"),
]
TABLE = (
    "old,new,date\nG06F19/10,G16B30/00,2018-01-01\nG06F19/00,G16H10/60,2018-01-01\nG06F19/00,G16C20/40,2018-01-01\n"
    "B68C1/02,,\n"
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("migrating")
    lines = [",".join(PAPER_COLUMNS.values())]
    for number, (symbols, day, text) in enumerate(ROWS):
        row = {"publication_number": f"CN10000{number}A", "symbols": symbols, "publication_date": day, "abstract": text}
        lines.append(",".join(row.get(name, "") for name in PAPER_COLUMNS))
    (folder / "raw.csv").write_text("\n".join(lines) + "\n", "gb18030")
    (folder / "corpus").mkdir()
    prepare(folder / "raw.csv", folder / "corpus", RawFormat())
    return Corpus.open(folder / "corpus")


def migrated(corpus: Corpus, folder: Path, titles: dict[str, str]) -> Corpus:
    (folder / "table.csv").write_text(TABLE, "utf-8")
    new = folder / "new"
    new.mkdir()
    migrate_corpus(corpus, Concordance.read(folder / "table.csv"), Chooser(titles), new, ["content"])
    assert find_damage(new) is None
    return Corpus.open(new)


def symbols(corpus: Corpus) -> dict[str, tuple[str | None, ...]]:
    table = corpus.table(["document_id", "ipc_class", "subclass", "subgroup"]).to_pydict()
    return dict(zip(table.pop("document_id"), zip(*table.values(), strict=True), strict=True))


def test_titles_tell_the_places_of_a_split_symbol_apart(corpus: Corpus, tmp_path: Path) -> None:
    new = migrated(corpus, tmp_path, {"G16H10/60": "病历的管理", "G16C20/40": "化学结构的检索"})
    assert symbols(new) == {
        "CN100000A": ("G16", "G16B", None),  # the main group itself, such as G16B30/00, has no subgroup
        "CN100001A": ("G16", "G16H", "G16H10/60"),
        "CN100002A": ("G16", "G16C", "G16C20/40"),
        "CN100003A": ("G06", "G06F", "G06F19/10"),  # published under the new edition
        "CN100005A": ("A01", "A01B", None),
    }
    assert new.column("main_group").to_pylist()[0] == "G16B30/00"
    further = new.column("further_symbols").to_pylist()
    assert further[-1] == ["G16H10/60", "G16C20/40"]  # a further symbol becomes all its successors


def test_without_titles_a_symbol_goes_as_deep_as_its_successors_agree(corpus: Corpus, tmp_path: Path) -> None:
    assert symbols(migrated(corpus, tmp_path, {}))["CN100001A"] == ("G16", None, None)


def test_every_document_is_counted(corpus: Corpus, tmp_path: Path) -> None:
    new = migrated(corpus, tmp_path, {})
    facts = new.manifest["migrated"]
    assert facts["fates"] == {"moved": 1, "split": 2, "unchanged": 2, "deleted": 1}
    assert facts["symbols"]["B68C1/02"] == {"": 1}
    assert sum(facts["fates"].values()) == corpus.size
    assert (new.size, new.manifest["accounting"]["rejected"]["no_successor"]) == (corpus.size - 1, 1)
    assert new.fingerprint != corpus.fingerprint
    assert new.classes == ("A01", "G06", "G16")


def test_documents_keep_their_parts(corpus: Corpus, tmp_path: Path) -> None:
    parts = np.array([TRAIN, VAL, NO_PART, TEST, TEST, TRAIN], np.int8)
    old = tmp_path / "split"
    old.mkdir()
    save(old, corpus.document_ids.to_numpy(), parts)
    seal(old, {"kind": "split", "corpus": corpus.fingerprint, "plan": {"policy": "random"}})
    new, folder = migrated(corpus, tmp_path, {}), tmp_path / "new-split"
    folder.mkdir()
    migrate_split(old, new, folder)
    ids, kept = load(folder)
    assert ids.to_pylist() == new.document_ids.to_pylist()
    assert kept.tolist() == parts[[0, 1, 2, 3, 5]].tolist()


def test_a_concordance_that_leaves_nothing_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("old,new\nG06,\nB68,\nA01,\n", "utf-8")
    with pytest.raises(DataError, match="no document of the corpus has a successor"):
        migrate_corpus(corpus, Concordance.read(tmp_path / "all.csv"), Chooser({}), tmp_path, [])
