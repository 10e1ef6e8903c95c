"""The words of a command line: options, overrides quoted for Hydra, and refusal of misuse."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser

from patent_hier.errors import ConfigError

# Characters with a meaning in Hydra's grammar; the text between two of them is one value.
_STRUCTURE = "\\[\\]{}(),:='\""
_QUOTED_OR_VALUE = re.compile(rf"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|([^{_STRUCTURE}]+)""")
# New keys of a dictionary need Hydra's force-add; the readers of these two settings check the keys.
_DICTIONARY = re.compile(r"^\+{0,2}(data\.columns|trainer\.level_weights)(?=[.=])")
# Headers of a file may contain brackets, which Hydra's grammar would read as a function call: 摘要(中文).
_HEADERS = re.compile(r"\+{0,2}data\.(?:text|columns(?:\.\w+)?)")
_QUOTED_OR_HEADER = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|([^\[\]{},:'"]+)""")
_QUOTES = "\"' "
_PAIR = re.compile(r"""\s*["']?([^:"'{}\[\],]+?)["']?\s*:\s*(\[[^\]]*\]|["']?[^,{}"']*["']?)\s*(?:,|$)""")
_MODES = ("run", "multirun", "cfg", "info", "shell_completion")  # Hydra's options that choose what a command does


class OneLineParser(argparse.ArgumentParser):
    """A parser that reports errors in one line; argparse would print its whole usage."""

    def error(self, message: str) -> NoReturn:
        """Raise the error as one line.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"{message}; --help lists the options")


def parsed(words: Sequence[str], places: str = "overrides*", **options: Any) -> argparse.Namespace:
    """Parse the words of a command.

    Args:
        words: Words after the command's name.
        places: Names of the positional arguments, parsed as paths unless they are a model or overrides; ``?``, ``*`` or
            ``+`` after a name gives their number, as in :mod:`argparse`.
        options: Options by name, with ``_`` for each hyphen: a type, or a default of that type. ``False`` is a flag,
            ``[]`` an option that may be repeated, a tuple the choices, the default first (``None`` for no default).

    Raises:
        ConfigError: For an unknown option, a missing word, or a value of another type.
    """
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    for place in places.split():
        name = place.rstrip("?*+")
        kind = str if name in ("model", "overrides") else Path
        parser.add_argument(name, nargs=place[len(name) :] or None, metavar=name.upper(), type=kind)
    for name, value in options.items():
        facts: dict[str, Any] = {"type": value if isinstance(value, type) else type(value), "default": value}
        if isinstance(value, type):
            facts["default"] = None
        elif value is False:
            facts = {"action": "store_true"}
        elif value == []:
            facts = {"action": "append", "default": []}
        elif isinstance(value, tuple):
            facts = {"choices": [choice for choice in value if choice is not None], "default": value[0]}
        parser.add_argument(f"--{name.replace('_', '-')}", **facts)
    return parser.parse_intermixed_args(list(words))


def key_of(override: str) -> str:
    """Return the setting or group that an override changes."""
    return override.lstrip("+~").split("=", 1)[0]


def merged(usual: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return the usual overrides with others added, which replace those of the same setting."""
    given = set(map(key_of, words))
    return [*(word for word in usual if key_of(word) not in given), *words]


def assigned(key: str, value: object) -> str:
    """Return an override that sets a setting to a string of any characters.

    Raises:
        ConfigError: If the string would be an interpolation.
    """
    text = str(value)
    if "${" in text:
        raise ConfigError(f"{key}={text} contains ${{, which has a special meaning in settings; rename the folder")
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return f"{key}='{escaped}'"


def readable(arguments: Sequence[str]) -> list[str]:
    """Spell overrides so that Hydra can read them.

    Hydra's grammar accepts non-ASCII characters only in quotes, and new keys of a dictionary only with ``++``. So
    ``data.text=[摘要]`` becomes ``data.text=["摘要"]``, and ``data.columns.title=x`` ``++data.columns.title=x``.

    Raises:
        ConfigError: See :func:`refuse_headers`.
    """
    refuse_headers(arguments)
    return [
        _DICTIONARY.sub(r"++\1", _quote(word)) if "=" in word[1:] and word[0] != "-" else word for word in arguments
    ]


def refuse_misuse(arguments: Sequence[str]) -> None:
    """Refuse overrides that Hydra would not carry out as the user means them.

    Raises:
        ConfigError: For a swept level (each level has settings of its own, which a sweep loses), and for a node given
            to a level that sets its nodes itself (Hydra would silently train only that node).
    """
    given = dict(word.lstrip("+~").split("=", 1) for word in arguments if "=" in word)
    level = given.get("level", "hier")
    if "," in level or "(" in level:
        raise ConfigError(f"level={level} cannot be swept; run one command for each level")
    if "node" in given and level != "node":
        raise ConfigError(f"level={level} sets its nodes itself; for one node use level=node node={given['node']}")


def arranged(arguments: Sequence[str]) -> list[str]:
    """Move Hydra's options after the overrides; Hydra itself accepts overrides only in one uninterrupted sequence.

    Raises:
        ConfigError: For an option that Hydra does not know, and for options that would replace our configuration or
            load a pickled one.
    """
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"{message}; --hydra-help lists the options")

    parser.error = refuse  # type: ignore[method-assign]  # argparse would exit
    options = parser.parse_intermixed_args(list(arguments))
    if options.config_path or options.config_name:
        raise ConfigError(
            f"--config-path and --config-name ({options.config_path or options.config_name}) would replace conf/; "
            "--config-dir DIR adds a folder to it"
        )
    if options.experimental_rerun:
        raise ConfigError(
            f"--experimental-rerun {options.experimental_rerun} would load a pickle; give the overrides again instead"
        )
    if len(modes := [mode for mode in _MODES if getattr(options, mode)]) > 1:
        raise ConfigError(f"--{modes[0]} and --{modes[1]} cannot be combined; leave one of them out")
    words = list(arguments)
    for word in options.overrides:
        words.remove(word)
    return [*options.overrides, *words]


def refuse_headers(words: Sequence[str]) -> None:
    """Refuse headers of a raw file in a form that Hydra would misread, with a clearer message than Hydra's.

    Raises:
        ConfigError: With the correct form.
    """
    for word in words:
        key, _, value = word.partition("=")
        name, value = key.lstrip("+~"), value.strip()
        if name == "data.text" and value and value[0] not in "[$" and value != "null":
            raise ConfigError(f"{word} is not a list of columns; write 'data.text=[{value.strip(_QUOTES)}]'")
        if name != "data.columns" and not name.startswith("data.columns."):
            continue
        from patent_hier.data.raw import check_columns

        if name == "data.columns":
            if value[:1] not in ("{", "$"):
                header = value.strip("[]" + _QUOTES) or "IPC"
                raise ConfigError(
                    f"{word} has no pairs; write our name, then the file's header: 'data.columns={{symbols: {header}}}'"
                )
            pairs = {ours: _header(header) for ours, header in _PAIR.findall(value.strip("{} "))}
        else:
            pairs = {name.removeprefix("data.columns."): _header(value)}
        check_columns(pairs)


def _header(value: str) -> str | list[str]:
    value = value.strip()
    if value.startswith("["):
        return [name.strip(_QUOTES) for name in value.strip("[]").split(",")]
    return value.strip(_QUOTES)


def _quote(word: str) -> str:
    key, value = word.split("=", 1)
    if _HEADERS.fullmatch(key):
        return f"{key}={_QUOTED_OR_HEADER.sub(_quote_match, value)}"
    return word if value.isascii() else f"{key}={_QUOTED_OR_VALUE.sub(_quote_match, value)}"


def _quote_match(match: re.Match[str]) -> str:
    quoted, value = match.groups()
    if quoted or (value.isascii() and "(" not in value):
        return match.group()
    inner = value.strip()
    return value.replace(inner, f'"{inner}"')
