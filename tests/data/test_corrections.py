"""Corrections beside the corpus that they are about: which are learnt, which replace a document, which stay out."""

from pathlib import Path

import numpy as np
import pytest

from patent_hier.artifacts import seal
from patent_hier.data.corpus import Corpus, prepare
from patent_hier.data.corrections import CORRECTIONS_KIND, Corrections, read_corrections, with_corrections
from patent_hier.data.labels import corpus_labels
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat
from patent_hier.data.splits import CALIBRATION, TEST, TRAIN, VAL
from patent_hier.data.subjects import Subjects
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.taxonomy.tree import NONE

LONG = "，包括机架、犁体、限深轮和悬挂装置，所述犁体通过销轴与机架铰接，所述限深轮的高度可以调节。"
HEADER = ["公开号", "摘要", "专利分类"]
FORMAT = RawFormat(min_symbol="class")
LOOSE = RawFormat(min_symbol="class", columns={}, max_reject_share=1.0, encoding=None)


def write(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    lines = [",".join(HEADER), *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corrections")
    rows = [
        {
            "publication_number": f"CN10000{n}A",
            "symbols": ("A01B1/00", "A21B1/00")[n % 2],
            "abstract": f"本发明公开了第{n}种犁",
        }
        for n in range(8)
    ]
    rows[1]["abstract"] += LONG
    lines = [",".join(PAPER_COLUMNS.values())]
    lines += [",".join(row.get(name, "") for name in PAPER_COLUMNS) for row in rows]
    (folder / "raw.csv").write_text("\n".join(lines) + "\n", "gb18030")
    (folder / "corpus").mkdir()
    prepare(folder / "raw.csv", folder / "corpus", RawFormat())
    return Corpus.open(folder / "corpus")


PARTS = np.array([TRAIN, TRAIN, TRAIN, TRAIN, VAL, CALIBRATION, TEST, TEST], np.int8)


def checked(
    corpus: Corpus,
    folder: Path,
    rows: list[tuple[str, str, str]],
    held_out: float = 0.0,
    earlier: Corrections | None = None,
) -> Corrections:
    table, _ = read_corrections(write(folder / "feedback.csv", rows), LOOSE)
    return Corrections.checked(table, corpus, PARTS, held_out, earlier)


def ids(corrections: Corrections) -> list[str]:
    return [str(name) for name in corrections.table["document_id"].to_pylist()]


def test_the_test_part_stays_untouched_by_id_and_by_text(corpus: Corpus, tmp_path: Path) -> None:
    rows = [
        ("CN100006A", "完全不同的文本", "G06F"),  # the id of a test document
        ("CN900001A", "本发明公开了第7种 犁！", "G06F"),  # the text of one, otherwise spaced
        ("CN900002A", "本发明公开了第4种犁", "G06F"),  # of val
        ("CN900003A", "一种新的装置", "G06F17/30"),
    ]
    found = checked(corpus, tmp_path, rows)
    assert ids(found) == ["CN900003A"]
    assert found.facts["counts"]["of val, calibration or test"] == 3


def test_a_correction_takes_the_place_of_a_training_document(corpus: Corpus, tmp_path: Path) -> None:
    rows = [("CN900001A", f"本发明公开了第1种犁{LONG}", "H01L"), ("CN100002A", "改写过的文本", "H01L")]
    found = checked(corpus, tmp_path, rows, held_out=0.999)
    assert found.replaced == ["CN100001A", "CN100002A"]
    assert not found.held_out.any()  # what was trained on says nothing of a system


def test_a_short_text_is_no_proof_of_the_document(corpus: Corpus, tmp_path: Path) -> None:
    """Two applications may have one title: both are learnt, but neither tests a system that has read it."""
    found = checked(corpus, tmp_path, [("CN900001A", "本发明公开了第3种犁", "H01L")], held_out=0.999)
    assert (found.replaced, found.held_out.tolist()) == ([], [False])


def test_an_id_counts_before_an_equal_text(corpus: Corpus, tmp_path: Path) -> None:
    found = checked(corpus, tmp_path, [("CN100002A", f"本发明公开了第1种犁{LONG}", "H01L")])
    assert found.replaced == ["CN100002A"]


def test_a_later_correction_counts(corpus: Corpus, tmp_path: Path) -> None:
    first = [("CN900001A", "一种新的装置", "G06F"), ("CN900002A", "另一种装置", "G06F")]
    earlier = checked(corpus, tmp_path, first)
    later = [("CN900001A", "一种新的装置", "H01L"), ("CN900009A", "另一种装置。", "H04N")]
    found = checked(corpus, tmp_path, later, earlier=earlier)
    assert ids(found) == ["CN900001A", "CN900009A"]
    assert [own[0][1] for own in found.symbols(2)] == ["H01", "H04"]
    assert found.facts["counts"]["replaced by a later one"] == 2


def test_a_replaced_row_replaces_nothing() -> None:
    """The second row is about the document of the third, so its text says nothing of the first."""
    assert Subjects(["B", "A", "A"], [b"1", b"1", b"2"], [9, 9, 9]).newest() == [0, 2]


def test_what_was_learnt_is_never_held_out_later(corpus: Corpus, tmp_path: Path) -> None:
    rows = [(f"CN9{n:05d}A", f"第{n}种新装置", "G06F") for n in range(200)]
    first = checked(corpus, tmp_path, rows, held_out=0.2)
    learnt, kept_out = set(ids(first.learnt)), set(ids(first.compared))
    # The same texts under new ids, as the page gives them, and a larger share.
    others = [(f"CN8{n:05d}A", text, symbol) for n, (_, text, symbol) in enumerate(rows[:100])]
    second = checked(corpus, tmp_path, others, held_out=0.6, earlier=first)
    place = {f"CN8{n:05d}A": f"CN9{n:05d}A" for n in range(100)}
    held = {place.get(name, name) for name in ids(second.compared)}
    assert not held & learnt
    assert kept_out <= held


def test_who_is_held_out_stays_so_in_later_files(corpus: Corpus, tmp_path: Path) -> None:
    rows = [(f"CN9{n:05d}A", f"第{n}种新装置", "G06F") for n in range(400)]
    few = checked(corpus, tmp_path, rows[:100], held_out=0.25)
    all_ = checked(corpus, tmp_path, rows, held_out=0.25)
    held = set(ids(all_.compared))
    assert set(ids(few.compared)) == held & set(ids(few))
    assert 70 <= len(held) <= 130
    assert set(ids(all_.learnt)) | held == set(ids(all_))


def test_labels_behind_those_of_the_corpus(corpus: Corpus, tmp_path: Path) -> None:
    found = checked(
        corpus, tmp_path, [("CN900001A", "新装置", "A21B3/00;H01L21/00;A21B3/00"), ("CN900002A", "又一", "G06")]
    )
    own = corpus_labels(corpus, "subclass")
    labels = with_corrections(own, found)
    assert len(labels) == len(own) + 2
    names = [labels.tree.names(labels.main[:, place]) for place in range(3)]
    assert [column[-2] for column in names] == ["A", "A21", "A21B"]
    assert [column[-1] for column in names] == ["G", "G06", None]
    assert [column[0] for column in names] == ["A", "A01", "A01B"]
    further = labels.further[labels.offsets[-3] : labels.offsets[-2]]
    assert labels.tree.names(further[:, 2]).tolist() == ["H01L"]
    assert labels.offsets[-1] == len(labels.further)
    assert (labels.main[-1, 2], len(labels.offsets)) == (NONE, len(labels) + 1)


def test_corrections_of_one_symbol_each(corpus: Corpus, tmp_path: Path) -> None:
    """As the page gives them: nobody names further symbols."""
    own = corpus_labels(corpus, "subclass")
    labels = with_corrections(own, checked(corpus, tmp_path, [("CN900001A", "新装置", "A21B3/00")]))
    assert (len(labels), len(labels.further)) == (len(own) + 1, len(own.further))
    nothing = checked(corpus, tmp_path, [("CN100006A", "新装置", "A21B3/00")])  # of a test document
    assert len(with_corrections(own, nothing)) == len(own)


def test_a_folder_is_read_again_and_damage_is_found(corpus: Corpus, tmp_path: Path) -> None:
    found = checked(corpus, tmp_path, [("CN900001A", "新装置", "A21B3/00")])
    folder = tmp_path / "folder"
    folder.mkdir()
    found.write(folder)
    seal(folder, {"kind": CORRECTIONS_KIND, **found.facts})
    assert Corrections.open(folder).table.equals(found.table)
    (folder / "corrections.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match="learn again"):
        Corrections.open(folder)
    with pytest.raises(ConfigError, match="contains no corrections"):
        Corrections.open(tmp_path)
