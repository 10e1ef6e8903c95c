"""What is opened by a name that others have chosen: regular files, and links to them, and nothing else."""

import gzip
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from patent_hier.artifacts import file_digest, find_damage, seal, verify
from patent_hier.errors import ArtifactError, DataError
from patent_hier.regular_files import open_regular, read_regular, require_regular
from patent_hier.text_files import csv_rows

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def linked_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def local_socket(path: Path) -> None:
    os.chdir(path.parent)  # a socket's name has 107 bytes at most
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(path.name)


IRREGULAR = [pipe, device, linked_pipe, local_socket]


@pytest.mark.parametrize("put", IRREGULAR)
def test_nothing_but_files_is_opened(
    put: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "labels.csv"
    put(path)
    for read in (open_regular, lambda path: read_regular(path, 10), require_regular):
        with pytest.raises(OSError, match="not a regular file"):
            read(path)
    with pytest.raises(DataError, match=r"labels\.csv"):
        file_digest(path)
    for name in ("labels.csv", "labels.csv.gz", "labels.csv.xz"):
        other = tmp_path / name
        if other != path:
            other.symlink_to(path)
        with pytest.raises(DataError, match="cannot read"):
            list(csv_rows(other))


@pytest.mark.parametrize("put", IRREGULAR)
def test_a_sealed_folder_in_which_a_file_was_replaced(
    put: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").touch()  # as large as a pipe says that it is
    seal(tmp_path, {})
    (tmp_path / "weights").unlink()
    put(tmp_path / "weights")
    assert find_damage(tmp_path) is not None
    with pytest.raises(ArtifactError, match=r"cannot use .*(weights|pipe): .* not a regular file"):
        verify(tmp_path)


def test_files_and_links_to_files(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"content")
    (tmp_path / "link").symlink_to("blob")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"content"
    assert read_regular(tmp_path / "link", 7) == b"content"
    require_regular(tmp_path / "link")
    require_regular(tmp_path)
    require_regular(tmp_path / "absent")
    with pytest.raises(OSError, match="more than 6 bytes"):
        read_regular(tmp_path / "link", 6)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)


def test_a_digest_reads_no_more_than_was_recorded(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"0123456789")
    assert file_digest(tmp_path / "log", 4) != file_digest(tmp_path / "log")
    (tmp_path / "start").write_bytes(b"0123")
    assert file_digest(tmp_path / "log", 4) == file_digest(tmp_path / "start")


def test_a_compressed_file_is_closed(tmp_path: Path) -> None:
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(b"code\nA\n"))
    assert list(csv_rows(tmp_path / "labels.csv.gz")) == [["code"], ["A"]]
