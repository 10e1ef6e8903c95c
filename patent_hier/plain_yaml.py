"""YAML of plain values: no tags of Python's, no anchors, no aliases, and no deeper than a person would nest it.

Nine lines of aliases to aliases become gigabytes as soon as somebody prints them ("billion laughs"). What is written
here never has one, so none is read.
"""

from typing import Any

import yaml

_DEEPEST = 32  # lists and dictionaries within each other
_LOADER: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # ten times as fast, wherever PyYAML has been built with it


def dump(content: object) -> str:
    """YAML with keys in the given order; a value that stands in two places is written twice."""
    return yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=False)


def load(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        ValueError: If it is no YAML, or not plain.
    """
    try:
        _require_plain(text)
        return _LOADER(text).get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _require_plain(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if getattr(event, "anchor", None) is not None:  # of an alias too
            raise ValueError(f"line {line} has an anchor or an alias; no file of ours has any")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise ValueError(f"line {line} is nested more than {_DEEPEST} times")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
