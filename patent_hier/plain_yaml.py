"""YAML of plain values: no tags of Python's, no anchors, no aliases, and no deeper than a person would nest it.

Nine lines of aliases to aliases become gigabytes as soon as somebody prints them ("billion laughs"). What is written
here never has one, so none is read.
"""

from typing import Any

import yaml

_DEEPEST = 32  # lists and dictionaries within each other


def dump(content: object) -> str:
    """YAML with keys in the given order; a value that stands in two places is written twice."""
    return yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=False)


def load(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        ValueError: If it is no YAML, or not plain.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Loader(yaml.SafeLoader):
    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # of PyYAML's stubs
        line = event.start_mark.line + 1
        if event.anchor is not None:  # of an alias too
            raise yaml.YAMLError(f"line {line} has an anchor or an alias; no file of ours has any")
        if self._depth == _DEEPEST:
            raise yaml.YAMLError(f"line {line} is nested more than {_DEEPEST} times")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1
