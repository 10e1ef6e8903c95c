"""One line for every error, and an exit status that is not 0."""

import difflib
import os
import sys
from collections.abc import Callable, Sequence

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from patent_hier.errors import PatentHierError

DEBUG = "PATENT_HIER_DEBUG"
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def run_command(command: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> int:
    """Run one command and turn whatever it raises into a line on standard error.

    Returns:
        The exit status: 0, or what the error's class says; 130 after Ctrl-C.
    """
    try:
        command(arguments)
    except SystemExit as stop:  # Hydra's own --help and --version
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        print("stopped by the user; the same command continues with what is missing", file=sys.stderr)
        return _INTERRUPTED
    except Exception as error:  # the outermost frame: every error ends here as a line, never as silence
        if os.environ.get(DEBUG) == "1":
            raise
        print(f"error: {describe(error)}", file=sys.stderr)
        return error.exit_status if isinstance(error, PatentHierError) else 1
    return 0


def describe(error: BaseException) -> str:
    """The one line that says what is wrong, which value, and what to do."""
    if isinstance(error, PatentHierError):
        return " ".join(str(error).split())
    if isinstance(error, MissingConfigException):
        return _missing_choice(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _setting(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or ''}; check that the path exists and can be written"
    return f"unexpected {type(error).__name__}: {_first_line(error)}; please report it with the traceback ({DEBUG}=1)"


def _missing_choice(error: MissingConfigException) -> str:
    if not error.options or error.missing_cfg_file is None:
        return f"{_first_line(error)}; see --help for the groups and their choices"
    group, _, choice = error.missing_cfg_file.rpartition("/")
    return f"{group}={choice} is unknown;{_closest(choice, error.options)} choose one of {', '.join(error.options)}"


def _setting(error: BaseException) -> str:
    """Name the setting in Hydra's and OmegaConf's errors: the innermost cause knows it."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if not isinstance(cause, OmegaConfBaseException) or not cause.full_key:
        return f"{_first_line(error)}; see --help for the spelling of overrides"
    known = [str(name) for name in getattr(cause.object_type, "__dataclass_fields__", ())]
    if known and str(cause.key) not in known:
        return f"unknown setting {cause.full_key};{_closest(str(cause.key), known)} known here: {', '.join(known)}"
    return f"{cause.full_key}: {_first_line(cause)}"


def _closest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" did you mean {close[0]}?" if close else ""


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
