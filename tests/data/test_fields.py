import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patent_hier.data.fields import Fields, _odd_codes, decode
from patent_hier.data.raw import normalise

odd = st.text("甲é e\u0301\u3000\u2002\t\x1f\x85\u2126\uf900\u1100\u1161\u11a8가\u0344\u3099か\U0001d15e𠀀", max_size=8)
marked = st.lists(st.sampled_from(["甲", "<sub>", "</sub>", "&lt;", "&", ";", "_x000D_", '="', '"', " "]), max_size=6)
any_text = (
    odd | marked.map("".join) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
)
WIDTH = 3


@given(st.lists(st.tuples(*[any_text] * WIDTH), max_size=8))
@example([("\u1100\u1161", "가\u11a8", "e\u0301")])  # each composes to one character
def test_fields_are_normalised_as_one_by_one(rows: list[tuple[str, ...]]) -> None:
    flat = [field for row in rows for field in row]
    fields = Fields("\0".join(flat), np.arange(len(rows)) * WIDTH)
    wanted = np.arange(len(rows))[::2]
    for column in range(WIDTH):
        assert fields.raw(column, wanted).to_pylist() == [row[column] for row in rows[::2]]
        assert fields.normalised(column, wanted).to_pylist() == [normalise(row[column]) for row in rows[::2]]


def test_every_character_that_can_change_is_looked_at() -> None:
    """Unicode's own quick check, from the characters' properties: nothing outside the set is in No or Maybe."""
    codes = [code for code in range(1 << 16) if not 0xD800 <= code < 0xE000]
    odd_codes = _odd_codes()
    for code in codes:
        character = chr(code)
        changes = normalise(f"x{character}x") != f"x{character}x" and character != " "
        assert odd_codes[code] or not (changes or unicodedata.combining(character)), hex(code)
    for code in codes:  # the second half of every pair that NFC composes
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            assert odd_codes[int(parts[1], 16)], parts
    assert not odd_codes[0x4E00:0xA000].any()  # Chinese text stays on the quick way


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
@given(st.lists(st.binary(max_size=6).map(lambda field: field.replace(b"\0", b"")), min_size=1, max_size=8))
def test_decoding_together_finds_what_cannot_be_decoded_alone(encoding: str, parts: list[bytes]) -> None:
    text, broken = decode(b"\0".join(parts), encoding)
    fields = text.split("\0")
    ends = np.cumsum([len(part) + 1 for part in parts])
    bad = set(np.searchsorted(ends, broken, side="right").tolist())
    assert len(fields) == len(parts)
    for number, part in enumerate(parts):
        try:
            expected = part.decode(encoding)
        except UnicodeDecodeError:
            assert number in bad
        else:
            assert number not in bad
            assert fields[number] == expected
