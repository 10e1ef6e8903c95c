import ast
import csv
import io
from pathlib import Path

import pytest

import patent_hier
from patent_hier.data.corpus import harmless
from patent_hier.data.raw import Rejection
from patent_hier.sanitize import cell, lines, one_line
from patent_hier.taxonomy.symbols import RejectReason

FORMULAS = [
    *('=cmd|"/C calc"!A0', "+1+cmd", "-2+3+cmd", "@SUM(A1)", "=0.5", "-0.5=A1", "-", "--1", "-1-1", "+86 10 1234"),
    *("\t=1+1", "\r=1+1", "\n=1", "  =1+1", "\ufeff=1+1", "\t5", "＝1+1", "＋1", "－x", "＠x", "-１"),
]
HARMLESS = ["", "一种装置", "0.5", "-0.5", "+3", "-.5e-3", "1-2", "a=b", "'=1", " 装置", "CN101A", "（-）"]


@pytest.mark.parametrize("value", FORMULAS)
def test_formulas_begin_with_an_apostrophe(value: str) -> None:
    assert cell(value) == f"'{value}"


@pytest.mark.parametrize("value", [*HARMLESS, "１"])
def test_text_and_numbers_stay(value: str) -> None:
    assert cell(value) == value


def test_rejects_are_harmless() -> None:
    file = io.StringIO()
    values = [*FORMULAS, *HARMLESS, "\x1b]0;title\x07", "a\u202eb"]
    rejections = [Rejection(number, RejectReason.EMPTY, value) for number, value in enumerate(values)]
    csv.writer(file).writerows(map(harmless, rejections))
    file.seek(0)
    rows = list(csv.reader(file))
    assert [row[2] for row in rows] == [cell(one_line(value)) for value in values]
    assert all(row[2][:1] not in ("=", "@", "＝", "\t", "\r", "\x1b") for row in rows)


def test_every_table_of_foreign_text_is_made_of_harmless_cells() -> None:
    """Who adds a writer of CSV decides here whether its cells are foreign."""
    folder = Path(patent_hier.__file__).parent
    writers = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("writer", "DictWriter", "to_csv", "write_csv", "to_excel")
        and ast.unparse(node.value) in ("csv", "frame", "table", "pa_csv")
    }  # fmt: skip
    foreign = {"data/corpus.py", "inference/writers.py"}
    own = {"report/results.py", "data/demo_rows.py"}  # names of scores and numbers; invented rows
    assert writers == foreign | own
    for name in foreign:
        assert "import cell" in (folder / name).read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("一种\u3000装置 é😀", "一种\u3000装置 é😀"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m", "\\x9b31m"),
        ("\x1b]8;;file:///x\x07link", "\\x1b]8;;file:///x\\x07link"),
        ("a\rb\x08\x00\x7f", "a\\x0db\\x08\\x00\\x7f"),
        ("abc\u202ecba\u2066\u2028", "abc\\u202ecba\\u2066\\u2028"),
        ("name\udcff", "name\\udcff"),
        ("[red]x[/red] [link=x]", "[red]x[/red] [link=x]"),
    ],
)
def test_terminals_only_show(text: str, shown: str) -> None:
    assert one_line(text) == lines(text) == shown
    assert one_line(f"{text}\n\tb") == f"{shown}\\x0a\\x09b"
    assert lines(f"{text}\n\tb") == f"{shown}\n\tb"
