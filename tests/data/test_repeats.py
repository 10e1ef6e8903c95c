import numpy as np

from patent_hier.data import repeats
from patent_hier.data.raw import TextFault
from patent_hier.data.repeats import Part, Repeats
from tests.data.test_columns import cleaner, line

FIRST, SECOND, THIRD = (line(公开号=f"CN10000000{number}A") for number in (1, 2, 3))
SAME_ID = line(公开号="CN100000001A", 摘要="另一种收割机")
BROKEN = b"a,b\r\n"


def judge(*pieces: bytes, lines: int = 1) -> list[Part]:
    """What becomes of a file's pieces after its header."""
    cleans = cleaner()
    judging = Repeats(cleans, lines)
    return [judging.judge(piece, cleans.clean(piece)) for piece in pieces]


def ids(part: Part) -> list[str]:
    return part.documents["document_id"].to_pylist()


def reasons(part: Part) -> list[tuple[int, str]]:
    return [(row, str(rejection.reason)) for row, rejection in part.rejections]


def test_a_row_that_came_before_is_a_duplicate() -> None:
    one, other = judge(FIRST + SECOND + FIRST, SECOND + THIRD)
    assert (ids(one), one.duplicates.tolist()) == (["CN100000001A", "CN100000002A"], [2])
    assert (ids(other), other.duplicates.tolist()) == (["CN100000003A"], [0])
    assert (one.numbers.tolist(), other.numbers.tolist()) == ([0, 1], [1])
    assert one.rejections == other.rejections == []


def test_of_several_rows_with_one_id_the_first_stays() -> None:
    one, other = judge(FIRST + SAME_ID, SAME_ID + line(公开号="CN100000001A", 摘要="第三种收割机"))
    assert (ids(one), reasons(one)) == (["CN100000001A"], [(1, TextFault.REPEATED_ID)])
    assert one.rejections[0][1].value == SAME_ID.decode("gb18030").strip()
    assert other.duplicates.tolist() == [0]  # of a row that was rejected
    assert (ids(other), reasons(other)) == ([], [(1, TextFault.REPEATED_ID)])


def test_a_row_without_a_label_is_rejected_once_and_keeps_no_id() -> None:
    unlabelled = line(公开号="CN100000001A", 专利分类="x")
    (part,) = judge(unlabelled + unlabelled + FIRST)
    assert (ids(part), part.duplicates.tolist()) == (["CN100000001A"], [1])
    assert reasons(part) == [(0, "malformed_symbol")]


def test_broken_rows_are_rejected_each_time() -> None:
    one, other = judge(BROKEN + FIRST + BROKEN, BROKEN)
    assert reasons(one) == [(0, "too_few_fields"), (2, "too_few_fields")]
    assert reasons(other) == [(0, "too_few_fields")]
    assert [part.duplicates.tolist() for part in (one, other)] == [[], []]


def test_lines_are_those_of_the_file_and_rejections_in_order() -> None:
    quoted = line(公开号="CN100000002A", 摘要="甲\n乙")
    one, other = judge(FIRST + quoted + b"\r\n", SAME_ID + BROKEN + THIRD + SAME_ID, lines=3)
    assert one.documents["line_number"].to_pylist() == [4, 5]  # the second has two lines, and an empty one follows
    assert other.documents["line_number"].to_pylist() == [10]
    assert [(row, rejection.line_number) for row, rejection in other.rejections] == [(0, 8), (1, 9)]
    assert other.duplicates.tolist() == [3]
    assert (one.rows, other.rows) == (2, 4)


def test_duplicates_give_no_second_warning() -> None:
    odd = line(申请日="昨天")
    (part,) = judge(odd + odd)
    assert part.warnings == [(0, "unreadable_application_date")]


def test_many_are_left_out_like_few() -> None:
    names = [f"CN{200000000 + number}A" for number in range(2 * repeats._MANY + 10)]
    rows = [line(公开号=name) for name in names]
    for step in (2, 10):  # more than _MANY, and fewer
        _, part = judge(b"".join(rows[::step]), b"".join(rows))
        assert ids(part) == [name for number, name in enumerate(names) if number % step]
        assert (len(part.duplicates) > repeats._MANY) == (step == 2)


def test_a_part_is_cut_between_any_two_rows() -> None:
    odd = line(公开号="CN100000004A", 申请日="昨天")
    (whole,) = judge(FIRST + BROKEN + FIRST + odd + SAME_ID + SECOND)
    for rows in range(whole.rows + 1):
        head, tail = whole.split(rows)
        assert (head.rows, tail.rows) == (rows, whole.rows - rows)
        assert ids(head) + ids(tail) == ids(whole)
        for name in ("numbers", "duplicates"):
            own = getattr(whole, name)
            assert np.array_equal(getattr(head, name), own[own < rows])
            assert np.array_equal(getattr(tail, name), own[own >= rows] - rows)
        assert head.rejections + [(row + rows, rejection) for row, rejection in tail.rejections] == whole.rejections
        assert head.warnings + [(row + rows, name) for row, name in tail.warnings] == whole.warnings
        assert all(row < rows for row, _ in (*head.rejections, *head.warnings))
