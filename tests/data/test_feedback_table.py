import contextlib
import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.data.corpus import Corpus, prepare
from patent_hier.data.feedback import FeedbackStore, Period
from patent_hier.data.feedback_table import FeedbackTable, sanitize_cell
from patent_hier.data.raw import RawFormat, normalise
from patent_hier.sanitize import cell
from tests.data.judging import judgement

TEXTS = [
    '=HYPERLINK("http://evil.example","一种锁")',
    "＝1+1 的装置",
    "-5",
    "@SUM(A1)",
    "\t=cmd|' /C calc'!A0 一种门",
    '他说 "你好",\n然后',
    "  一种\u3000装置\r\n第二行  ",
    "a\0b 一种",
    "'一种锁",
    "H<sub>2</sub>O 的制备",
    "&lt;b&gt; 一种",
    "\ufeff=1 锁",
]


def prepared(path, folder, fmt):
    prepare(path, folder, fmt)
    return Corpus.open(folder)


def exported(tmp_path, judgements, fields=("abstract",)):
    with contextlib.closing(FeedbackStore.open(tmp_path / "f.sqlite", create=True)) as store:
        for one in judgements:
            store.add(one)
        table = FeedbackTable(fields)
        path = tmp_path / "out.csv"
        path.write_text("".join(table.lines(store.judgements(store.last_id(), Period()))), "utf-8", newline="")
    return table, path


def test_prepare_reads_an_export_as_it_is(tmp_path):
    numbers = [f"CN2017{number:08}.1" for number in range(len(TEXTS))]
    pairs = zip(TEXTS, numbers, strict=True)
    told = [judgement(text=text, document_id=number, context={"applicant": "甲公司"}) for text, number in pairs]
    table, path = exported(
        tmp_path, [*told, judgement(text="一种没有号码的装置", verdict="right", predicted="G01S17/08")]
    )
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert (table.written, table.sections, table.odd, table.min_symbol) == (len(TEXTS) + 1, 0, 0, "group")
    corpus = prepared(path, tmp_path / "corpus", RawFormat())
    facts = corpus.table(["document_id", "text", "subgroup", "applicant", "kind", "application_date"]).to_pylist()
    assert corpus.manifest["accounting"]["kept"] == len(TEXTS) + 1
    texts = {row["document_id"]: row["text"] for row in facts}
    for text, number in zip(TEXTS, numbers, strict=True):
        assert texts[number] == normalise(text.replace("\0", ""))
    assert {row["subgroup"] for row in facts} == {"G01S17/08"}
    assert [row["kind"] for row in facts] == ["corrected"] * len(TEXTS) + ["right"]
    assert {row["applicant"] for row in facts[:-1]} == {"甲公司"}
    assert all(row["application_date"] for row in facts)
    assert re.fullmatch("FB[0-9]{20}", facts[-1]["document_id"])


def test_a_text_keeps_its_number_when_it_is_judged_again(tmp_path):
    """By another judgement, in another spelling, in another file: what learn holds out is chosen by this number."""
    numbers = set()
    for place, texts in enumerate((["一种锁"], ["一种门", "一种锁"], ["一种锁", "一种 门", "一种锁\n"])):
        (tmp_path / str(place)).mkdir()
        _, path = exported(tmp_path / str(place), [judgement(text=text) for text in texts])
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
        assert len({row["公开号"] for row in rows}) == len(rows) == len({normalise(text) for text in texts})
        corpus = prepared(path, tmp_path / str(place) / "corpus", RawFormat())
        assert sorted(corpus.document_ids.to_pylist()) == sorted(row["公开号"] for row in rows)
        numbers |= {row["公开号"] for row in rows if "锁" in row["摘要"]}
    assert len(numbers) == 1


def test_labels_above_the_group_need_a_setting_and_sections_stay_out(tmp_path):
    said = [judgement(text=f"第{n}种锁", label=label) for n, label in enumerate(("A", "A01B", "G01S17/08", "H"))]
    table, path = exported(tmp_path, said)
    assert (table.written, table.sections, table.min_symbol) == (2, 2, "subclass")
    assert prepared(path, tmp_path / "corpus", RawFormat(min_symbol=table.min_symbol)).size == 2
    table, _ = exported(tmp_path, [judgement(text="又一种锁", label="A01"), judgement(text="猫", label="cats")])
    assert (table.min_symbol, table.odd) == ("class", 1)


def test_texts_of_two_kinds_have_two_columns(tmp_path):
    said = [judgement(text="一种锁"), judgement(text="一种门", text_field="title")]
    _, path = exported(tmp_path, said, ("abstract", "title"))
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    assert [(row["摘要"], row["专利名称"]) for row in rows] == [("一种锁", ""), ("", "一种门")]
    assert prepared(path, tmp_path / "corpus", RawFormat(text=("专利名称", "摘要"))).size == 2


@pytest.mark.parametrize("text", TEXTS)
def test_a_spreadsheet_only_shows_a_cell(text):
    assert cell(sanitize_cell(text)) == sanitize_cell(text)


@given(st.text(st.sampled_from("=＝+-@ \t\n\r\ufeff\u200b'\"&#;61锁<b>0\0"), max_size=12))
def test_any_cell_is_harmless_and_reads_as_it_was(text):
    shown = sanitize_cell(text)
    assert cell(shown) == shown
    assert len(shown.splitlines()) <= 1
    if not text.lstrip().startswith("="):  # a formula that is only a text loses its quotes in other files
        assert normalise(shown) == normalise(text.replace("\0", ""))
