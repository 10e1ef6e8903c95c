"""Errors that a user can act on.

Every message is one line: what is wrong, which value, what to do. The command line prints only the message and exits
with ``exit_status``; a traceback appears only with ``PATENT_HIER_DEBUG=1``.
"""

from collections.abc import Sequence
from pathlib import Path

_SHOWN = 40  # characters of a wrong value that a message quotes
_MOST = 1000  # characters kept at each end of a long message


class PatentHierError(Exception):
    """Base class of all errors that this project raises on purpose."""

    exit_status = 1

    def __str__(self) -> str:
        """Return the message; the middle is cut out if the content of a file has made it very long."""
        message = super().__str__()
        return message if len(message) <= 2 * _MOST else f"{message[:_MOST]} ... {message[-_MOST:]}"


class ConfigError(PatentHierError):
    """A setting is unknown, out of range or contradicts another."""

    exit_status = 2


class MissingExtraError(ConfigError):
    """A package is missing that only an optional extra installs.

    Args:
        package: The name of the package and its purpose, as the beginning of the message.
        extra: The extra in ``pyproject.toml``.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package, extra)  # all arguments, so that the error survives pickling

    def __str__(self) -> str:
        package, extra = self.args
        return f"{package} is not installed; install it: {_installation(extra)}"


def _installation(extra: str) -> str:
    """Return the command that installs an extra, for the checkout that contains this code or the installed package."""
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / "pyproject.toml").is_file():
        return f'pip install "patent_hier[{extra}]"'
    return f'pip install -e "{"." if checkout == Path.cwd() else checkout}[{extra}]"'


class UnknownLabelError(ConfigError):
    """A label does not exist in the system.

    Args:
        label: The label as the user wrote it.
        near: Similar known labels.

    Attributes:
        near: Similar known labels.
    """

    def __init__(self, label: str, near: Sequence[str]) -> None:
        super().__init__(label, near)  # all arguments, so that the error survives pickling
        self.near = tuple(near)

    def __str__(self) -> str:
        label, near = self.args
        return f"label {label[:_SHOWN]!r} does not exist in this system; similar labels are {', '.join(near)}"


class BlockedLabelError(ConfigError):
    """A requested label is on the office's list of blocked places.

    Args:
        label: The code of the label.
        reason: The reason that the list gives.

    Attributes:
        reason: The reason that the list gives.
    """

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(label, reason)  # all arguments, so that the error survives pickling
        self.reason = reason

    def __str__(self) -> str:
        label, reason = self.args
        return f"label {label} is blocked ({reason}); choose another, or change the list of blocked places"


class DataError(PatentHierError):
    """The input cannot be used: a file is missing, its columns are wrong, or it has no valid content."""


class RepeatedRequestError(DataError):
    """A judgement has the same request id as an earlier, different judgement."""


class UnavailableError(PatentHierError):
    """A judgement cannot be stored now: the file is locked or the disk is full. The same request may be sent again."""


class FullError(UnavailableError):
    """The file of judgements has reached its size limit."""


class ProcessError(PatentHierError):
    """A training process ended without an error message while others were running."""


class LostRanksError(ProcessError):
    """A torchrun process failed, so the processes cannot train any further nodes together."""


class MemoryShortageError(PatentHierError):
    """The GPU or the machine ran out of memory."""


class ArtifactError(PatentHierError):
    """A file that this project wrote is missing, damaged or from another version."""


class IncompleteError(PatentHierError):
    """A result needs nodes that are missing or failed; the message names them."""
