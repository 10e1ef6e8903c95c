"""Short names for configurations: the model, and the settings that tell it from others of the model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from patent_hier.pipeline.evidence import Group, NodeRun

_SET_BY_LEVEL = ("trainer.max_epochs",)  # level=flat has its own default: in itself no difference worth a name

Groups = Mapping[Group, Sequence[NodeRun]]


def name_configurations(*kinds: Groups) -> tuple[dict[Group, str], ...]:
    """A name for each group of runs, no two of one kind equal.

    Args:
        kinds: Runs by group, for each kind of system: of nine models, flat. A configuration has one name in all kinds.

    Returns:
        Names by group, for each kind.
    """
    rivals = [(model, run) for groups in kinds for (model, _), (run, *_) in groups.items()]
    keys = {
        model: _telling_apart([_without_level(run) for other, run in rivals if other == model]) for model, _ in rivals
    }
    return tuple(_name_kind(groups, keys) for groups in kinds)


def _name_kind(groups: Groups, keys: Mapping[str, Sequence[str]]) -> dict[Group, str]:
    names = {group: _name(group[0], runs[0].content, keys[group[0]]) for group, runs in groups.items()}
    often = Counter(names.values())
    return {
        group: name if often[name] == 1 else _name(name, groups[group][0].content, _SET_BY_LEVEL)
        for group, name in names.items()
    }


def _name(start: str, content: Mapping[str, Any], keys: Sequence[str]) -> str:
    settings = [f"{key.removeprefix('model.').removesuffix('.name')}={content[key]}" for key in keys if key in content]
    return " ".join([start, *settings])


def _without_level(run: NodeRun) -> dict[str, Any]:
    return {key: value for key, value in run.content.items() if key not in _SET_BY_LEVEL}


def _telling_apart(contents: Sequence[Mapping[str, Any]]) -> list[str]:
    """As few settings as tell all contents apart, taken in their order."""
    chosen: list[str] = []
    n_apart = 1
    for key in dict.fromkeys(key for content in contents for key in content):
        values = {tuple(str(content.get(name)) for name in (*chosen, key)) for content in contents}
        if len(values) > n_apart:
            chosen.append(key)
            n_apart = len(values)
    return chosen
