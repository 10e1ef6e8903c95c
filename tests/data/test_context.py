import numpy as np
import pytest

from patent_hier.data.context import (
    SEPARATOR,
    context_value,
    documents_at,
    iter_documents,
    join_context,
    missing_context,
    text_of,
)
from patent_hier.data.corpus import Corpus, prepare
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat, normalise
from tests.commands import write_csv


@pytest.mark.parametrize(
    ("column", "field", "value"),
    [
        ("applicant", "华为技术有限公司", "华为技术有限公司"),
        ("applicant", "甲公司； 乙大学;", "甲公司;乙大学"),
        ("applicant", "个人", ""),
        ("applicant", "个人;甲公司", "甲公司"),
        ("applicant", f"甲{SEPARATOR}kind=实用新型", "甲 kind=实用新型"),  # nothing can pretend to be another column
        ("applicant", None, ""),
        ("kind", " 实用新型\n", "实用新型"),
        ("title", "无", ""),
    ],
)
def test_what_a_field_says(column, field, value):
    assert context_value(column, field) == value


def test_a_text_holds_no_context_until_it_is_joined():
    text = normalise(f"一种{SEPARATOR}applicant=甲公司")
    assert text_of(text) == text == "一种 applicant=甲公司"
    joined = join_context(text, {"applicant": "乙公司", "kind": None})
    assert joined == f"{text}{SEPARATOR}applicant=乙公司"
    assert text_of(joined) == text
    assert join_context(text, {}) == text


def test_the_documents_of_a_corpus_have_their_applicants(tmp_path):
    raw = write_csv(tmp_path / "raw.csv", {"A01B1/00": 6, "B60K1/00": 6})
    content = raw.read_text("gb18030").replace("公司4", "个人")
    assert content.count("个人") == 1
    raw.write_text(content, "gb18030")
    (tmp_path / "corpus").mkdir()
    prepare(raw, tmp_path / "corpus", RawFormat(text=(PAPER_COLUMNS["abstract"],)))
    corpus = Corpus.open(tmp_path / "corpus")
    texts = [text for batch in corpus.iter_texts() for text in batch]
    fields = corpus.column("applicant").to_pylist()
    documents = [document for batch in iter_documents(corpus, ["applicant"]) for document in batch]
    assert documents == [join_context(text, {"applicant": own}) for text, own in zip(texts, fields, strict=True)]
    assert sum(SEPARATOR in document for document in documents) == 11
    assert [document for batch in iter_documents(corpus, []) for document in batch] == texts
    assert documents_at(corpus, ["applicant"], np.array([7, 2])) == [documents[7], documents[2]]
    assert missing_context(corpus, ["applicant", "kind"]) == {"applicant": 1, "kind": 12}
