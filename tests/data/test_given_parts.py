import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from patent_hier.data.assigning import assign
from patent_hier.data.corpus import Corpus, prepare
from patent_hier.data.given_parts import given_parts, read_parts, usable_column
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat
from patent_hier.data.splits import (
    CALIBRATION,
    NO_PART,
    TEST,
    TRAIN,
    VAL,
    SplitPlan,
    held_out,
    load,
    save,
    split_fingerprint,
)
from patent_hier.errors import ConfigError, DataError

# Number and fold of each document; the last has no publication number, and the last but one no fold.
ROWS = [
    ("CN100000001A", "fold 1"),
    ("CN100000002A", "fold 2"),
    ("CN100000003A", "fold 1"),
    ("CN100000004A", " fold　2"),
]
ROWS += [("CN100000005A", "fold 3"), ("CN100000006A", ""), ("", "fold 3")]


def raw_file(folder: Path) -> Path:
    lines = [",".join(PAPER_COLUMNS.values())]
    for number, (publication, kind) in enumerate(ROWS, 1):
        facts = {"application_number": f"CN2017{number:08d}.1", "publication_number": publication, "kind": kind}
        facts |= {"symbols": "A01B1/00", "abstract": f"一种装置，编号{number}"}
        lines.append(",".join(facts.get(name, "") for name in PAPER_COLUMNS))
    path = folder / "raw.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("given")
    (folder / "corpus").mkdir()
    prepare(raw_file(folder), folder / "corpus", RawFormat(encoding="utf-8"))
    return Corpus.open(folder / "corpus")


