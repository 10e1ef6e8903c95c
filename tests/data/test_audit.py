import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from patent_hier.data.audit import RELATIONS, audit_split, leaked
from patent_hier.data.splits import CALIBRATION, NO_PART, PARTS, TEST, TRAIN, VAL

DAY = np.datetime64("2019-01-01")


def examined(codes, parts, policy="random", days=None):
    parts = np.array(parts, np.int8)
    same = dict.fromkeys(RELATIONS, np.array(codes))
    return audit_split(same, np.full(len(parts), DAY) if days is None else days, parts, policy)


def test_what_is_counted():
    #        two in train and test | alone, by code | three: train, val, val | two in test | alone by a negative code
    codes = [0, 0, 1, 2, 2, 2, 3, 3, -1, -1]
    parts = [TRAIN, TEST, TEST, TRAIN, VAL, VAL, TEST, TEST, TRAIN, TEST]
    found = examined(codes, parts).relations[0]
    assert (found.groups, found.documents, found.torn) == (3, 7, 2)
    assert found.leaked == {"val": 2, "calibration": 0, "test": 1}
    assert found.shares == {"val": 1.0, "calibration": 0.0, "test": 0.2}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 6), st.integers(0, 3)), min_size=1, max_size=60))
def test_leaked_equals_a_plain_search(rows):
    codes, parts = (np.array(column) for column in zip(*rows, strict=True))
    expected = [part != TRAIN and code >= 0 and any(c == code and p == TRAIN for c, p in rows) for code, part in rows]
    assert leaked(codes, parts.astype(np.int8)).tolist() == expected
    torn = {code for code, _ in rows if code >= 0 and len({p for c, p in rows if c == code}) > 1}
    assert examined(codes, parts).relations[2].torn == len(torn)


def test_promises():
    whole, torn = ([0, 0, 1, 2], [TRAIN, TRAIN, VAL, TEST]), ([0, 0, 1, 2], [TRAIN, TEST, VAL, TEST])
    for policy in ("deduplicated", "family", "applicant"):
        assert examined(*whole, policy).broken == 0
        assert examined(*torn, policy).broken == 1
    assert examined(*torn).broken == 0
    assert examined(*torn).promise is None


def test_documents_in_no_part_are_not_examined():
    codes = [0, 0, 1, 2, 2]
    parts = [TRAIN, NO_PART, NO_PART, TEST, NO_PART]
    found = examined(codes, parts, "file")
    assert found.documents == {"train": 1, "val": 0, "calibration": 0, "test": 1}
    assert (found.relations[0].groups, found.relations[0].torn, found.relations[0].leaked["test"]) == (0, 0, 0)
    assert (found.promise, found.broken) == (None, 0)


def test_days_in_order():
    days = DAY + np.array([0, 1, 2, 3])
    parts = [TRAIN, CALIBRATION, VAL, TEST]
    assert examined([0, 1, 2, 3], parts, "date", days).broken == 0
    assert examined([0, 1, 2, 3], parts[::-1], "date", days).broken == 3
    days[0] = np.datetime64("NaT")
    found = examined([0, 1, 2, 3], parts, "date", days)
    assert found.broken == 0
    assert found.dates["train"] == {"first": None, "last": None, "without": 1}
    assert found.dates["test"] == {"first": "2019-01-04", "last": "2019-01-04", "without": 0}
    same_day = examined([0, 1, 2, 3], parts, "date", np.full(4, DAY))
    assert same_day.broken == 3
    assert list(same_day.documents) == list(PARTS)
