"""``patent-hier tune``: search settings on the part ``val``."""

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patent_hier.artifacts import fingerprint
from patent_hier.cli.compose import compose_training
from patent_hier.cli.messages import DEBUG, describe
from patent_hier.cli.overrides import key_of, parsed, refuse_misuse
from patent_hier.cli.space import read_space
from patent_hier.errors import ConfigError, PatentHierError
from patent_hier.pipeline.search_space import Axis
from patent_hier.pipeline.study import Attempted, Pruned, SettingsStudy, require_optuna
from patent_hier.progress import say
from patent_hier.settings import Settings

if TYPE_CHECKING:
    from patent_hier.pipeline.plan import NodePlan
    from patent_hier.pipeline.trial import Trial

TUNE = """Search settings on the part val; test and calibration are not scored.

usage: patent-hier tune [overrides of run] SETTING=SWEEP ... [options]

  patent-hier tune model=linear level=flat 'model.c=tag(log, interval(0.05,5))' 'model.min_documents=choice(1,2,3)'
  patent-hier tune model=textcnn level=flat 'model.num_filters=range(64,513,64)' 'model.dropout=interval(0,0.7)'

  SETTING=SWEEP      any setting or group, spelt as for Hydra's Optuna sweeper: choice(a,b) or a,b;
                     range(start,stop,step), without the stop; interval(low,high) for numbers, int(interval(1,9)) for
                     whole ones; tag(log, interval(low,high)) draws the logarithm evenly
  --trials N         trials of the study in all, failed and stopped ones included; the default is 20
  --objective NAME   accuracy (the default) or top_3_accuracy, of the deepest level; accuracy/section, say, of another
  --seeds N          a trial's score is the mean over N seeds; the default is 1
  --no-pruning       train every trial to its end; otherwise a network that is behind the median of five or more others
                     after an epoch is stopped (with one node and one device)
  --study FOLDER     of the search; the default is runs/tune/<model>-<fingerprint of the words>

The first trial has the defaults, where they lie within the sweeps. The same command again goes on with a killed search,
also in the middle of a trial; given in several terminals at the same time, it works at one study in all of them. No
model is kept: the last line is the command that trains the best settings, and tests them. The score of the best trial
on val is optimistic, for it is the best of many on the same documents. Needs the extra tune."""


def tune(words: Sequence[str]) -> None:
    """Run trials until the study has enough, then print and save what they say.

    Raises:
        ConfigError: If a word, the space or an option cannot be used, or no trial was completed.
        MissingExtraError: Without Optuna.
    """
    options = parsed(words, trials=20, objective="accuracy", seeds=1, no_pruning=False, study=Path)
    require_optuna()
    for name in ("trials", "seeds"):
        if getattr(options, name) < 1:
            raise ConfigError(f"--{name} {getattr(options, name)} is less than 1")
    refuse_misuse(options.overrides)
    shared, space = read_space(options.overrides)
    settings = compose_training([*shared, *_first_values(space)])[0]  # what is wrong with all trials is said at once
    from patent_hier.pipeline.plan import plan_node
    from patent_hier.pipeline.trial import Objective, Trial, nodes_of
    from patent_hier.report.tuning import Search, publish_search

    objective = Objective.parse(options.objective)
    plan = plan_node(_at(settings, nodes_of(settings)[0]))
    data = _data_of(plan)
    identity = {
        "words": sorted(shared),
        "space": {name: repr(axis) for name, axis in space.items()},
        "scored": [str(objective), options.seeds, settings.level.name],
        "data": data,
    }
    default = f"{settings.model.name}-{fingerprint(identity)}"
    folder = options.study or Path(settings.runs_dir) / "tune" / default
    study = SettingsStudy(folder, identity, space, settings.seed, _defaults(shared, space))
    trial = Trial(objective, folder / ".trials", options.seeds, not options.no_pruning)
    say(f"study {folder}: {len(study.records())} of {options.trials} trials so far")
    study.work(_Attempt(shared, trial, data), options.trials)
    if study.best() is None:
        raise ConfigError(f"none of {len(study.records())} trials was completed; see the errors above")
    publish_search(Search(shared, study, str(objective), options.seeds, folder, words))


@dataclass(frozen=True)
class _Attempt:
    """Composes the settings of a trial and runs it."""

    shared: list[str]
    trial: "Trial"
    data: Sequence[Any]

    def __call__(self, chosen: Mapping[str, str], ask: Callable[[int, float], bool]) -> Attempted:
        from patent_hier.pipeline.plan import plan_node
        from patent_hier.pipeline.trial import nodes_of

        try:
            settings, observers = compose_training([*self.shared, *(f"{key}={value}" for key, value in chosen.items())])
            if _data_of(plan_node(_at(settings, nodes_of(settings)[0]))) != self.data:
                raise ConfigError("another corpus, split or depth has other val documents: scores cannot be compared")
            return self.trial.score(settings, ask, observers)
        except (Pruned, PatentHierError):
            raise
        except Exception as error:  # its line is all that a trial leaves of it
            if os.environ.get(DEBUG) == "1":
                traceback.print_exc()
            raise PatentHierError(describe(error)) from error


def _at(settings: Settings, node: str) -> Settings:
    return replace(settings, node=node)


def _data_of(plan: "NodePlan") -> list[Any]:
    """Facts on which the documents of val depend, and how a score comes about."""
    return [plan.content[key] for key in ("corpus", "split", "depth", "run_version")]


def _first_values(space: Mapping[str, Axis]) -> list[str]:
    return [f"{name}={axis.first}" for name, axis in space.items()]


def _defaults(shared: Sequence[str], space: Mapping[str, Axis]) -> dict[str, Any] | None:
    """The settings without a search, as the first trial; None if one of them lies outside its sweep."""
    try:
        settings = compose_training(shared)[0]
    except PatentHierError:  # some settings only go together with searched ones
        return None
    placed = {name: axis.place(_value_of(settings, key_of(name))) for name, axis in space.items()}
    return None if None in placed.values() else placed


def _value_of(settings: Settings, key: str) -> Any:
    """A setting by its name, such as ``model.dropout``; of a group the name of its choice; None if there is none."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name, None)
    return getattr(value, "name", None) if is_dataclass(value) else value