def parts_file(folder: Path, text: str, name: str = "parts.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def plan_of(path: Path, **changes: object) -> SplitPlan:
    return SplitPlan(policy="file", path=str(path), **changes)  # type: ignore[arg-type]  # values of many types


COMPLETE = """公开号,part
CN100000001A,train
cn 100000002a,test
ＣＮ100000003Ａ,val
CN100000004A,calibration
CN100000005A,train
CN100000006A,train
CN201700000007.1,test
CN999999999A,test
"""


def test_a_file_gives_the_parts_by_number_in_any_spelling(corpus: Corpus, tmp_path: Path) -> None:
    given = given_parts(corpus, plan_of(parts_file(tmp_path, COMPLETE)))
    assert given.parts.tolist() == [TRAIN, TEST, VAL, CALIBRATION, TRAIN, TRAIN, TEST]
    assert (given.named, given.absent["test"], given.unlisted) == (
        {"train": 3, "val": 1, "calibration": 1, "test": 3},
        1,
        0,
    )
    assert given.lines({"train": 3, "val": 1, "calibration": 1, "test": 2}) == [
        f"{tmp_path / 'parts.csv'} lists 8 documents: train 3, val 1, calibration 1, test 3",
        "1 of them are not in the corpus (rejected rows, designs, duplicates, or documents of another file): test 1",
    ]


@pytest.mark.parametrize("kind", ["mark", "gz", "xz", "order", "document_id"])
def test_every_form_of_the_file_is_read_alike(tmp_path: Path, kind: str) -> None:
    expected = read_parts(parts_file(tmp_path, COMPLETE, "plain.csv"))[1]
    if kind == "mark":
        path = parts_file(tmp_path, "\ufeff" + COMPLETE)
    elif kind == "order":
        rows = [row.split(",") for row in COMPLETE.splitlines()]
        path = parts_file(tmp_path, "\n\n".join(f"x,{part},{number}" for number, part in rows))
    elif kind == "document_id":
        path = parts_file(tmp_path, COMPLETE.replace("公开号", " Document_ID "))
    else:
        path = tmp_path / f"parts.csv.{kind}"
        path.write_bytes((gzip if kind == "gz" else lzma).compress(COMPLETE.encode()))
    assert read_parts(path)[1] == expected


def test_application_numbers_name_documents_that_have_a_publication_number(corpus: Corpus, tmp_path: Path) -> None:
    rows = [f"CN2017{number:08d}.1,{'test' if number == 2 else 'train'}" for number in range(1, 8)]
    given = given_parts(corpus, plan_of(parts_file(tmp_path, "\n".join(["申请号,part", *rows]))))
    assert np.flatnonzero(given.parts == TEST).tolist() == [1]
    assert (given.parts == TRAIN).sum() == 6


def test_ids_of_row_bytes_keep_their_case(tmp_path: Path) -> None:
    path = parts_file(tmp_path, "id,part\n sha-0123456789abcdef ,train\ncn1,test\n")
    assert read_parts(path) == ("id", {"sha-0123456789abcdef": TRAIN, "CN1": TEST})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name,part\nCN1,train\n",
            r"has the columns \['name', 'part'\]; it needs part and one of document_id, id, 公开号",
        ),
        ("", r"has the columns \[\]"),
        (
            "id,part\nCN1,train\nCN2,dev\n",
            "row 3 of .* has the unknown part 'dev'; use one of train, val, calibration, test",
        ),
        ("id,part\nCN1,train\nCN 1,test\n", "lists CN1 in train and, in row 3, in test; keep one"),
        ("id,part\n,train\n", "row 2 of .* has no id or no part"),
        ("id,part\nCN1\n", "row 2 of .* has no id or no part"),
    ],
)
def test_an_unusable_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_parts(parts_file(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "parts.csv"
    path.write_bytes(COMPLETE.encode("gb18030"))
    with pytest.raises(DataError, match="is not UTF-8"):
        read_parts(path)


SOME = "id,part\nCN100000001A,train\nCN100000003A,train\nCN100000002A,test\n"


def test_documents_that_are_not_named_are_refused_trained_on_or_dropped(corpus: Corpus, tmp_path: Path) -> None:
    path = parts_file(tmp_path, SOME)
    with pytest.raises(
        DataError, match=r"does not list 4 of the 7 documents of the corpus, such as CN100000004A; set split.unl"
    ):
        given_parts(corpus, plan_of(path))
    trained = given_parts(corpus, plan_of(path, unlisted="train"))
    assert trained.parts.tolist() == [TRAIN, TEST, *[TRAIN] * 5]
    dropped = given_parts(corpus, plan_of(path, unlisted="drop"))
    assert dropped.parts.tolist() == [TRAIN, TEST, TRAIN, *[NO_PART] * 4]
    assert [own.lines({"train": 1, "val": 1, "calibration": 0, "test": 1})[1:] for own in (trained, dropped)] == [
        [
            "4 documents of the corpus are not listed; they are put in train",
            "taken from the 6 documents of train for parts that are not given: val 1",
        ],
        [
            "4 documents of the corpus are not listed; they are left out",
            "taken from the 2 documents of train for parts that are not given: val 1",
        ],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,part\nCN100000001A,train\n", "puts no document of the corpus in test"),
        ("id,part\nCN100000001A,test\n", "puts no document of the corpus in train"),
        (SOME.replace("CN100000002A", "US1"), "none of the 1 documents that .* lists for test is in the corpus"),
        (
            SOME + "US1,val\n",
            "none of the 1 documents that .* lists for val is in the corpus; its column id must contain",
        ),
    ],
)
def test_a_part_without_documents_is_refused(corpus: Corpus, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        given_parts(corpus, plan_of(parts_file(tmp_path, text), unlisted="drop"))


def by_fold(corpus: Corpus, **values: object) -> list[int]:
    plan = SplitPlan(policy="file", column="kind", **values)  # type: ignore[arg-type]  # values of many types
    parts: list[int] = given_parts(corpus, plan).parts.tolist()
    return parts


def test_values_of_a_column_give_the_parts(corpus: Corpus) -> None:
    assert by_fold(corpus, test_values=["fold 2"]) == [TRAIN, TEST, TRAIN, TEST, TRAIN, TRAIN, TRAIN]
    three = {"test_values": ["fold 2"], "val_values": ["fold 3"], "train_values": ["fold 1"]}
    assert by_fold(corpus, **three, unlisted="drop") == [TRAIN, TEST, TRAIN, TEST, VAL, NO_PART, VAL]
    with pytest.raises(
        DataError, match=r"split.column=kind does not list 1 of the 7 documents .* such as CN100000006A"
    ):
        by_fold(corpus, **three)
    with pytest.raises(ConfigError, match=r"has no value 'fold 4'; it has 'fold 1', 'fold 2', 'fold 3'"):
        by_fold(corpus, test_values=["fold 4"])


def test_a_column_is_named_as_in_the_file_or_as_in_the_corpus(corpus: Corpus) -> None:
    assert [usable_column(corpus, name) for name in ("kind", "法律状态", " 申请日")] == [
        "kind",
        "kind",
        "application_date",
    ]
    with pytest.raises(
        ConfigError, match=r"^split.column=所在市代码 is not .* use one of kind \(法律状态\), applicant"
    ):
        usable_column(corpus, "所在市代码")


def assigned(given: list[int], **changes: object) -> tuple[list[int], dict[str, int]]:
    ids = np.array([f"CN{row}" for row in range(len(given))], object)
    plan = SplitPlan(policy="file", path="x", **changes)  # type: ignore[arg-type]  # values of many types
    parts, report = assign(ids, ["A01"] * len(given), None, plan, given=np.array(given, np.int8))
    return parts.tolist(), report.documents


def test_val_and_calibration_are_cut_from_train_where_they_are_not_given() -> None:
    given = [TRAIN] * 200 + [TEST] * 50 + [NO_PART] * 30
    parts, counts = assigned(given)
    assert counts == {"train": 170, "val": 20, "calibration": 10, "test": 50}
    assert parts[200:] == given[200:]
    assert parts == assigned(given)[0] != assigned(given, seed=1)[0]
    parts, counts = assigned([TRAIN] * 200 + [VAL] * 7 + [TEST] * 50)
    assert counts == {"train": 190, "val": 7, "calibration": 10, "test": 50}
    assert parts[200:207] == [VAL] * 7
    whole = [TRAIN] * 200 + [VAL] * 7 + [CALIBRATION] * 3 + [TEST] * 50
    assert assigned(whole)[0] == whole
    assert assigned([TRAIN] * 200 + [TEST] * 50, calibration=0)[1]["calibration"] == 0
    assert assigned([TRAIN] * 200 + [VAL] * 7 + [TEST] * 50, val=0)[1] == counts  # val is given


def test_val_can_be_left_out_where_nothing_calibrates() -> None:
    given = [TRAIN] * 200 + [TEST] * 50
    assert assigned(given, val=0, calibration=0)[0] == given
    for parts, shares in ((given, {"val": 0}), ([*given, CALIBRATION], {"val": 0, "calibration": 0})):
        with pytest.raises(ConfigError, match=r"split\.val=0 leaves no documents"):
            assigned(parts, **shares)


def test_val_is_cut_by_groups_where_the_plan_keeps_them_together() -> None:
    given = np.array([TRAIN] * 400 + [TEST] * 50 + [NO_PART] * 30, np.int8)
    ids = [f"CN{row}" for row in range(480)]
    groups = np.where(np.arange(480) % 7 == 0, -1, np.arange(480) % 120)  # of four documents, some also in test
    plan = SplitPlan(policy="file", path="x", together="applicant")
    parts, report = assign(ids, ["A01"] * 480, (groups, [f"company {n}" for n in range(120)]), plan, given=given)
    assert report.documents == {"train": 340, "val": 40, "calibration": 20, "test": 50}
    assert parts[400:].tolist() == given[400:].tolist()
    of_train = np.flatnonzero((given == TRAIN) & (groups >= 0))
    assert all(len(set(parts[of_train[groups[of_train] == group]])) == 1 for group in set(groups[of_train]))
    with pytest.raises(DataError, match="policy file needs the group of every document"):
        assign(ids, ["A01"] * 480, None, plan, given=given)


def test_a_class_that_the_file_leaves_out_altogether_is_no_small_class() -> None:
    given = np.array([TRAIN] * 40 + [TEST] * 10 + [NO_PART] * 5 + [TEST], np.int8)
    classes = ["A01"] * 50 + ["B60"] * 5 + ["C07"]
    _, report = assign([f"CN{row}" for row in range(56)], classes, None, SplitPlan("file", path="x"), given=given)
    assert report.small_classes == {"C07": {"train": 0, "val": 0, "calibration": 0, "test": 1}}


def test_documents_in_no_part_survive_the_file_and_are_not_held_out(tmp_path: Path) -> None:
    parts = np.array([TRAIN, NO_PART, TEST, VAL, CALIBRATION], np.int8)
    save(tmp_path, list("abcde"), parts)
    assert load(tmp_path)[1].tolist() == parts.tolist()
    assert held_out(parts).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": "file"}, "needs either split.path=FILE.csv, or split.column"),
        ({"policy": "file", "path": "x", "column": "kind"}, "needs either"),
        ({"policy": "file", "column": "kind"}, "needs the values of the test part"),
        (
            {"policy": "file", "path": "x", "val_values": ["1"]},
            r"split.\*_values=\['1'\] require split.column, but split.path=x is set",
        ),
        ({"policy": "file", "column": "kind", "test_values": ["1"], "val_values": ["1"]}, "contain '1' twice"),
        ({"policy": "file", "path": "x", "unlisted": "test"}, "split.unlisted=test is unknown"),
        ({"policy": "file", "path": "x", "together": "kind"}, "split.together=kind is unknown; choose null or one"),
        ({"together": "applicant"}, "split.together=applicant belongs to policy file, not random; add split=file"),
        ({"path": "x"}, "split.path=x belongs to policy file, not random; add split=file"),
        (
            {"policy": "applicant", "test_values": ["1"]},
            r"split.test_values=\['1'\] belongs to policy file, not applicant",
        ),
        ({"unlisted": "drop"}, "split.unlisted=drop belongs to policy file"),
    ],
)
def test_plans_that_make_no_sense_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SplitPlan(**changes)  # type: ignore[arg-type]  # values of many types


def test_the_fingerprint_covers_the_content_of_the_file_and_not_its_place() -> None:
    plan = SplitPlan("file", path="a.csv")
    name = split_fingerprint("c", plan, "digest")
    assert name == split_fingerprint("c", SplitPlan("file", path="b.csv", test=0.3), "digest")
    others = [
        split_fingerprint("c", plan, "another"),
        split_fingerprint("c", SplitPlan("file", path="a.csv", val=0.2), "digest"),
        split_fingerprint("c", SplitPlan("file", path="a.csv", unlisted="drop"), "digest"),
    ]
    assert len({name, *others}) == 4


def test_other_policies_keep_the_names_of_their_splits() -> None:
    """Splits, and with them results, that were made before there was a policy ``file`` are still found."""
    assert split_fingerprint("c", SplitPlan()) == "68bc29ba4fb3"
