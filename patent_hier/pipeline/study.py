"""A hyperparameter search: trials in a journal that several processes share and from which a killed search resumes.

Optuna proposes settings and prunes trials. This module assigns trials to processes, reruns the trials of killed
processes, and confines failures to their trial. The journal is Optuna's JSON Lines file, written under kernel locks,
which are released when their process ends in any way.
"""

import contextlib
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from patent_hier.artifacts import fingerprint
from patent_hier.atomic import exclusive
from patent_hier.errors import ConfigError, MissingExtraError
from patent_hier.pipeline.journal import open_journal
from patent_hier.pipeline.search_space import Axis
from patent_hier.progress import say
from patent_hier.sanitize import reason

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

STUDY_VERSION = 1
JOURNAL = "journal.jsonl"
COMPLETE, PRUNED, FAILED, RUNNING = "complete", "pruned", "failed", "running"
_UNPRUNED_TRIALS, _UNPRUNED_EPOCHS = 5, 1  # at first, the median pruner has nothing to compare with
_LEAST_FOR_IMPORTANCE = 10  # completed trials; a forest on fewer is uninformative
_IDENTITY = "identity"

Settings = Mapping[str, str]  # by setting, written as in overrides


class Pruned(Exception):  # noqa: N818 - ends a trial, not an error
    """Raised when a trial is stopped because others were better at the same epoch."""


@dataclass(frozen=True)
class Attempted:
    """The outcome of a trial.

    Attributes:
        value: The score.
        facts: Further facts for the table of trials.
    """

    value: float
    facts: dict[str, Any] = field(default_factory=dict)


# A function that scores settings. Its second argument takes epoch (from 1) and score, and returns whether to stop.
Attempt = Callable[[Settings, Callable[[int, float], bool]], Attempted]


@dataclass(frozen=True)
class Record:
    """A row of the table of trials.

    Attributes:
        number: Number of the trial, from 1.
        state: ``complete``, ``pruned``, ``failed`` or ``running``.
        settings: The settings of the trial.
        value: The score; for a pruned trial, that of its last epoch.
        facts: Facts of :class:`Attempted`, ``error``, ``repeats``, ``seconds`` and ``epochs``, as far as known.
    """

    number: int
    state: str
    settings: dict[str, str]
    value: float | None
    facts: dict[str, Any]


def require_optuna() -> None:
    """Raise an error if Optuna is not installed, before anything is prepared.

    Raises:
        MissingExtraError: If it is missing; the message names the extra.
    """
    if find_spec("optuna") is None:
        raise MissingExtraError("optuna, which tune needs,", "tune")


