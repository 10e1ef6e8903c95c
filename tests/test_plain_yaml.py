import time

import pytest
import yaml

from patent_hier.plain_yaml import dump, load

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAUGHS, "line 1 has an anchor"),
        ("data:\n  text: *never\n", "line 2 has an anchor or an alias"),
        ("a: &a [*a]\n", "line 1 has an anchor"),
        ("a: {<<: &b {c: 1}}\n", "line 1 has an anchor"),
        ("[" * 100_000, "nested more than 32 levels deep"),
        ("{a: " * 5000, "nested more than 32 levels deep"),
        ("- " * 5000, "nested more than 32 levels deep"),
        ("a: !!python/object/apply:os.mkdir [x]\n", "could not determine a constructor"),
        ("a: [", "expected|while parsing"),
        ("a: " + "9" * 5000, "digits"),
    ],
)
def test_what_is_not_plain_is_refused_at_once(text: str, why: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ValueError, match=why):
        load(text)
    assert time.perf_counter() - start < 2


def test_values_come_back_and_none_has_an_alias() -> None:
    shared = ["摘要", "标题"]
    content = {"data": {"text": shared, "again": shared, "none": None, "number": 0.5, "text_like": "1e3", "off": "no"}}
    text = dump(content)
    assert "&" not in text
    assert "*" not in text
    assert load(text) == yaml.safe_load(text) == content
    assert list(load(dump({"b": 1, "a": 2}))) == ["b", "a"]


def test_as_deep_as_a_person_would() -> None:
    assert load("[" * 32 + "]" * 32)
