import errno
import json
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.artifacts import (
    MANIFEST,
    DigestCache,
    file_digest,
    find_damage,
    fingerprint,
    refuse_foreign,
    seal,
    verify,
    write_manifest,
)
from patent_hier.atomic import atomic_file, atomic_folder, exclusive, read_json, write_json
from patent_hier.errors import ArtifactError, ConfigError, DataError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def sealed(tmp_path):
    folder = tmp_path / "artifact"
    with atomic_folder(folder) as staging:
        (staging / "inner").mkdir()
        (staging / "a.txt").write_text("alpha")
        (staging / "inner" / "b.bin").write_bytes(bytes(range(256)))
        seal(staging, {"kind": "test"})
    return folder


@given(JSON)
def test_fingerprint_is_stable_over_a_round_trip(content):
    name = fingerprint(content)
    assert name == fingerprint(json.loads(json.dumps(content)))
    assert len(name) == 12
    assert set(name) <= set("0123456789abcdef")


def test_fingerprint_ignores_the_order_of_keys_only():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])
    assert fingerprint({"a": 1}) == "015abd7f5cc5"  # a constant: names of results must not change by themselves
    with pytest.raises(ValueError, match="JSON"):
        fingerprint(float("nan"))


def test_file_digest(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(DataError, match="nowhere"):
        file_digest(tmp_path / "nowhere")


def test_atomic_file_replaces_or_leaves_alone(tmp_path):
    path = tmp_path / "deep" / "x.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    with pytest.raises(UnicodeEncodeError), atomic_file(path) as temporary:
        temporary.write_text("two 摘要", "ascii")
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_atomic_folder_replaces_or_leaves_alone(tmp_path):
    path = tmp_path / "result"
    for word in ("one", "two"):
        with atomic_folder(path) as staging:
            (staging / word).write_text(word)
    with pytest.raises(FileNotFoundError), atomic_folder(path) as staging:
        (staging / "no such folder" / "three").write_text("")
    assert [file.name for file in path.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [path]


def test_files_of_a_folder_are_readable_as_the_umask_says(tmp_path):
    with atomic_folder(tmp_path / "result") as staging:
        (staging / "private").touch(0o600)
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "result" / "private").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (tmp_path / "result").stat().st_mode & 0o777 == 0o777 & ~mask


def test_atomic_folder_removes_what_a_killed_run_left(tmp_path):
    (tmp_path / ".partial-result-abc").mkdir()
    (tmp_path / ".partial-other-abc").mkdir()
    with atomic_folder(tmp_path / "result"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-other-abc", "result"]


def test_exclusive_waits(tmp_path):
    order = []

    def second():
        with exclusive(tmp_path / "x"):
            order.append("second")

    with exclusive(tmp_path / "x"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_others_who_share_a_folder_can_take_its_locks(tmp_path):
    before = os.umask(0)
    try:
        with exclusive(tmp_path / "shared"):
            (lock,) = (tmp_path / ".locks").iterdir()
            assert lock.stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


def test_json_is_for_readers_too(tmp_path):
    write_json(tmp_path / "x.json", {"甲": [1]})
    assert (tmp_path / "x.json").read_text("utf-8") == '{\n  "甲": [\n    1\n  ]\n}\n'


def test_json_round_trip(tmp_path):
    write_json(tmp_path / "x.json", {"b": "摘要", "a": None})
    assert "摘要" in (tmp_path / "x.json").read_text("utf-8")
    assert list(read_json(tmp_path / "x.json")) == ["b", "a"]
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "y.json", float("inf"))
    assert not (tmp_path / "y.json").exists()


@pytest.mark.parametrize("content", [None, b"{", b"\xff\xfe"])
def test_read_json_names_the_file(tmp_path, content):
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"x\.json"):
        read_json(tmp_path / "x.json")


def test_sealed_folder_is_complete_and_verifies(sealed):
    assert find_damage(sealed) is None
    verify(sealed)
    manifest = read_json(sealed / MANIFEST)
    assert manifest["kind"] == "test"
    assert set(manifest["files"]) == {"a.txt", "inner/b.bin"}
    assert manifest["files"]["inner/b.bin"]["bytes"] == 256


def test_truncated_or_missing_file_is_incomplete(sealed):
    (sealed / "inner" / "b.bin").write_bytes(b"short")
    assert find_damage(sealed) is not None
    (sealed / "inner" / "b.bin").unlink()
    assert find_damage(sealed) is not None
    with pytest.raises(ArtifactError, match=r"b\.bin is missing"):
        verify(sealed)


def test_changed_byte_is_found(sealed):
    (sealed / "a.txt").write_text("alphb")
    assert find_damage(sealed) == "a.txt"
    assert find_damage(sealed, only=("inner/b.bin",)) is None
    with pytest.raises(ArtifactError, match=r"a\.txt is damaged"):
        verify(sealed)
    verify(sealed, only=("inner/b.bin",))


@pytest.mark.parametrize("name", ["../a.txt", "/a.txt", "inner/../../a.txt", ".", "", "a\0.txt"])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(sealed, name):
    content = read_json(sealed / MANIFEST)
    content["files"][name] = content["files"]["a.txt"]
    del content["sha256"]
    write_manifest(sealed, content)
    with pytest.raises(ArtifactError, match="is outside its folder; patent_hier never writes such a manifest"):
        verify(sealed)


def test_only_a_folder_of_its_own_kind_is_replaced(sealed, tmp_path):
    refuse_foreign(tmp_path / "absent", "test")
    (tmp_path / "empty").mkdir()
    refuse_foreign(tmp_path / "empty", "test")
    refuse_foreign(sealed, "test")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.jpg").touch()
    for folder, kind in ((sealed, "report"), (tmp_path / "other", "test"), (sealed / "a.txt", "test")):
        with pytest.raises(ConfigError, match=f"exists and its manifest is not of kind {kind}, so it is not replaced"):
            refuse_foreign(folder, kind)


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"files": {"a.txt": {}}}', '{"files": []}'])
def test_damaged_manifest_is_incomplete(sealed, manifest):
    (sealed / MANIFEST).write_text(manifest)
    assert find_damage(sealed) is not None


