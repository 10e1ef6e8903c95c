import pytest

from patent_hier.markup import without_markup


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CO<sub>2</sub>和<SUP class='x'>14</SUP>C", "CO2和14C"),
        ("若a<b且b>c，R&D和AT&T;&foo;不变", "若a<b且b>c，R&D和AT&T;&foo;不变"),
        ("取a<b>c，但<i>x</i>为斜体", "取a<b>c，但x为斜体"),  # a variable, and a tag with its end
        ("甲<br/>乙<p id='1'>丙</p>", "甲\n乙\n丙\n"),
        ("5&nbsp;&#8451;&#x3c;&amp;lt;&amp;amp;&LT;&quot;", '5\xa0℃<<&<"'),
        ("&lt;sub&gt;3&lt;/sub&gt;", "3"),
        ("&#0;&#x1F;&#55296;&#x110000;", "���"),
        ("甲_x000D_\n乙_x0007__x005F_", "甲\n\n乙_"),
        ('="CN102345678A"', "CN102345678A"),
        ("='1' = \"2\"", "='1' = \"2\""),
        ('="说""明"""', '说"明"'),
        ("<!-- 注 -->甲<![CDATA[乙]]>", "甲乙"),
        ("<x>甲</x><figref idref='f1'>图1</figref>", "<x>甲</x>图1"),
    ],
)
def test_markup_is_removed_and_nothing_else(text: str, expected: str) -> None:
    assert without_markup(text) == expected


def test_no_markup_makes_it_slow() -> None:
    """Each of these took minutes where a pattern looked back."""
    for part in ("<!--", "<p ", "&amp;", "&amp", '="', "_x000D", "<b", "&#"):
        text = part * 30_000
        assert len(without_markup(text)) <= len(text)
