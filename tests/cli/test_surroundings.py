"""Odd shells: each in a process of its own, since locale, streams, limits and signals belong to the whole process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from patent_hier.cli import surroundings
from patent_hier.cli.main import main
from patent_hier.cli.surroundings import Interruptions, refuse_odd_surroundings
from patent_hier.errors import ConfigError

COMMAND = f"{sys.executable} -m patent_hier"


def shell(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PYTHONPATH": str(Path(surroundings.__file__).parents[2]), **environment}
    return subprocess.run(["bash", "-c", line], cwd=cwd, env=given, capture_output=True, text=True, encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "status", "error"),
    [
        ("{} --help > /dev/full", 1, "error: cannot write to standard output (No space left on device)"),
        ("{} --help >&-", 1, "error: cannot write to standard output (it is closed)"),
        ("set -o pipefail; {} --help | true", 141, ""),
        ("{} predict 2>&-", 2, ""),
        ("{} --help > /dev/full 2>&1", 1, ""),
        ("mkdir x && cd x && rmdir ../x && {} --help", 2, "error: the working folder has been deleted"),
        ("ulimit -n 20; {} --help", 2, "error: only 20 files may be open at once; raise the limit: ulimit -n 64"),
    ],
)
def test_what_a_shell_may_lack(tmp_path: Path, line: str, status: int, error: str) -> None:
    done = shell(line.format(COMMAND), tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(error)
    assert done.stderr.count("\n") == bool(error)


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_words_in_chinese_in_every_locale(tmp_path: Path, locale: dict[str, str]) -> None:
    done = shell(f"{COMMAND} 模型", tmp_path, **locale)
    told = "模型" if "LC_ALL" in locale else "模型".encode("ascii", "backslashreplace").decode()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: unknown command {told};")


def test_what_an_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    code = "from patent_hier.cli.surroundings import watch_output; watch_output(); print('一')"
    done = shell(f'{sys.executable} -c "{code}"', tmp_path, PYTHONIOENCODING="latin-1")
    assert (done.stdout, done.stderr) == ("\\u4e00\n", "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_end_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals, status: int
) -> None:
    """The second signal comes while the first is answered: it changes nothing."""
    put_away = []

    def work(words: object) -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            put_away.append(True)

    monkeypatch.setattr("patent_hier.cli.main._begin_process", work)
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(number, signal.default_int_handler)  # whoever runs the tests may ignore it, as nohup does
    try:
        assert main() == status
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert put_away == [True]
    assert capsys.readouterr().err == "stopped; run the same command again to continue\n"


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    usual = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Interruptions() as interruptions:
            signal.raise_signal(signal.SIGHUP)
    finally:
        for one, handler in {**usual, signal.SIGHUP: before}.items():
            signal.signal(one, handler)
    assert interruptions.number is None


def test_the_usual_surroundings_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_odd_surroundings()
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    refuse_odd_surroundings()


def test_a_folder_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Path:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", gone)
    with pytest.raises(ConfigError, match="cd FOLDER"):
        refuse_odd_surroundings()
