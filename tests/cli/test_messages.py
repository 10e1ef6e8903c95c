import os
import sys

import pytest
from hydra.errors import HydraException

from patent_hier.cli.messages import DEBUG, describe, exit_status, run_command
from patent_hier.cli.surroundings import watch_output
from patent_hier.errors import ArtifactError, ConfigError, IncompleteError


def _raise(error):
    def command(_):
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("seed=-1 is negative"), 2),
        (HydraException("no such group"), 2),
        (IncompleteError("node D is missing"), 1),
        (OSError(28, "No space left on device", "runs/x"), 1),
        (ZeroDivisionError("division by zero"), 1),
        (KeyError("two\nlines"), 1),
    ],
)
def test_every_error_becomes_one_line(error, status, capsys):
    assert run_command(_raise(error), []) == status == exit_status(error)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (10, 10)])
def test_a_command_may_have_a_status_of_its_own(returned, status, capsys):
    assert run_command(lambda _: returned, []) == status
    assert capsys.readouterr() == ("", "")


def test_message_of_several_lines_is_joined():
    assert describe(ArtifactError("a\n  b")) == "a b"


def test_unexpected_error_says_how_to_see_the_traceback():
    assert DEBUG in describe(ValueError("odd"))
    assert "ValueError" in describe(ValueError("odd"))


def test_os_error_names_the_file():
    assert "runs/x" in describe(OSError(28, "No space left on device", "runs/x"))


def test_debug_raises_the_error_itself(monkeypatch):
    monkeypatch.setenv(DEBUG, "1")
    with pytest.raises(ConfigError):
        run_command(_raise(ConfigError("x")), [])


def test_ctrl_c_is_no_error(capsys):
    assert run_command(_raise(KeyboardInterrupt()), []) == 130
    assert "run the same command again to continue" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "status"), [(None, 0), (0, 0), (3, 3), ("text", 1)])
def test_system_exit_keeps_its_status(code, status):
    assert run_command(_raise(SystemExit(code)), []) == status


def test_a_lost_output_ends_the_command(monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writer, "w"))
    monkeypatch.setattr(sys, "__stdout__", sys.stdout)
    watch_output()
    assert run_command(lambda _: print("x" * 100_000, flush=True), []) == 141
    sys.stdout.close()
    monkeypatch.undo()
    assert capsys.readouterr().err == ""


def test_a_broken_pipe_elsewhere_is_an_error(capsys):
    assert run_command(_raise(BrokenPipeError(32, "Broken pipe")), []) == 1
    assert "Broken pipe" in capsys.readouterr().err


def test_success_is_zero(capsys):
    assert run_command(lambda words: print(*words), ["a"]) == 0
    assert capsys.readouterr().out == "a\n"


def test_a_staging_place_is_told_by_its_name():
    lines = {
        describe(OSError(28, "No space left on device", f"c/.partial-demo-1a2b-{own}"))
        for own in ("ab_c12xy", "zzzzzzzz")
    }
    assert len(lines) == 1
    assert "device: c/demo-1a2b;" in lines.pop()
