import pytest

from patent_hier.data.cleaning import Cleaning
from patent_hier.data.demo import write_demo_csv
from patent_hier.data.incoming import Incoming, IncomingFile
from patent_hier.data.layout import guess_encoding
from patent_hier.data.raw import RawFormat, TextFault
from patent_hier.data.records import RowFault
from patent_hier.errors import DataError

ABSTRACT = "本发明公开了一种装置"


def write(path, content, encoding="utf-8"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def read(path, fmt=None, size=1000):
    return [row for batch in IncomingFile(path, fmt or RawFormat()).batches(size) for row in batch]


@pytest.mark.parametrize("text", [("摘要",), ("专利名称", "摘要")])
def test_text_is_that_of_the_training(text, tmp_path):
    """Every document of the corpus is among the rows, with the same text and id; no row is left out."""
    path, fmt = tmp_path / "demo.csv", RawFormat(text=text)
    write_demo_csv(path, rows=300, seed=3)
    cleaning = Cleaning(path, fmt)
    documents = [document for batch in cleaning.batches() for document in batch.documents.to_pylist()]
    rows = read(path, fmt)
    assert [row.row for row in rows] == list(range(1, cleaning.accounting.rows + 1))
    assert {(row.document_id, row.text) for row in rows} >= {(one["document_id"], one["text"]) for one in documents}
    broken = {reason: count for reason, count in cleaning.accounting.rejected.items() if reason in set(RowFault)}
    assert broken
    assert {reason: sum(row.fault == reason for row in rows) for reason in broken} == broken
    assert all((row.fault is None) == (row.text != "") for row in rows)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_rows_in_their_place(size, tmp_path):
    content = (
        "公开号,专利名称,摘要,专利分类\n"
        f"CN106888000A,一种锁,{ABSTRACT},A01B1/00\n"
        "CN106888001A,太短\n"
        f',一种  钥匙,"{ABSTRACT}\n，它很好",\n'
        "CN106888003A,一种门, ，,07-05\n"
    )
    rows = read(write(tmp_path / "new.csv", content), RawFormat(text=("专利名称", "摘要")), size)
    assert rows == [
        Incoming(1, "CN106888000A", ("一种锁", ABSTRACT), f"一种锁。{ABSTRACT}", "A01B1/00", None, rows[0].size),
        Incoming(2, "2", ("CN106888001A,太短", ""), "", "", RowFault.TOO_FEW_FIELDS, rows[1].size),
        Incoming(
            3, "3", ("一种  钥匙", f"{ABSTRACT}\n，它很好"), f"一种 钥匙。{ABSTRACT} ，它很好", "", None, rows[2].size
        ),
        Incoming(4, "CN106888003A", ("一种门", " ，"), "一种门。，", "07-05", None, rows[3].size),
    ]
    lines = content.encode().count(b"\n")
    assert sum(row.size + 1 for row in rows) == len(content.encode()) - len("公开号,专利名称,摘要,专利分类\n".encode())
    assert lines == 6


def test_a_text_without_words(tmp_path):
    rows = read(write(tmp_path / "new.csv", "摘要\n，。\n“”\n2\n"))
    assert [(row.fault, row.text) for row in rows] == [
        (TextFault.EMPTY_TEXT, ""),
        (TextFault.EMPTY_TEXT, ""),
        (None, "2"),
    ]


def test_only_the_text_is_needed(tmp_path):
    file = IncomingFile(
        write(tmp_path / "new.csv", f"编号,摘 要\n7,{ABSTRACT}\n"), RawFormat(columns={"symbols": "IPC"})
    )
    (rows,) = file.batches(10)
    assert (rows[0].document_id, rows[0].text, rows[0].symbols) == ("1", ABSTRACT, "")
    assert file.text_columns == ("摘 要",)
    assert not file.has_symbols


@pytest.mark.parametrize("expected", ["gb18030", "utf-8"])
@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("column", ["摘要", "abstract"])
def test_encoding_is_told_from_the_file(encoding, expected, column, tmp_path):
    path = write(tmp_path / "new.csv", f"{column}\n" + 3 * f"{ABSTRACT}㐀\n", encoding)
    rows = read(path, RawFormat(text=(column,), encoding=expected))
    assert [row.text for row in rows] == 3 * [f"{ABSTRACT}㐀"]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_one_broken_line_does_not_change_the_encoding(encoding, tmp_path):
    good = f"摘要\n{ABSTRACT}\n".encode(encoding)
    rows = read(write(tmp_path / "new.csv", good + b"\xff\xff\n" + f"{ABSTRACT}\n".encode(encoding)))
    assert [row.fault for row in rows] == [None, RowFault.UNDECODABLE, None]


def test_guess_encoding():
    assert guess_encoding(b"abc,d\n", "utf-8-sig") == "utf-8"
    assert guess_encoding(b"abc,d\n", "gb18030") == "gb18030"
    cut = f"{ABSTRACT}\n{ABSTRACT}".encode()[:-1]  # the chunk ends in the middle of a character
    assert guess_encoding(cut, "gb18030") == "utf-8"
    assert guess_encoding(ABSTRACT.encode("gb18030"), "utf-8") == "gb18030"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "new.csv is empty"),
        (b"\n\n", "has no header"),
        ("摘要,摘要\n".encode(), "more than one column 摘要"),
        ("标题,正文\n".encode(), "has no column 摘要; it has 标题, 正文; --text names"),
        ("摘要\n".encode("utf-16"), "UTF-16, which is not supported; save it as CSV UTF-8$"),
        ("专利名称,摘要\n".encode("gb18030") + 2 * f"{ABSTRACT}\n".encode(), "the header of .* is not utf-8"),
    ],
)
def test_unusable_files(content, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "new.csv", content))


def test_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.csv"):
        with pytest.raises(DataError, match=f"cannot open {path}.*name a CSV file"):
            read(path)
