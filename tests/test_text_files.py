import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from patent_hier import text_files
from patent_hier.data.label_text import read_label_texts
from patent_hier.errors import DataError
from patent_hier.features.passages import read_passages
from patent_hier.taxonomy.tree import LabelTree
from patent_hier.text_files import MOST_TIMES, open_lines

OPENERS: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open, ".txt": open}
READERS: dict[str, Callable[[Path], object]] = {
    "passages": lambda file: sum(len(batch) for batch in read_passages([file])),
    "titles": LabelTree.from_table,
    "label texts": lambda file: read_label_texts(file, ("class",), "2017"),
}
MIB = 1 << 20


@pytest.mark.parametrize("suffix", OPENERS)
def test_lines(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"text{suffix}"
    with OPENERS[suffix](file, "wb") as stream:
        stream.write("\ufeff一种\r\n装置\n\n没有结尾".encode())
    with open_lines(file) as lines:
        assert list(lines) == ["一种\n", "装置\n", "\n", "没有结尾"]
    with open_lines(file, newline="") as lines:
        assert list(lines) == ["一种\r\n", "装置\n", "\n", "没有结尾"]


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MOST_CHARACTERS", 1 << 16)
    monkeypatch.setattr(text_files, "_ALWAYS", 1 << 18)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", [".xz", ".gz"])
@pytest.mark.parametrize("content", [b"\0" * MIB, b"a" * MIB, b"a\n" * (MIB // 2)], ids=["zeros", "line", "lines"])
@pytest.mark.parametrize("start", ["", "code,level,title\nA01,class,"], ids=["bare", "header"])
def test_bombs_are_not_read_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, suffix: str, content: bytes, start: str
) -> None:
    file = tmp_path / f"bomb{suffix}"
    with OPENERS[suffix](file, "wb") as stream:
        stream.write(start.encode())
        for _ in range(24):
            stream.write(content)
    assert file.stat().st_size * MOST_TIMES < 24 * MIB
    become = 0

    def counted(inner: Any, buffer: Any) -> int:
        nonlocal become
        count = readinto(inner, buffer)
        become += count
        return count

    readinto = text_files._Bounded.readinto
    monkeypatch.setattr(text_files._Bounded, "readinto", counted)
    with pytest.raises(DataError, match="bomb") as caught:
        READERS[reader](file)
    assert len(str(caught.value).splitlines()) == 1
    assert become < 12 * MIB


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("reader", READERS)
def test_long_lines_of_plain_files_are_refused(tmp_path: Path, reader: str) -> None:
    file = tmp_path / "long.txt"
    file.write_text("code,level,title\nA01,class," + "装" * 70_000, "utf-8")
    with pytest.raises(DataError, match="line 2"):
        READERS[reader](file)


@pytest.mark.parametrize("suffix", [".xz", ".gz"])
def test_the_limit_is_beyond_honest_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """Even one sentence with changing numbers, again and again, is compressed less."""
    monkeypatch.setattr(text_files, "_ALWAYS", 0)
    file = tmp_path / f"text{suffix}"
    lines = [f"本发明公开了一种喷气织机的引纬装置，编号{n * 7919 % 100_003}。" for n in range(50_000)]
    with OPENERS[suffix](file, "wb") as stream:
        stream.write("\n".join(lines).encode())
    assert [line for batch in read_passages([file]) for line in batch] == lines
    assert 3 * len("\n".join(lines).encode()) < 2 * MOST_TIMES * file.stat().st_size
