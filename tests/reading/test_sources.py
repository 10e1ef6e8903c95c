import gzip
import io
import os
import sys
import zipfile
from pathlib import Path

import pytest

from patent_hier import text_files
from patent_hier.errors import DataError
from patent_hier.reading.sources import Source, find_parts


def named(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"a,b\n")


def test_parts_are_in_natural_order(tmp_path: Path) -> None:
    named(tmp_path, "y10.csv", "y2.csv", "y1.tsv.gz", ".hidden", "~$y1.xlsx")
    assert [part.name for part in find_parts(tmp_path)] == ["y1.tsv.gz", "y2.csv", "y10.csv"]
    assert [part.name for part in find_parts(f"{tmp_path}/y*.csv")] == ["y2.csv", "y10.csv"]
    given = [str(tmp_path / "y10.csv"), f"{tmp_path}/y[12].*"]
    assert [part.name for part in find_parts(given)] == ["y10.csv", "y1.tsv.gz", "y2.csv"]


def test_a_name_may_look_like_a_pattern(tmp_path: Path) -> None:
    named(tmp_path, "a[1].csv")
    assert find_parts(str(tmp_path / "a[1].csv")) == [tmp_path / "a[1].csv"]


def test_what_names_no_parts(tmp_path: Path) -> None:
    for given, message in (
        ([], r"data.path=\[\] names no file"),
        (f"{tmp_path}/*.csv", "no file matches"),
        (tmp_path, "contains no tables"),
    ):
        with pytest.raises(DataError, match=message):
            find_parts(given)
    named(tmp_path, "a.csv", "notes.docx")
    with pytest.raises(DataError, match=r"notes\.docx is not a table; move it"):
        find_parts(tmp_path)
    (tmp_path / "notes.docx").unlink()
    (tmp_path / "deeper").mkdir()
    with pytest.raises(DataError, match="deeper is not a regular file"):
        find_parts(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices are POSIX's")
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name in ("pipe.csv", "zero.csv"):
        with pytest.raises(DataError, match=f"{name} is not a regular file"):
            Source(tmp_path / name)
    with pytest.raises(DataError, match="is not a regular file"):
        find_parts(tmp_path)
    with pytest.raises(DataError, match="is not a regular file"):
        Source(tmp_path)
    with pytest.raises(DataError, match="is not a valid file name"):
        Source(tmp_path / "a\0b")


def packed(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, inner in files.items():
            archive.writestr(name, inner)
    return content.getvalue()


def test_an_archive_has_one_file(tmp_path: Path) -> None:
    path = tmp_path / "raw.zip"
    path.write_bytes(packed({"a.csv": b"1", "b.csv": b"2"}))
    with pytest.raises(DataError, match="is a zip archive of 2 files instead of one"):
        Source(path)
    path.write_bytes(packed({"a/.DS_Store": b"", "a/b.csv": b"12"}))
    with Source(path) as source:
        assert (source.compression, source.whole()) == ("zip", b"12")


@pytest.mark.parametrize("name", ["gzip", "zip", "workbook"])
def test_bombs_are_refused_before_they_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(text_files, "_ALWAYS", 1 << 16)
    path, zeros = tmp_path / "raw", b"\0" * (1 << 22)
    made = {
        "gzip": gzip.compress(zeros),
        "zip": packed({"a.csv": zeros}),
        "workbook": packed({"[Content_Types].xml": b"", "xl/a.xml": zeros}),
    }
    path.write_bytes(made[name])
    with pytest.raises(DataError, match="more than 250 times its size"):
        Source(path).whole()


def test_what_was_read_is_counted_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "raw.gz"
    path.write_bytes(gzip.compress(os.urandom(5000)))
    with Source(path) as source:
        assert source.peek(3) == source.peek(9)[:3]
        assert len(source.whole()) == 5000
        assert source.position == source.size == path.stat().st_size
