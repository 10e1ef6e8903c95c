"""Errors a user can act on.

Every message is one line: what is wrong, which value, what to do. The command line prints the message alone and ends
with ``exit_status``; a traceback appears only with ``PATENT_HIER_DEBUG=1``.
"""

from collections.abc import Sequence
from pathlib import Path

_SHOWN = 40  # characters of a wrong value that a message repeats
_MOST = 1000  # characters at both ends of a message


class PatentHierError(Exception):
    """Base class of all errors that this project raises on purpose."""

    exit_status = 1

    def __str__(self) -> str:
        """The message, without its middle where a foreign file has made it longer than anybody reads."""
        message = super().__str__()
        return message if len(message) <= 2 * _MOST else f"{message[:_MOST]} ... {message[-_MOST:]}"


class ConfigError(PatentHierError):
    """A setting is unknown, out of range or contradicts another."""

    exit_status = 2


class MissingExtraError(ConfigError):
    """A package is missing that only an extra brings.

    Args:
        package: Its name, with what it is for, as a message begins.
        extra: The extra of ``pyproject.toml``.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package, extra)  # all arguments, so that the error survives pickling

    def __str__(self) -> str:
        package, extra = self.args
        return f"{package} is not installed; install it: {_installation(extra)}"


def _installation(extra: str) -> str:
    """The command that installs an extra: of the checkout that this code is from, else of the installed package."""
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / "pyproject.toml").is_file():
        return f'pip install "patent_hier[{extra}]"'
    return f'pip install -e "{"." if checkout == Path.cwd() else checkout}[{extra}]"'


class UnknownLabelError(ConfigError):
    """A label that a system does not have.

    Args:
        label: As it was written.
        near: Known labels that are like it.

    Attributes:
        near: Likewise.
    """

    def __init__(self, label: str, near: Sequence[str]) -> None:
        super().__init__(label, near)  # all arguments, so that the error survives pickling
        self.near = tuple(near)

    def __str__(self) -> str:
        label, near = self.args
        return f"label {label[:_SHOWN]!r} is unknown to the system; near it are {', '.join(near)}"


class BlockedLabelError(ConfigError):
    """A label that was asked for although the office blocks it.

    Args:
        label: Its code.
        reason: Why it is blocked, as the list says.

    Attributes:
        reason: Likewise.
    """

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(label, reason)  # all arguments, so that the error survives pickling
        self.reason = reason

    def __str__(self) -> str:
        label, reason = self.args
        return f"label {label} is blocked ({reason}); name another, or change the list of blocked places"


class DataError(PatentHierError):
    """The input cannot be used: missing file, wrong columns, nothing valid in it."""


class RepeatedRequestError(DataError):
    """A judgement comes under the number of another one."""


class UnavailableError(PatentHierError):
    """A judgement could not be stored now: the file is locked, the disk full. The same request may be sent again."""


class FullError(UnavailableError):
    """The file of judgements has as many bytes as it may have."""


class ProcessError(PatentHierError):
    """A process that trained beside others ended without saying why."""


class LostRanksError(ProcessError):
    """A process of torchrun failed, and no further node can be trained together."""


class MemoryShortageError(PatentHierError):
    """The memory of a GPU or of the machine ran out."""


class ArtifactError(PatentHierError):
    """A file that this project wrote is missing, damaged or of another version."""


class IncompleteError(PatentHierError):
    """A result needs nodes that are missing or failed; the message names them."""
