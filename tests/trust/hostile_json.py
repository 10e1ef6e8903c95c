"""Hostile requests by their content: JSON, values, texts."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.trust.attack import MARK, SECRET, TEXT, Attack, asked

_WRONG: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    "",
    SECRET,
    [],
    {},
    [SECRET],
    {SECRET: SECRET},
    [[]],
    2**63,
    2**70,
    -(2**63),
]
_FIELDS = (
    "text",
    "texts",
    "top_k",
    "target_accuracy",
    "force",
    "explain",
    "neighbours",
    "__class__",
    "_target_",
    SECRET,
)


def bodies(random: Random) -> Iterator[Attack]:
    """What is no question at all, or no JSON."""
    deep = random.randrange(50_000, 120_000)
    for body in (
        b"[" * deep,
        b'{"a":' * deep,
        b'{"text":' + b"[" * deep + b"]" * deep + b"}",
        b'{"texts":[' + b"[" * deep,
    ):
        yield Attack("deep JSON", (asked(body, random.choice(("/predict", "/batch"))),))
    digits = b"9" * random.choice((400, 5000, 200_000))
    for body in (
        b'{"text":"x","top_k":%s}' % digits,
        b'{"text":"x","target_accuracy":%s}' % digits,
        digits,
        b"-" + digits,
        b'{"text":"x","top_k":1e999999}',
        b'{"text":"x","neighbours":1%s}' % (b"0" * 4000),
    ):
        yield Attack("huge numbers", (asked(body),))


def fields(random: Random) -> Iterator[Attack]:
    """Numbers that are none, and names that are too many."""
    for number in (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-0.0", b"5e-324"):
        for field in (b"target_accuracy", b"top_k", b"neighbours", b"explain", b"force"):
            yield Attack("NaN and infinity", (asked(b'{"text":"x","%s":%s}' % (field, number)),))
    yield Attack("duplicate keys", (asked(b'{"text":"a",' + b'"text":"%s",' % MARK * 5000 + b'"text":"b"}'),))
    yield Attack("many keys", (asked(json.dumps({f"{SECRET}{n}": n for n in range(4000)}).encode()),))


def encodings(random: Random) -> Iterator[Attack]:
    """Bytes that are no JSON in UTF-8, or hardly."""
    for body in (
        b"\xc4\xe3\xba\xc3",
        f'{{"text":"{TEXT}绝密"}}'.encode("gb18030"),
        b"\xff\xfe" + '{"text":"x"}'.encode("utf-16-le"),
        b"\xef\xbb\xbf" + b'{"text":"x"}',
        b"\0" * 1000,
        b'{"text":"\xed\xa0\x80"}',
        b"",
        b"null",
        MARK,
        b'{"text":"x"} ' + MARK,
        random.randbytes(3000),
        b'{"text":"\\uZZZZ"}',
        b"'text'",
        b'{"text":"a\0b"}',
    ):
        yield Attack("encodings", (asked(body, random.choice(("/predict", "/batch"))),))


def values(random: Random) -> Iterator[Attack]:
    """JSON with values of wrong types."""
    for path in ("/predict", "/batch"):
        for field in _FIELDS:
            question = {
                "text" if path == "/predict" else "texts": TEXT if path == "/predict" else [TEXT],
                field: random.choice(_WRONG),
            }
            yield Attack("wrong types", (asked(json.dumps(question).encode(), path),))
    for body in ("1", '"x"', "true", f"[{json.dumps(SECRET)}]", "[[[]]]"):
        yield Attack("wrong types", (asked(body.encode(), random.choice(("/predict", "/batch"))),))


def texts(random: Random) -> Iterator[Attack]:
    """Questions as they should be, with texts as they should not."""
    letters = "".join(
        chr(random.choice((random.randrange(0x4E00, 0x9FFF), random.randrange(0x20, 0x7F)))) for _ in range(19_000)
    )
    for text in (
        "\0",
        f"{SECRET}\0{SECRET}",
        "\ud800",
        f"{SECRET}\udfff",
        "</script><script>alert(1)</script>" + SECRET,
        "\u202e" + SECRET,
        "=cmd|' /C calc'!A0",
        "{{7*7}}${7*7}%s%n",
        "a\u0301" * 9000,
        "\u0344" * 19_000,
        "🙂" * 20_000,
        letters,
        letters * 2,
        " ",
        "\ufdfa" * 20_000,
        "，" * 20_000,
        "１" * 20_000,
        "\ue000" * 100,
        SECRET * 2000,
        "\x1b[31m" + SECRET,
        "a" * 250_000,
    ):
        yield Attack("texts", (asked(json.dumps({"text": text}).encode()),))
    many = [
        random.choice((SECRET, "\ud800", "", " ", TEXT, "字" * 300)) for _ in range(random.choice((1, 99, 101, 5000)))
    ]
    yield Attack("batches", (asked(json.dumps({"texts": many}).encode(), "/batch"),))
    yield Attack(
        "explain",
        (asked(json.dumps({"text": TEXT * random.randrange(1, 30), "explain": True, "neighbours": 20}).encode()),),
    )
