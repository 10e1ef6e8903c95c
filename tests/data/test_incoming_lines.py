import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.data.incoming_lines import open_documents
from patent_hier.data.raw import RawFormat
from patent_hier.data.records import Limits
from patent_hier.errors import ConfigError, DataError

FORMAT = RawFormat(text=("专利名称", "摘要"), encoding="utf-8")
ABSTRACT = "一种激光测距装置"


def read(path, fmt=FORMAT, kind=None, size=2):
    return [row for batch in open_documents(path, fmt, kind).batches(size) for row in batch]


def written(tmp_path, content, name="new.txt"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_text_a_document_a_line(tmp_path, encoding, end):
    lines = [ABSTRACT, "", "  ", "一种  门", "。"]
    rows = read(written(tmp_path, end.join(lines).encode(encoding)))
    assert [row.row for row in rows] == [1, 2, 3, 4, 5]
    assert [row.text for row in rows] == [ABSTRACT, "", "", "一种 门", ""]
    assert [row.fault for row in rows] == [None, "empty_text", "empty_text", None, "empty_text"]
    assert [row.document_id for row in rows] == list("12345")


def test_broken_lines_keep_their_place(tmp_path):
    limit = RawFormat(limits=Limits(max_bytes=1 << 17))
    content = b"\n".join([ABSTRACT.encode(), b"\xff\xfe\xff", b"a\0b", b"x" * (1 << 18), ABSTRACT.encode()])
    rows = read(written(tmp_path, content), limit)
    assert [row.fault for row in rows] == [None, "undecodable", "nul_byte", "too_long", None]
    assert rows[3].size == (1 << 18) + 1
    assert rows[4].text == ABSTRACT


def test_json_lines(tmp_path):
    objects = [
        {"text": ABSTRACT, "id": 7},
        {"专利名称": "一种锁", "摘要": ABSTRACT, "symbols": "G01S17/08"},
        {"title": "一种锁", "abstract": ABSTRACT, "document_id": "CN1", "专利分类": "E05B"},
        {"title": "一种锁"},
        {"text": ""},
    ]
    rows = read(written(tmp_path, "\n".join(map(json.dumps, objects)).encode(), "new.jsonl"))
    assert [row.text for row in rows] == [ABSTRACT, f"一种锁。{ABSTRACT}", f"一种锁。{ABSTRACT}", "一种锁", ""]
    assert [row.document_id for row in rows] == ["7", "2", "CN1", "4", "5"]
    assert [row.symbols for row in rows[:3]] == ["", "G01S17/08", "E05B"]
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
    rows = read(written(tmp_path, f'{line}\n{{"text": "一种锁"}}'.encode(), "new.jsonl"))
    assert [row.fault for row in rows] == [fault, None]
    assert rows[0].text == ""
    assert len(rows[0].fields) == 2


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=8), st.sampled_from(["txt", "jsonl"]))
def test_any_bytes_have_as_many_rows_as_lines(tmp_path_factory, lines, kind):
    content = b"\n".join(lines)
    if not content or content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in content.split(b"\n")[0]:
        return  # nothing, or taken for UTF-16
    path = written(tmp_path_factory.mktemp("any"), content)
    rows = read(path, kind=kind)
    assert len(rows) == content.count(b"\n") + (not content.endswith(b"\n"))
    assert [row.row for row in rows] == list(range(1, len(rows) + 1))
    assert sum(row.size for row in rows) == len(content)
    for row in rows:
        row.text.encode()
        assert (row.fault is None) == bool(row.text)


def test_what_is_no_file_of_documents(tmp_path):
    with pytest.raises(ConfigError, match=r"the ending \.pdf is not one of \.csv, \.txt, \.jsonl, \.ndjson"):
        open_documents(tmp_path / "x.pdf", FORMAT)
    with pytest.raises(DataError, match="is empty"):
        read(written(tmp_path, b""))
    with pytest.raises(DataError, match="UTF-16"):
        read(written(tmp_path, ABSTRACT.encode("utf-16")))
    with pytest.raises(DataError, match="cannot open"):
        read(tmp_path / "nowhere.txt")