def test_folder_without_manifest_is_incomplete(tmp_path):
    assert find_damage(tmp_path) is not None
    assert find_damage(tmp_path / "nowhere") is not None


def test_digest_cache_reads_a_file_once(tmp_path, monkeypatch):
    cache, file = DigestCache(tmp_path / "digests.json"), tmp_path / "x"
    file.write_bytes(b"abc")
    digest = cache.of(file)
    assert digest == file_digest(file)
    monkeypatch.setattr("patent_hier.artifacts.file_digest", lambda path: pytest.fail(f"{path} was read again"))
    assert cache.of(file) == digest
    assert DigestCache(tmp_path / "digests.json").of(file) == digest


def test_digest_cache_notices_a_change_and_survives_damage(tmp_path):
    cache, file = DigestCache(tmp_path / "digests.json"), tmp_path / "x"
    file.write_bytes(b"abc")
    first = cache.of(file)
    file.write_bytes(b"abcd")
    assert cache.of(file) != first
    for damage in ("{", "[]"):
        (tmp_path / "digests.json").write_text(damage)
        assert cache.of(file) == file_digest(file)
    with pytest.raises(DataError, match="nowhere"):
        cache.of(tmp_path / "nowhere")


def _says_the_same(one, other):
    """White space; or the name of the digest, without which a manifest is one of an older version."""
    try:
        return json.loads(one) == json.loads(other) or "sha256" not in json.loads(one)
    except ValueError:
        return False


def test_damage_is_found_wherever_it_is(sealed):
    assert find_damage(sealed) is None
    for file in [path for path in sealed.rglob("*") if path.is_file()]:
        good = file.read_bytes()
        for place in range(len(good)):
            changed = bytearray(good)
            changed[place] ^= 1
            file.write_bytes(changed)
            if file.name == MANIFEST and _says_the_same(bytes(changed), good):
                continue
            assert find_damage(sealed) == file.relative_to(sealed).as_posix(), place
        file.write_bytes(good)
    assert find_damage(sealed) is None


def test_a_manifest_reads_as_it_was_written(tmp_path):
    """Keys of numbers and tuples become what JSON has; the digest is of that."""
    seal(tmp_path, {"classes": {10: 1, 9: 2}, "sizes": (1, 2.5), "name": "专利"})
    assert find_damage(tmp_path) is None


def as_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of somebody else, whatever this user may do: no lock, no new file."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    monkeypatch.setattr("tempfile.mkstemp", refused)
    monkeypatch.setattr("os.access", lambda *_: False)


def test_what_is_finished_is_read_where_nothing_may_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.csv").write_text("a")
    digest = file_digest(tmp_path / "data.csv")
    as_another_user(monkeypatch)
    with exclusive(tmp_path / "artifact"):
        pass
    assert DigestCache(tmp_path / "digests.json").of(tmp_path / "data.csv") == digest
    assert not (tmp_path / "digests.json").exists()
    monkeypatch.setattr("os.access", lambda *_: True)  # the lock alone is another's: two might write at once
    with pytest.raises(PermissionError), exclusive(tmp_path / "artifact"):
        pass


def test_what_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.bin").write_text("a")
    seal(tmp_path, {"kind": "x"})

    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("patent_hier.artifacts.open_regular", refused)
    for find in (find_damage, verify):
        with pytest.raises(DataError, match=r"no permission to read .*data\.bin"):
            find(tmp_path)
    monkeypatch.setattr("patent_hier.atomic.read_regular", refused)
    with pytest.raises(DataError, match=r"no permission to read .*manifest\.json"):
        read_json(tmp_path / "manifest.json")
