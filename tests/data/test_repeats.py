from patent_hier.data.raw import TextFault
from patent_hier.data.repeats import Judged, Repeats
from patent_hier.reading.rows import RowFault, Rows
from tests.data.test_columns import cleaned, fields_of, rows_of

FIRST, SECOND, THIRD = (fields_of(公开号=f"CN10000000{number}A") for number in (1, 2, 3))
SAME_ID = fields_of(公开号="CN100000001A", 摘要="另一种收割机")


def judge(*batches: list[list[str]] | Rows) -> list[Judged]:
    """What becomes of consecutive rows."""
    judging = Repeats()
    found = [batch if isinstance(batch, Rows) else rows_of(*batch) for batch in batches]
    return [judging.judge(rows, cleaned(rows)) for rows in found]


def ids(judged: Judged) -> list[str]:
    return judged.documents["document_id"].to_pylist()


def reasons(judged: Judged) -> list[tuple[int, str]]:
    return [(rejection.line_number, str(rejection.reason)) for rejection in judged.rejections]


def test_a_row_that_came_before_is_a_duplicate() -> None:
    one, other = judge([FIRST, SECOND, FIRST], [SECOND, THIRD])
    assert (ids(one), one.duplicates) == (["CN100000001A", "CN100000002A"], 1)
    assert (ids(other), other.duplicates) == (["CN100000003A"], 1)
    assert one.rejections == other.rejections == []


def test_of_several_rows_with_one_id_the_first_stays() -> None:
    one, other = judge([FIRST, SAME_ID], [SAME_ID, fields_of(公开号="CN100000001A", 摘要="第三种收割机")])
    assert (ids(one), reasons(one)) == (["CN100000001A"], [(7, TextFault.REPEATED_ID)])
    assert one.rejections[0].value == ",".join(SAME_ID)
    assert other.duplicates == 1  # of a row that was rejected
    assert (ids(other), reasons(other)) == ([], [(7, TextFault.REPEATED_ID)])


def test_equal_number_text_and_symbol_are_a_duplicate_whatever_else_differs() -> None:
    other_title = fields_of(公开号="CN100000001A", 专利名称="另一个名称")
    other_symbol = fields_of(公开号="CN100000001A", 专利分类="B60K1/00")
    one, other = judge([FIRST, other_title, other_symbol], [other_title, other_symbol])
    assert (ids(one), one.duplicates, reasons(one)) == (["CN100000001A"], 1, [(8, TextFault.REPEATED_ID)])
    assert (ids(other), other.duplicates, reasons(other)) == ([], 2, [])


def test_a_row_without_a_label_is_rejected_once_and_keeps_no_id() -> None:
    unlabelled = fields_of(公开号="CN100000001A", 专利分类="x")
    (judged,) = judge([unlabelled, unlabelled, FIRST])
    assert (ids(judged), judged.duplicates) == (["CN100000001A"], 1)
    assert reasons(judged) == [(6, "malformed_symbol")]


def test_broken_rows_are_rejected_each_time() -> None:
    broken = Rows()
    for line in (1, 2):
        broken.add(line, "a,b", [], RowFault.TOO_FEW_FIELDS)
    one, other = judge(broken, broken)
    assert reasons(one) == reasons(other) == [(1, "too_few_fields"), (2, "too_few_fields")]
    assert one.duplicates == other.duplicates == 0


def test_duplicates_give_no_second_warning() -> None:
    odd = fields_of(申请日="昨天")
    (judged,) = judge([odd, odd])
    assert judged.warnings == ["unreadable_application_date"]
