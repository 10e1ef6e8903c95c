"""One line for every error, and an exit status that is not 0."""

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
_STAGING = re.compile(r"\.partial-([^/]+)-[a-z0-9_]{8}(?![a-z0-9_])")  # of patent_hier.atomic; other each time
_EXTRAS = {"joblib": "joblib", "submitit_local": "cluster", "submitit_slurm": "cluster"}  # the extra of a launcher
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_PIPE_CLOSED = 141  # 128 + SIGPIPE


def run_command(command: Callable[[Sequence[str]], int | None], arguments: Sequence[str]) -> int:
    """Run one command and turn whatever it raises into a line on standard error.

    Returns:
        The exit status: 0, or the one that the command returns; what the error's class says; 130 after Ctrl-C.
    """
    try:
        status = command(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a failure still has a line and a status
    except SystemExit as stop:  # Hydra's own --help and --version
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        _tell("stopped; the same command continues with what is missing")
        return INTERRUPTED
    except OutputLostError as lost:
        drop_output()
        if lost.has_no_reader:
            return _PIPE_CLOSED
        _tell(f"error: standard output cannot be written ({lost.reason.strerror}); send it elsewhere: > FILE")
        return PatentHierError.exit_status
    except Exception as error:  # the outermost frame: every error ends here as a line, never as silence
        if os.environ.get(DEBUG) == "1":
            raise
        _tell(f"error: {describe(error)}")
        return exit_status(error)
    return status or 0


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it; the status remains
        print(line, file=sys.stderr, flush=True)


def exit_status(error: BaseException) -> int:
    """2 for settings that cannot be meant, 1 for everything else, unless the error's class says otherwise."""
    if isinstance(error, PatentHierError):
        return error.exit_status
    from hydra.errors import HydraException  # here: a Ctrl-C while libraries are imported is answered like any other
    from omegaconf.errors import OmegaConfBaseException

    return ConfigError.exit_status if isinstance(error, HydraException | OmegaConfBaseException) else 1


def describe(error: BaseException) -> str:
    """The one line that says what is wrong, which value, and what to do; a terminal only shows it."""
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
            f"cannot read {error.override}; close every bracket, and put values with brackets, commas or colons in "
            "quotes, as in 'data.path=\"a (1).csv\"'"
        )
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _setting(error)
    if "OutOfMemoryError" in type(error).__name__ or isinstance(error, MemoryError):  # by name: torch stays away
        return "out of memory; lower trainer.batch_size, trainer.score_batch_size or encoder.max_length"
    if isinstance(error, OSError):
        return _system(error)
    if number := re.search(r"\(os error (\d+)\)", str(error)):  # of libraries in Rust: safetensors, tokenizers
        return _system(OSError(int(number[1]), os.strerror(int(number[1]))))
    return f"unexpected {type(error).__name__}: {_first_line(error)}; please report it with the traceback ({DEBUG}=1)"


_ADVICE = {  # of the system's errors
    errno.ENOSPC: "free space there, or choose other folders by runs_dir=… and cache_dir=…",
    errno.EDQUOT: "free space there, or choose other folders by runs_dir=… and cache_dir=…",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "choose folders that can be written by runs_dir=… and cache_dir=…",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}


def _system(error: OSError) -> str:
    advice = _ADVICE.get(error.errno or 0, "check that the path exists and can be written")
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
    """Name the setting in Hydra's and OmegaConf's errors: the innermost cause knows it."""
    from omegaconf.errors import OmegaConfBaseException

    cause: OmegaConfBaseException | None = None
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OmegaConfBaseException) and link.full_key:
            cause = link
        link = link.__cause__ or link.__context__
    if cause is None:
        return f"{_first_line(error)}; see --help for the spelling of overrides"
    group: Any = cause.object_type
    known = [field.name for field in dataclasses.fields(group)] if dataclasses.is_dataclass(group) else []
    if known and str(cause.key) not in known:
        return _file(error) + unknown_setting(str(cause.full_key), known)
    return f"{_file(error)}{cause.full_key}: {_first_line(cause)}"


def unknown_setting(name: str, known: Sequence[str]) -> str:
    """Return the message for a setting that does not exist.

    Args:
        name: With its groups, as ``trainer.epochs``.
        known: The settings that there are beside it.
    """
    close = _closest(name.rpartition(".")[2], known)
    return f"unknown setting {name};{close} known here: {', '.join(known)}"


def _file(error: BaseException) -> str:
    """The file of ``conf/`` that Hydra was reading, for the beginning of a line; empty for the command line."""
    found = re.match(r"In '([^']+)': \w+ raised while composing config", str(error))
    return f"{found[1]}.yaml: " if found else ""


def _closest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" did you mean {close[0]}?" if close else ""


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
