"""Safe creation and opening of the SQLite file of judgements; no other file is ever written.

Two numbers in SQLite's header identify our files and their version. They are read without taking a lock or writing a
byte before the file is opened for writing, so the database of another program stays unchanged.
"""

import contextlib
import errno
import os
import sqlite3
import tempfile
from pathlib import Path

from patent_hier.errors import ArtifactError, DataError
from patent_hier.regular_files import require_regular
from patent_hier.sanitize import reason

FEEDBACK_VERSION = 1  # version of the file format, SQLite's user_version
_APPLICATION_ID = 0x70684662  # "phFb"
_PATIENCE = 5.0  # seconds that a writer waits for other writers
_TABLE = """CREATE TABLE judgement (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  subject TEXT NOT NULL,
  request_id TEXT NOT NULL UNIQUE,
  text TEXT NOT NULL,
  text_field TEXT NOT NULL,
  context TEXT NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('right', 'corrected')),
  label TEXT NOT NULL,
  level TEXT NOT NULL,
  predicted TEXT,
  probability REAL,
  model_version TEXT NOT NULL,
  document_id TEXT
)"""
_INDEX = "CREATE INDEX newest ON judgement (subject, id)"


def open_file(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open a file of judgements; see :meth:`patent_hier.data.feedback.FeedbackStore.open` for arguments and errors."""
    try:
        if create and not path.exists():
            _create(path)
        _require_file(path)
        with contextlib.closing(_connect(path, "mode=ro&immutable=1")) as looked:  # takes no lock, writes nothing
            _require_ours(path, looked)
        connection = _connect(path, "mode=rw")
        try:
            _require_whole(path, connection)
            _set(connection)
        except BaseException:
            connection.close()
            raise
        return connection
    except FileNotFoundError as error:
        advice = "create its folder first" if create else "patent-hier serve MODEL --feedback FILE creates it"
        raise DataError(f"{path} does not exist; {advice}") from error
    except OSError as error:
        raise DataError(f"cannot use {path}: {error.strerror}; choose another file for judgements") from error
    except sqlite3.Error as error:
        raise DataError(
            f"cannot use {path} as a file of judgements ({reason(error)}); check the file and its permissions, or "
            "choose another file"
        ) from error


def _connect(path: Path, options: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?{options}"
    return sqlite3.connect(address, _PATIENCE, isolation_level=None, check_same_thread=False, uri=True)


def _create(path: Path) -> None:
    """Create an empty file of judgements in one step, without replacing an existing file."""
    handle, name = tempfile.mkstemp(prefix=f".partial-{path.name}-", dir=path.parent)  # with mode 0600
    os.close(handle)
    try:
        with contextlib.closing(_connect(Path(name), "mode=rw")) as connection:
            for statement in (
                "BEGIN IMMEDIATE",
                _TABLE,
                _INDEX,
                f"PRAGMA application_id = {_APPLICATION_ID}",  # a PRAGMA takes no parameters
                f"PRAGMA user_version = {FEEDBACK_VERSION}",
                "COMMIT",
            ):
                connection.execute(statement)
            _set(connection)
        with contextlib.suppress(FileExistsError):  # another process has just created it
            os.link(name, path)
        _sync_folder(path.parent)
    finally:
        Path(name).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make sure that the name of a new file survives a power failure; Windows offers no such call and needs none."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _require_file(path: Path) -> None:
    """Refuse pipes and devices, which would block SQLite, also under the names of its auxiliary files."""
    real = path.resolve(strict=True)
    for suffix in ("", "-wal", "-shm", "-journal"):
        require_regular(real.with_name(real.name + suffix))
    if real.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))


def _require_ours(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a file of another program or of a newer version by its header, before it is opened for writing."""
    try:
        (found,), (version,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
        )
    except sqlite3.DatabaseError:
        found = version = 0
    if found != _APPLICATION_ID:
        raise DataError(f"{path} is not a file of judgements and was not changed; choose another file")
    if version > FEEDBACK_VERSION:
        raise ArtifactError(
            f"{path} has version {version}, but this program supports only {FEEDBACK_VERSION}; use a newer patent_hier"
        )


def _require_whole(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a file with unexpected tables: a trigger or a view could change what our statements do."""
    found = {
        sql
        for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    }
    if found != {_TABLE, _INDEX}:
        raise ArtifactError(
            f"{path} has other tables than version {FEEDBACK_VERSION}, so it is not used; choose another file"
        )


def _set(connection: sqlite3.Connection) -> None:
    """Configure a connection; only the setting of the log is stored in the file.

    Raises:
        sqlite3.OperationalError: If the file system cannot share a write-ahead log.
    """
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError("this file system does not support a write-ahead log; use a local disk")
    connection.execute("PRAGMA synchronous = FULL")  # the log is synced at the end of each transaction
    connection.execute("PRAGMA secure_delete = ON")
