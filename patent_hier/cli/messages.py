"""Errors as one line on standard error and an exit status other than 0."""

import contextlib
import dataclasses
import difflib
import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from patent_hier.cli.surroundings import OutputLostError, drop_output
from patent_hier.errors import ConfigError, MissingExtraError, PatentHierError
from patent_hier.sanitize import one_line

if TYPE_CHECKING:
    from hydra.errors import MissingConfigException

DEBUG = "PATENT_HIER_DEBUG"
_LAUNCHER = "hydra/launcher"
_STAGING = re.compile(r"\.partial-([^/]+)-[a-z0-9_]{8}(?![a-z0-9_])")  # temporary names of patent_hier.atomic
_EXTRAS = {"joblib": "joblib", "submitit_local": "cluster", "submitit_slurm": "cluster"}  # launcher -> its extra
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_PIPE_CLOSED = 141  # 128 + SIGPIPE


def run_command(command: Callable[[Sequence[str]], int | None], arguments: Sequence[str]) -> int:
    """Run one command and report whatever it raises as one line on standard error.

    Returns:
        The exit status: 0 or the command's own; after an error, the status of its class; 130 after Ctrl-C.
    """
    try:
        status = command(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, a failure can still be reported
    except SystemExit as stop:  # Hydra's own --help and --version
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        _tell("stopped; run the same command again to continue")
        return INTERRUPTED
    except OutputLostError as lost:
        drop_output()
        if lost.has_no_reader:
            return _PIPE_CLOSED
        _tell(f"error: cannot write to standard output ({lost.reason.strerror}); redirect it: > FILE")
        return PatentHierError.exit_status
    except Exception as error:  # the outermost frame: every error is reported
        if os.environ.get(DEBUG) == "1":
            raise
        _tell(f"error: {describe(error)}")
        return exit_status(error)
    return status or 0


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):  # standard error may be closed; the exit status remains
        print(line, file=sys.stderr, flush=True)


def exit_status(error: BaseException) -> int:
    """Return 2 for invalid settings and 1 for everything else, unless the error's class has its own status."""
    if isinstance(error, PatentHierError):
        return error.exit_status
    from hydra.errors import HydraException  # imported here, so that Ctrl-C during imports is handled too
    from omegaconf.errors import OmegaConfBaseException

    return ConfigError.exit_status if isinstance(error, HydraException | OmegaConfBaseException) else 1


def describe(error: BaseException) -> str:
    """Return an error as one line, safe to print: what is wrong, which value, and what to do."""
    return one_line(_STAGING.sub(r"\1", _describe(error)))


def _describe(error: BaseException) -> str:
    if isinstance(error, PatentHierError):
        return " ".join(str(error).split())
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, MissingConfigException):
        return _missing_choice(error)
    if isinstance(error, OverrideParseException):
        return (
            f"cannot read {error.override}; close every bracket, and quote values with brackets, commas or colons, "
            "as in 'data.path=\"a (1).csv\"'"
        )
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _setting(error)
    if "OutOfMemoryError" in type(error).__name__ or isinstance(
        error, MemoryError
    ):  # by name, so that torch is not imported
        return "out of memory; lower trainer.batch_size, trainer.score_batch_size or encoder.max_length"
    if isinstance(error, OSError):
        return _system(error)
    if number := re.search(r"\(os error (\d+)\)", str(error)):  # an error of a Rust library: safetensors, tokenizers
        return _system(OSError(int(number[1]), os.strerror(int(number[1]))))
    return f"unexpected {type(error).__name__}: {_first_line(error)}; please report it with the traceback ({DEBUG}=1)"


_ADVICE = {  # on errors of the operating system
    errno.ENOSPC: "free some space, or choose other folders with runs_dir=… and cache_dir=…",
    errno.EDQUOT: "free some space, or choose other folders with runs_dir=… and cache_dir=…",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.EROFS: "choose writable folders with runs_dir=… and cache_dir=…",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}


def _system(error: OSError) -> str:
    advice = _ADVICE.get(error.errno or 0, "check that the path exists and is writable")
    place = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or _first_line(error)}{place}; {advice}"


def _missing_choice(error: "MissingConfigException") -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    if group == _LAUNCHER and choice in _EXTRAS:
        return str(MissingExtraError(f"{group}: the plugin of {choice}", _EXTRAS[choice]))
    if not error.options or error.missing_cfg_file is None:
        return f"{_first_line(error)}; see --help for the groups and their choices"
    return f"{group}={choice} is unknown;{_closest(choice, error.options)} choose one of {', '.join(error.options)}"


def _setting(error: BaseException) -> str:
    """Return the line for an error of Hydra or OmegaConf, with the setting that the innermost cause names."""
    from omegaconf.errors import OmegaConfBaseException

    cause: OmegaConfBaseException | None = None
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OmegaConfBaseException) and link.full_key:
            cause = link
        link = link.__cause__ or link.__context__
    if cause is None:
        return f"{_first_line(error)}; see --help for the syntax of overrides"
    group: Any = cause.object_type
    known = [field.name for field in dataclasses.fields(group)] if dataclasses.is_dataclass(group) else []
    if known and str(cause.key) not in known:
        return _file(error) + unknown_setting(str(cause.full_key), known)
    return f"{_file(error)}{cause.full_key}: {_first_line(cause)}"


def unknown_setting(name: str, known: Sequence[str]) -> str:
    """Return the message for a setting that does not exist.

    Args:
        name: The setting with its groups, such as ``trainer.epochs``.
        known: The settings of the same group.
    """
    close = _closest(name.rpartition(".")[2], known)
    return f"unknown setting {name};{close} choose one of {', '.join(known)}"


def _file(error: BaseException) -> str:
    """Return the file of ``conf/`` that Hydra was reading, as a prefix; empty for the command line."""
    found = re.match(r"In '([^']+)': \w+ raised while composing config", str(error))
    return f"{found[1]}.yaml: " if found else ""


def _closest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" did you mean {close[0]}?" if close else ""


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
