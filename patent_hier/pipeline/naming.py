"""Short names for configurations: the model, and the settings that distinguish it from others of the model."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from patent_hier.pipeline.evidence import Group, NodeRun, members_of
from patent_hier.settings import WHOLE

_SET_BY_LEVEL = ("trainer.max_epochs",)  # level=flat has its own default, which alone needs no name

Groups = Mapping[Group, Sequence[NodeRun]]


def name_configurations(*kinds: Groups) -> tuple[dict[Group, str], ...]:
    """Return a name for each group of runs, unique within each kind.

    Args:
        kinds: Runs by group, for each kind of system: hierarchical, flat, shared. A configuration has the same name in
            all kinds.

    Returns:
        Names by group, for each kind.
    """
    trained = [{group: runs for group, runs in groups.items() if not _members(runs)} for groups in kinds]
    rivals = [(model, run) for groups in trained for (model, _), (run, *_) in groups.items()]
    keys = {
        model: _telling_apart([_without_level(run) for other, run in rivals if other == model]) for model, _ in rivals
    }
    names = [_name_kind(groups, keys) for groups in trained]
    known = {group: name for own in names for group, name in own.items()}
    combined = _name_combinations({group: runs for groups in kinds for group, runs in groups.items()}, known)
    return tuple(
        {group: combined[group] if group in combined else own[group] for group in groups}
        for groups, own in zip(kinds, names, strict=True)
    )


def _name_combinations(groups: Groups, known: Mapping[Group, str]) -> dict[Group, str]:
    """Name ensembles by folder and members' models, or by the members' full names where two would be equal."""
    combined = {group: runs for group, runs in groups.items() if _members(runs)}
    return _apart(
        {group: _ensemble(runs, lambda m: str(m["model"])) for group, runs in combined.items()},
        lambda group, _: _ensemble(combined[group], lambda m: known.get((m["model"], m["group"]), m["model"])),
        lambda group, name: f"{name} {group[1][:6]}",
    )


def _apart(names: dict[Group, str], *further: Callable[[Group, str], str]) -> dict[Group, str]:
    """Make names unique: replace equal ones by the next name, built from the group and its current name."""
    for name_of in further:
        often = Counter(names.values())
        names = {group: name if often[name] == 1 else name_of(group, name) for group, name in names.items()}
    return names


def _ensemble(runs: Sequence[NodeRun], name_of: Callable[[Mapping[str, Any]], str]) -> str:
    own = (name_of(member) + (f" {member['level']}" if member["level"] in WHOLE else "") for member in _members(runs))
    counted = (name if count == 1 else f"{name} ×{count}" for name, count in Counter(own).items())
    return f"{runs[0].folder.parent.name} ({' + '.join(counted)})"


def _members(runs: Sequence[NodeRun]) -> list[Any]:
    return members_of(runs[0].manifest)


def _name_kind(groups: Groups, keys: Mapping[str, Sequence[str]]) -> dict[Group, str]:
    return _apart(
        {group: _name(group[0], runs[0].content, keys[group[0]]) for group, runs in groups.items()},
        lambda group, name: _name(name, groups[group][0].content, _SET_BY_LEVEL),
    )


def _name(start: str, content: Mapping[str, Any], keys: Sequence[str]) -> str:
    settings = [f"{key.removeprefix('model.').removesuffix('.name')}={content[key]}" for key in keys if key in content]
    return " ".join([start, *settings])


def _without_level(run: NodeRun) -> dict[str, Any]:
    return {key: value for key, value in run.content.items() if key not in _SET_BY_LEVEL}


def _telling_apart(contents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings that are needed to distinguish all contents, chosen in order."""
    chosen: list[str] = []
    n_apart = 1
    for key in dict.fromkeys(key for content in contents for key in content):
        values = {tuple(str(content.get(name)) for name in (*chosen, key)) for content in contents}
        if len(values) > n_apart:
            chosen.append(key)
            n_apart = len(values)
    return chosen
