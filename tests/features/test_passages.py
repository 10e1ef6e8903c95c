import gzip
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import DataError
from patent_hier.features import passages as module
from patent_hier.features.passages import is_held_out, read_passages

TEXT = "一种LED灯\n\n  \t\u3000\n 发光二极管 \r\n电路\u2028板\n最后"
PASSAGES = ["一种LED灯", "发光二极管", "电路\u2028板", "最后"]


def write(path: Path, content: bytes) -> Path:
    if path.suffix == ".xz":
        content = lzma.compress(content)
    if path.suffix == ".gz":
        content = gzip.compress(content)
    path.write_bytes(content)
    return path


def write_table(path: Path, **columns: list[object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def read(*files: Path) -> list[str]:
    return [passage for batch in read_passages(files) for passage in batch]


def refusal(file: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.xz", "a.txt.gz"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_lines_are_passages_and_empty_ones_are_none(tmp_path: Path, name: str, mark: bytes) -> None:
    assert read(write(tmp_path / name, mark + TEXT.encode())) == PASSAGES


def test_parquet(tmp_path: Path) -> None:
    file = write_table(tmp_path / "a.parquet", other=[1, 2, 3, 4], text=[" 甲\n乙 ", None, " ", "丙"])
    assert read(file) == ["甲\n乙", "丙"]


def test_files_in_their_order_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    one = write(tmp_path / "one.txt.xz", b"1\n2\n3")
    two = write_table(tmp_path / "two.parquet", text=["4", "5", "6"])
    empty = write(tmp_path / "empty.txt", b"\n\n")
    assert list(read_passages([two, empty, one, two])) == [["4", "5"], ["6"], ["1", "2"], ["3"], ["4", "5"], ["6"]]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.xz", "a.txt.gz"])
def test_bytes_that_are_not_utf_8(tmp_path: Path, name: str) -> None:
    assert "UTF-8" in refusal(write(tmp_path / name, "发光".encode("gb18030")))


@pytest.mark.parametrize("name", ["a.txt.xz", "a.txt.gz", "a.parquet"])
def test_truncated_and_damaged_files(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    text = [f"发光二极管{number * 7919}" for number in range(2000)]
    if file.suffix == ".parquet":
        write_table(file, text=list(text))
    else:
        write(file, "\n".join(text).encode())
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 64] = b"\xff" * 64
    for content in (whole[: len(whole) // 2], bytes(damaged), b"no such format"):
        file.write_bytes(content)
        refusal(file)


def test_other_files_are_refused(tmp_path: Path) -> None:
    assert "does not end in .txt, .xz, .gz, .parquet; convert it" in refusal(write(tmp_path / "a.csv", b"x"))
    assert "No such file" in refusal(tmp_path / "missing.txt")
    assert "no string column text" in refusal(write_table(tmp_path / "a.parquet", title=["甲"]))
    assert "no string column text" in refusal(write_table(tmp_path / "b.parquet", text=[1, 2]))


@given(st.text(), st.floats(1e-6, 0.5))
def test_what_is_held_out_follows_from_content_and_grows_with_the_share(passage: str, share: float) -> None:
    assert is_held_out(passage, share) == is_held_out("".join(list(passage)), share)
    assert not is_held_out(passage, share) or is_held_out(passage, 2 * share)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5])
def test_about_the_share_is_held_out(share: float) -> None:
    n = 20_000
    held_out = sum(is_held_out(f"第{number}段", share) for number in range(n))
    assert abs(held_out - n * share) < 4 * (n * share * (1 - share)) ** 0.5  # four standard deviations
