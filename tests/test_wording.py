import pytest

from patent_hier.wording import quantity


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (2, ("row",), "2 rows"),
        (1, ("class", "classes"), "1 class"),
        (12_345, ("class", "classes"), "12,345 classes"),
    ],
)
def test_the_noun_fits_the_number(count, words, said):
    assert quantity(count, *words) == said
