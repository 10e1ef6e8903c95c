"""``patent-hier tune``: search for the best settings on the validation part."""

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

TUNE = """Search for the best settings on the validation part (val); test and calibration are not scored.

usage: patent-hier tune [overrides of run] SETTING=SWEEP ... [options]

  patent-hier tune model=linear level=flat 'model.c=tag(log, interval(0.05,5))' 'model.min_documents=choice(1,2,3)'
  patent-hier tune model=textcnn level=flat 'model.num_filters=range(64,513,64)' 'model.dropout=interval(0,0.7)'

  SETTING=SWEEP      any setting or group, with a sweep of Hydra's Optuna sweeper: choice(a,b) or a,b;
                     range(start,stop,step), without stop; interval(low,high) for real numbers, int(interval(1,9)) for
                     integers; tag(log, interval(low,high)) for a logarithmic scale
  --trials N         number of trials in the whole study, including failed and stopped ones; default: 20
  --objective NAME   accuracy (default) or top_3_accuracy of the deepest level; add another level after a slash, for
                     example accuracy/section
  --seeds N          score a trial by its mean over N seeds; default: 1
  --no-pruning       train every trial to its end; by default, a network that scores below the median of five or more
                     other trials after an epoch is stopped (only with one node and one device)
  --study FOLDER     folder of the study; default: runs/tune/<model>-<fingerprint of the command's words>

The first trial uses the default settings if they lie within the sweeps. Run the same command again to continue an
interrupted search, even in the middle of a trial. Run it in several terminals to work on one study in parallel. No
model is kept: the last line printed is the command that trains and tests the best settings. The best trial's score on
val is optimistic, because it is the best of many on the same documents. Needs the extra tune."""


def tune(words: Sequence[str]) -> None:
    """Run trials until the study has enough, then print and save its results.

    Raises:
        ConfigError: If a word, the search space or an option is invalid, or no trial was completed.
        MissingExtraError: Without Optuna.
    """
    options = parsed(words, trials=20, objective="accuracy", seeds=1, no_pruning=False, study=Path)
    require_optuna()
    for name in ("trials", "seeds"):
        if getattr(options, name) < 1:
            raise ConfigError(f"--{name} {getattr(options, name)} is out of range; use 1 or more")
    refuse_misuse(options.overrides)
    shared, space = read_space(options.overrides)
    settings = compose_training([*shared, *_first_values(space)])[
        0
    ]  # an error that affects every trial is reported before the first one
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
        raise ConfigError(f"none of the {len(study.records())} trials was completed; see the errors above")
    publish_search(Search(shared, study, str(objective), options.seeds, folder, words))


@dataclass(frozen=True)
class _Attempt:
    """A callable that composes the settings of a trial and runs it."""

    shared: list[str]
    trial: "Trial"
    data: Sequence[Any]

    def __call__(self, chosen: Mapping[str, str], ask: Callable[[int, float], bool]) -> Attempted:
        from patent_hier.pipeline.plan import plan_node
        from patent_hier.pipeline.trial import nodes_of

        try:
            settings, observers = compose_training([*self.shared, *(f"{key}={value}" for key, value in chosen.items())])
            if _data_of(plan_node(_at(settings, nodes_of(settings)[0]))) != self.data:
                raise ConfigError(
                    "trials with different corpora, splits or depths cannot be compared; "
                    "remove these settings from the search"
                )
            return self.trial.score(settings, ask, observers)
        except (Pruned, PatentHierError):
            raise
        except Exception as error:  # a trial records only the error's line
            if os.environ.get(DEBUG) == "1":
                traceback.print_exc()
            raise PatentHierError(describe(error)) from error


def _at(settings: Settings, node: str) -> Settings:
    return replace(settings, node=node)


def _data_of(plan: "NodePlan") -> list[Any]:
    """Return the facts that determine the documents of val and the way they are scored."""
    return [plan.content[key] for key in ("corpus", "split", "depth", "run_version")]


def _first_values(space: Mapping[str, Axis]) -> list[str]:
    return [f"{name}={axis.first}" for name, axis in space.items()]


def _defaults(shared: Sequence[str], space: Mapping[str, Axis]) -> dict[str, Any] | None:
    """Return the default settings as the first trial; None if one of them lies outside its sweep."""
    try:
        settings = compose_training(shared)[0]
    except PatentHierError:  # some settings are valid only together with searched ones
        return None
    placed = {name: axis.place(_value_of(settings, key_of(name))) for name, axis in space.items()}
    return None if None in placed.values() else placed


def _value_of(settings: Settings, key: str) -> Any:
    """Return a setting by its name, such as ``model.dropout``, or a group's choice; None if it does not exist."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name, None)
    return getattr(value, "name", None) if is_dataclass(value) else value
