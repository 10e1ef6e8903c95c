"""The data card: every number of it against the raw rows that it describes."""

from pathlib import Path

import numpy as np
import pytest

from patent_hier.artifacts import seal
from patent_hier.data.corpus import Corpus, prepare
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat
from patent_hier.data.splits import TEST, TRAIN, save
from patent_hier.pipeline.data_facts import data_facts
from patent_hier.pipeline.relations import load_relations
from patent_hier.report.data_card import data_card

# Symbols, day of application, applicant, part.
ROWS = [
    ("A01B1/00;A01C5/00", "2016.05.01", "甲公司;乙公司", TRAIN),
    ("A01B1/02", "2017.05.01", "甲公司", TRAIN),
    ("G06F17/30", "2017.06.01", "丙公司", TRAIN),
    ("G06F17/30", "", "个人", TRAIN),
    ("G06F9/44", "2017.07.01", "乙公司", TEST),
    ("H01L21/00", "2017.08.01", "丁公司", TEST),
]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    lines = [",".join(PAPER_COLUMNS.values())]
    for number, (symbols, day, applicant, _) in enumerate(ROWS):
        row = {
            "publication_number": f"CN10000{number}A",
            "symbols": symbols,
            "application_date": day,
            "abstract": f"一种装置，编号{number}",
            "applicant": applicant,
            "kind": "发明|公布",
            "publication_date": "2019.07.09",
        }
        lines.append(",".join(row.get(name, "") for name in PAPER_COLUMNS))
    (tmp_path / "raw.csv").write_text("\n".join(lines) + "\n", "gb18030")
    folder = tmp_path / "corpora" / "own"
    folder.mkdir(parents=True)
    prepare(tmp_path / "raw.csv", folder, RawFormat(), extra_manifest={"name": "own"})
    return Corpus.open(folder)


@pytest.fixture
def split(corpus: Corpus, tmp_path: Path) -> Path:
    folder = tmp_path / "splits" / "random-1"
    folder.mkdir(parents=True)
    save(folder, corpus.document_ids.to_numpy(), np.array([row[-1] for row in ROWS], np.int8))
    seal(folder, {"kind": "split", "plan": {"policy": "random"}})
    return folder


def test_the_facts_are_those_of_the_rows(corpus: Corpus, split: Path) -> None:
    facts = data_facts(corpus, split)
    assert facts["application"] == {
        "first": "2016-05-01", "last": "2017-08-01", "without": 1, "years": {"2016": 1, "2017": 4},
    }  # fmt: skip
    assert facts["applicants"] == {"distinct": 4, "largest_ten": 6, "without": 1, "test_known": 1}
    assert facts["labels"]["sections"] == {"A": 2, "G": 3, "H": 1}
    assert facts["labels"]["several"] == 1
    levels = facts["labels"]["levels"]
    assert (levels["class"]["labels"], levels["class"]["rare"], levels["class"]["untrained"]) == (3, 2, 1)
    assert (levels["subclass"]["labels"], levels["subclass"]["untrained"]) == (3, 1)
    assert facts["split"]["documents"] == {"train": 4, "val": 0, "calibration": 0, "test": 2}
    assert facts["relations"] is None


def test_the_card_says_them(corpus: Corpus, split: Path) -> None:
    card = data_card(data_facts(corpus, split), {"learnt": 12, "held out": 3})
    assert "| applications | 2016-05-01 to 2017-08-01, 1 without a date |" in card
    assert "发明\\|公布 6" in card  # a cell of a table
    assert "For 1 of 2 test documents, the applicant also has training documents." in card
    assert "trained on 12 corrections by examiners; 3 more were held out" in card
    assert "All documents were published on one day" in card
    assert "There are no abstracts" not in card
    assert "patent-hier audit" in card
    assert all(
        f"\n\n## {heading}\n\n" in card for heading in ("Content", "Labels", "Split and leakage", "Known limits")
    )


def test_relatives_are_told_once_they_were_looked_for(corpus: Corpus, split: Path, tmp_path: Path) -> None:
    assert data_facts(corpus, split)["relations"] is None
    load_relations(corpus, tmp_path)
    facts = data_facts(corpus, split)
    assert facts["relations"]["applicant"] == {"test": 1, "share": 0.5}
    assert "Test documents with a related document in train: equal 0 (0.0 %)" in data_card(facts)


def test_generated_documents_are_called_so(corpus: Corpus, split: Path) -> None:
    facts = data_facts(corpus, split)
    assert "Demo data: texts and symbols are generated." in data_card(facts, demo=True)
    assert "patent office" not in data_card(facts, demo=True)
    assert "Demo data" not in data_card(facts)