class SettingsStudy:
    """The trials of one search.

    Args:
        folder: Folder of the journal; created if it is missing.
        identity: What all trials have in common: overrides, space, objective, corpus and split.
        space: The possible values of each setting.
        seed: Seed of the proposals. Each trial derives its own from its number, so that a resumed search proposes the
            same settings as an uninterrupted one.
        first: Settings of the first trial; None to let Optuna choose.

    Raises:
        ConfigError: If the folder holds another search.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        space: Mapping[str, Axis],
        seed: int,
        first: Mapping[str, Any] | None = None,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.folder, self.space, self._seed = folder, dict(space), seed
        self._worker = uuid.uuid4().hex[:12]
        folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._study = self._open(identity)
            if first is not None and not self._study.trials:
                self._study.enqueue_trial(dict(first), user_attrs={"defaults": True})

    def _open(self, identity: Mapping[str, Any]) -> "Study":
        import optuna

        pruner = optuna.pruners.MedianPruner(_UNPRUNED_TRIALS, n_warmup_steps=_UNPRUNED_EPOCHS + 1)
        with open_journal(self.folder / JOURNAL) as storage:
            study = optuna.create_study(
                storage=storage, study_name="tune", direction="maximize", pruner=pruner, load_if_exists=True
            )
        own = fingerprint({**identity, "version": STUDY_VERSION})
        if study.user_attrs.get(_IDENTITY, own) != own:
            raise ConfigError(
                f"{self.folder} has a search with other settings, data or objective; choose another --study"
            )
        study.set_user_attr(_IDENTITY, own)
        return study

    def work(self, attempt: Attempt, trials: int) -> None:
        """Run trials until the study has the given total, including the trials of other processes.

        Args:
            attempt: Function that scores settings; an error in it ends only the trial.
            trials: Total number of trials, including failed and pruned ones.
        """
        from filelock import FileLock

        lock = FileLock(self._lock_of(self._worker))
        lock.acquire()
        try:
            while trial := self._claim(trials):
                self._run(trial, attempt, trials)
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    def _claim(self, trials: int) -> "Trial | None":
        """Return the next trial: one whose process was killed, else a new one; None if there are enough."""
        import optuna
        from optuna.trial import TrialState

        with self._locked():
            known = [trial for trial in self._study.get_trials() if trial.state != TrialState.WAITING]
            left = [trial for trial in known if trial.state == TrialState.RUNNING and self._is_left(trial)]
            if left:  # resumed under its own number: Optuna has no public API for running trials
                trial = optuna.Trial(self._study, left[0]._trial_id)
                say(f"trial {left[0].number + 1} was left unfinished; running it again")
            elif len(known) < trials:
                trial = self._study.ask()
            else:
                return None
            trial.set_user_attr("worker", self._worker)
            drawn = np.random.SeedSequence((self._seed, trial.number)).generate_state(1)
            self._study.sampler = optuna.samplers.TPESampler(seed=int(drawn[0]))
            settings = {name: axis.draw(trial, name) for name, axis in self.space.items()}
            trial.set_user_attr("settings", settings)
            return trial

    def _run(self, trial: "Trial", attempt: Attempt, trials: int) -> None:
        start = time.perf_counter()
        settings = trial.user_attrs["settings"]
        say(f"trial {trial.number + 1} of {trials}: {spelt(settings)}")
        if same := self._same(settings):
            trial.set_user_attr("repeats", same.number)
            self._tell(trial, same.state, same.value)
            say(f"trial {trial.number + 1}: same settings as trial {same.number} ({same.state}); not run again")
            return
        value: float | None = None
        try:
            done = attempt(settings, partial(_report, trial))
        except Pruned:
            state, told = PRUNED, "stopped early, below the median of the others"
        except Exception as error:  # settings may break anything; count the trial and continue
            trial.set_user_attr("error", reason(error))
            state, told = FAILED, f"failed: {reason(error)}"
        else:
            for name, fact in done.facts.items():
                trial.set_user_attr(name, fact)
            state, value, told = COMPLETE, done.value, f"val {done.value:.4f}"
        seconds = time.perf_counter() - start
        trial.set_user_attr("seconds", round(seconds, 3))
        self._tell(trial, state, value)
        best = self.best()
        ahead = f"; best {best.value:.4f} (trial {best.number})" if best else ""
        say(f"trial {trial.number + 1}: {told}, {seconds:.0f} s{ahead}")

    def _tell(self, trial: "Trial", state: str, value: float | None) -> None:
        from optuna.trial import TrialState

        known = {COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}
        self._study.tell(trial, value if state == COMPLETE else None, known[state])

    def _same(self, settings: Settings) -> Record | None:
        """Return an ended trial with the same settings, whose outcome would be the same; None if there is none."""
        ended = (record for record in self.records() if record.state != RUNNING)
        return next((record for record in ended if record.settings == settings), None)

    def records(self) -> list[Record]:
        """Return all trials so far, ordered by number."""
        return [_record(trial) for trial in self._study.get_trials() if "settings" in trial.user_attrs]

    def best(self) -> Record | None:
        """Return the completed trial with the highest score, the first one on ties; None if no trial is complete."""
        done = [record for record in self.records() if record.state == COMPLETE and record.value is not None]
        return max(done, key=lambda record: (record.value, -record.number), default=None)

    def importance(self) -> dict[str, float]:
        """Return the share of the score variance that each setting alone explains in a random forest (fANOVA).

        The result is empty with fewer than ten completed trials, or if all have the same score.

        Source: F. Hutter et al. (2014), An Efficient Approach for Assessing Hyperparameter Importance, ICML.
        """
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        values = [record.value for record in self.records() if record.state == COMPLETE]
        if len(values) < _LEAST_FOR_IMPORTANCE or len(set(values)) < 2:
            return {}
        return dict(get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=0)))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with exclusive(self.folder / "study"):
            yield

    def _lock_of(self, worker: str) -> Path:
        return self.folder / ".locks" / f"worker-{worker}"

    def _is_left(self, trial: "FrozenTrial") -> bool:
        """Return whether the process of a trial has ended, so that it no longer holds its lock."""
        from filelock import FileLock, Timeout

        worker = trial.user_attrs.get("worker")
        if worker is None:  # ended within _claim: we now hold the study's lock
            return True
        try:
            with FileLock(self._lock_of(worker), blocking=False):
                return True
        except Timeout:
            return False


def spelt(settings: Settings) -> str:
    """Return settings as arguments of a command."""
    return " ".join(f"{name}={value}" for name, value in settings.items())


def _report(trial: "Trial", epoch: int, value: float) -> bool:
    """Report the score after an epoch, and return whether to stop because others were better at that epoch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a rerun trial has already reported some epochs
        trial.report(value, epoch)
    return bool(trial.should_prune())


def _record(trial: "FrozenTrial") -> Record:
    from optuna.trial import TrialState

    states = {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: PRUNED, TrialState.FAIL: FAILED}
    facts = {key: value for key, value in trial.user_attrs.items() if key not in ("settings", "worker")}
    facts["epochs"] = len(trial.intermediate_values)
    return Record(
        trial.number + 1, states.get(trial.state, RUNNING), dict(trial.user_attrs["settings"]), trial.value, facts
    )
