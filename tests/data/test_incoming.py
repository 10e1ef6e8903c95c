import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patent_hier.data.cleaning import Cleaning
from patent_hier.data.demo import write_demo_csv
from patent_hier.data.incoming import Incoming, IncomingFiles
from patent_hier.data.raw import RawFormat, TextFault
from patent_hier.errors import ConfigError, DataError
from patent_hier.reading.encodings import guess
from patent_hier.reading.rows import Limits, RowFault

ABSTRACT = "本发明公开了一种装置"


def write(path, content, encoding="utf-8"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def read(path, fmt=None, size=1000, kind=None):
    return [row for batch in IncomingFiles(path, fmt or RawFormat(), kind).batches(size) for row in batch]


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
    assert sum(row.size for row in rows) == len(content.encode())


def test_a_text_without_words(tmp_path):
    rows = read(write(tmp_path / "new.csv", "摘要\n，。\n“”\n2\n"))
    assert [(row.fault, row.text) for row in rows] == [
        (TextFault.EMPTY_TEXT, ""),
        (TextFault.EMPTY_TEXT, ""),
        (None, "2"),
    ]


def test_only_the_text_is_needed(tmp_path):
    file = IncomingFiles(
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


def test_guess():
    assert guess(b"abc,d\n") is None
    cut = f"{ABSTRACT}\n{ABSTRACT}".encode()[:-1]  # the chunk ends in the middle of a character
    assert guess(cut) == "utf-8"
    assert guess(ABSTRACT.encode("gb18030")) == "gb18030"
    assert guess("本發明公開了一種裝置，包括殼體".encode("big5")) == "big5"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "new.csv is empty"),
        (b"\n\n", "has no header"),
        ("摘要,摘要\n".encode(), "more than one column 摘要"),
        ("标题,全文\n".encode(), "its columns are 标题, 全文; try --text 标题$"),
        ("名字,正文\n".encode(), "has no column 摘要; its columns are 名字, 正文; name the column with --text NAME$"),
    ],
)
def test_unusable_files(content, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "new.csv", content))


