"""YAML with plain values only: no Python tags, no anchors, no aliases, and a limited nesting depth.

Nine lines of aliases to aliases expand to gigabytes when they are printed (the "billion laughs" attack). This module
never writes an alias, so it accepts none.
"""

from typing import Any

import yaml

_DEEPEST = 32  # lists and dictionaries within each other
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast; some builds of PyYAML lack it


def dump(content: object) -> str:
    """Return YAML with the keys in the given order; an object that occurs twice is written twice."""
    return yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=False)


def load(text: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        ValueError: If the text is not YAML or not plain.
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
        if getattr(event, "anchor", None) is not None:  # an alias event has it too
            raise ValueError(f"line {line} has an anchor or an alias, which patent_hier never writes")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise ValueError(f"line {line} is nested more than {_DEEPEST} levels deep")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