def test_no_file(tmp_path):
    with pytest.raises(DataError, match="contains no tables"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(ConfigError, match=r"the file extension \.pdf is not one of \.csv, \.tsv,"):
        read(write(tmp_path / "x.pdf", "x"))


def test_a_header_in_another_encoding_than_its_rows(tmp_path):
    rows = read(write(tmp_path / "new.csv", "摘要,专利名称与其他\n".encode("gb18030") + f"{ABSTRACT},\n".encode() * 3))
    assert [row.text for row in rows] == [ABSTRACT] * 3


def test_a_folder_is_read_through(tmp_path):
    for name in ("2.csv", "10.csv"):
        write(tmp_path / name, f"摘要,公开号\n{ABSTRACT}{name},CN10000000{len(name)}A\n摘要,公开号\n")
    files = IncomingFiles(tmp_path, RawFormat())
    rows = [row for batch in files.batches(10) for row in batch]
    assert [(row.row, row.text) for row in rows] == [(1, f"{ABSTRACT}2.csv"), (2, f"{ABSTRACT}10.csv")]
    assert sum(row.size for row in rows) <= files.size


FIELDS = RawFormat(text=("专利名称", "摘要"), encoding="utf-8")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_text_a_document_a_line(tmp_path, encoding, end):
    lines = [ABSTRACT, "", "  ", "一种  门", "。"]
    rows = read(write(tmp_path / "new.txt", end.join(lines).encode(encoding)), FIELDS, 2)
    assert [row.row for row in rows] == [1, 2, 3, 4, 5]
    assert [row.text for row in rows] == [ABSTRACT, "", "", "一种 门", ""]
    assert [row.fault for row in rows] == [None, "empty_text", "empty_text", None, "empty_text"]
    assert [row.document_id for row in rows] == list("12345")


def test_broken_lines_keep_their_place(tmp_path):
    limit = RawFormat(limits=Limits(max_bytes=1 << 17))
    content = b"\n".join([ABSTRACT.encode(), b"\xff\xfe\xff", b"a\0b", b"x" * (1 << 18), ABSTRACT.encode()])
    rows = read(write(tmp_path / "new.txt", content), limit)
    assert [row.fault for row in rows] == [None, "undecodable", "nul_byte", "too_long", None]
    assert rows[4].text == ABSTRACT


OBJECTS = [
    {"text": ABSTRACT, "id": 7},
    {"专利名称": "一种锁", "摘要": ABSTRACT, "symbols": "G01S17/08"},
    {"title": "一种锁", "abstract": ABSTRACT, "document_id": "CN1", "专利分类": "E05B"},
    {"title": "一种锁"},
    {"text": "", "symbols": ["A01B1/00", "B60K1/00"]},
]
WRITTEN = {
    "lines": "\n".join(map(json.dumps, OBJECTS)),
    "list": "\n\n" + json.dumps(OBJECTS, indent=2, ensure_ascii=False),
    "tight": json.dumps(OBJECTS),
}


@pytest.mark.parametrize("content", WRITTEN)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_json(tmp_path, content, encoding):
    rows = read(write(tmp_path / "new.jsonl", WRITTEN[content], encoding), FIELDS, 2)
    assert [row.text for row in rows] == [ABSTRACT, f"一种锁。{ABSTRACT}", f"一种锁。{ABSTRACT}", "一种锁", ""]
    assert [row.document_id for row in rows] == ["7", "2", "CN1", "4", "5"]
    assert [row.symbols for row in rows] == ["", "G01S17/08", "E05B", "", '["A01B1/00", "B60K1/00"]']
    assert rows[4].fault == "empty_text"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "bad_json"),
        ("[]", "no_object"),
        ('"text"', "no_object"),
        ("{}", "no_text_field"),
        ('{"text": 5}', "no_text_field"),
        ('{"text": ["a"]}', "no_text_field"),
        (r'{"text": "\ud800一种锁"}', "bad_unicode"),
        (r'{"text": "一种锁", "id": "\udc00"}', "bad_unicode"),
        ("[" * 100_000, "bad_json"),
        ("1" * 10_000, "bad_json"),
    ],
)
def test_lines_that_are_no_documents(tmp_path, line, fault):
    rows = read(write(tmp_path / "new.jsonl", f'{line}\n{{"text": "一种锁"}}'), FIELDS)
    assert [row.fault for row in rows] == [fault, None]
    assert rows[0].text == ""
    assert len(rows[0].fields) == 2


@pytest.mark.parametrize(
    "broken",
    ['{"text": "甲"', '{"text": 甲}', '{"text": "甲}', '"text"', '{"text": "甲", "a": {"b": 1}', '{"text": "\\q"}'],
)
def test_a_broken_object_of_a_list_costs_itself_only(tmp_path, broken):
    content = f'[\n{{"text": "一种锁"}},\n{broken},\n{{"text": "一种门"}}\n]'
    rows = read(write(tmp_path / "new.json", content), FIELDS)
    assert [row.text for row in rows] == ["一种锁", "", "一种门"]


LIVE = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@LIVE
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=8), st.sampled_from(["txt", "jsonl"]))
def test_any_bytes_have_as_many_rows_as_lines(tmp_path, lines, kind):
    content = b"x" * 400 + b"\n" + b"\n".join(lines)  # no mark at the start, and no zeros of UTF-16
    rows = read(write(tmp_path / "any", content), FIELDS, kind=kind)
    physical = content.splitlines()
    assert len(rows) == len(physical) if kind == "txt" else len(rows) <= len(physical)
    assert [row.row for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        row.text.encode()
        assert (row.fault is None) == bool(row.text)


@pytest.mark.parametrize(
    ("header", "row", "date"),
    [
        ("申请日,公开日", "2019.01.24,2019.07.09", "2019.01.24"),
        ("公告日", "2019-07-09", "2019-07-09"),
        ("申请日期,公开日", ",2019.07.09", ""),  # the day of publication is another day
        ("发明人", "张三", ""),
    ],
)
def test_the_day_of_application_or_else_of_publication(header, row, date, tmp_path):
    (found,) = read(write(tmp_path / "new.csv", f"摘要,{header}\n{ABSTRACT},{row}\n"))
    assert found.date == date
