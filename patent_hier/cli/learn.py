"""``patent-hier learn``: retrain a system with corrections of its answers."""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patent_hier.cli.compose import compose_training
from patent_hier.cli.overrides import assigned, key_of, merged, parsed
from patent_hier.errors import ConfigError, PatentHierError
from patent_hier.progress import say
from patent_hier.sanitize import one_line

if TYPE_CHECKING:
    from patent_hier.data.corrections import Corrections
    from patent_hier.pipeline.members import Member
    from patent_hier.pipeline.suite import SuiteResult

LEARN = """Retrain a system with corrections of its answers, and keep the new one only if it is no worse.

usage: patent-hier learn MODEL FEEDBACK.csv [options] [overrides of run]

  patent-hier feedback judgements.sqlite --export corrections.csv
  patent-hier learn runs/linear/result-hier-... corrections.csv

  MODEL             result folder: runs/<model>/result-...; a combination learns member by member
  FEEDBACK.csv      corrected documents, as written by patent-hier feedback --export, or any table with a text and a
                    symbol that prepare can read
  --weight 1        weight of a correction in training, relative to a document of the corpus
  --held-out 0.2    share of the corrections kept out of training, on which the two systems are compared
  --replay 5000     networks: training documents of the corpus that each one reads again with the corrections
  --passes 4        networks: passes over these documents
  --rate 0.3        networks: factor on the learning rates of the original training
  --anew            networks: train from the start, on the whole corpus and the corrections
  --force           keep the new system even if it is worse

MODEL's corpus (found in the cache by its fingerprint), split and settings are used again; if the cache has moved, use
cache_dir=FOLDER. Models of character n-grams are always trained from the start. Corrections of documents in val,
calibration and test are left out and counted, so the test part stays untouched. Corrections that MODEL has learnt
before are kept; a later correction of the same document replaces an earlier one.

The new system has its own calibration and thresholds. It is compared with MODEL on the test part and on held-out
corrections (McNemar's exact test). If it is worse on either by more than chance, or better on neither, it is refused
with exit status 1. MODEL is not changed. learnt-....json, next to the new result, records versions, counts and the
comparison."""

# Settings that define a system.
_OF_THE_SYSTEM = ("model", "encoder", "features", "level", "node", "data", "split", "experiment", "seed")


class WorseError(PatentHierError):
    """The new system is worse than the old one."""


def learn(words: Sequence[str]) -> None:
    """Prepare the corrections, train, compare, and publish the new system.

    Raises:
        WorseError: If the new system is worse, without ``--force``.
        PatentHierError: If a setting or an input cannot be used.
    """
    options = parsed(
        words, "model feedback overrides*", weight=1.0, held_out=0.2, replay=5000, passes=4, rate=0.3, anew=False,
        force=False,
    )  # fmt: skip
    _check(options)
    from patent_hier.cli.collect import publish
    from patent_hier.inference.blocked import carry_blocked
    from patent_hier.pipeline.comparison import lines_of
    from patent_hier.pipeline.members import corpus_of, read_member
    from patent_hier.pipeline.relearnt import judge, lineage, record_of

    start = time.perf_counter()
    before = read_member(Path(options.model))
    learnt = _learnt(before, options)
    after, corrections = learnt[-1]
    corpus, _ = corpus_of(before, cache_named(options))
    verdict = judge(after, before, corrections.compared, corpus)
    for line in (*lines_of(verdict.test), *lines_of(verdict.corrections, "held-out corrections")):
        print(one_line(line))
    is_refused = verdict.problem is not None and not options.force
    facts = {
        "version": lineage(before.result)["version"] + 1,
        "result": after.folder.name,
        "suite": after.facts["suite"],
        "refused": is_refused,
        "forced": verdict.problem is not None and options.force,
        "before": before.result.name,
        "corrections": corrections.facts["counts"],
        "weight": options.weight,
        "seconds": round(time.perf_counter() - start, 3),
        **verdict.as_dict(),
    }
    _keep_records(learnt, facts)
    if is_refused:
        raise WorseError(
            f"the new system is refused: {verdict.problem}; collect more judgements, or keep it with --force"
        )
    publish(after)
    carry_blocked(before.result, after.folder)
    print(one_line(f"version {facts['version']}, learnt in {facts['seconds']:.1f} s: {record_of(after.folder)}"))


def _keep_records(learnt: "Learnt", facts: Mapping[str, Any]) -> None:
    """Write a record next to the result of the new system and of each member, also after a refusal."""
    from patent_hier.atomic import write_json
    from patent_hier.pipeline.relearnt import record_of

    *members, (after, _) = learnt
    for member, _ in members:
        own = {"member_of": after.folder.name, "suite": member.facts["suite"]}
        write_json(record_of(member.folder), {**own, "version": facts["version"], "refused": facts["refused"]})
    write_json(record_of(after.folder), dict(facts))


def _check(options: argparse.Namespace) -> None:
    if not 0 <= options.held_out < 1:
        raise ConfigError(
            f"--held-out {options.held_out:g} is out of range; use a number of at least 0 and less than 1"
        )
    if options.passes < 1:
        raise ConfigError(f"--passes {options.passes} is out of range; use 1 or more")
    refuse_other_system("learn", options.overrides)


def refuse_other_system(command: str, overrides: Sequence[str]) -> None:
    """Refuse overrides that would define another system, or that the command sets itself.

    Raises:
        ConfigError: With the first such override.
    """
    for word in overrides:
        key = key_of(word)
        if key.startswith("learn."):
            raise ConfigError(
                f"{word} cannot be set, because {command} sets it itself; see patent-hier {command} --help"
            )
        if key in _OF_THE_SYSTEM or key.startswith(("data.", "split.", "model.")):
            raise ConfigError(
                f"{word} would define another system; {command} uses the settings of MODEL, so leave it out"
            )


def cache_named(options: argparse.Namespace) -> Path | None:
    """Return the cache folder among a command's overrides; None if none is named."""
    given = [word.partition("=")[2] for word in options.overrides if key_of(word) == "cache_dir"]
    return Path(given[-1].strip("'\"")) if given else None


Learnt = list[tuple["SuiteResult", "Corrections"]]


def _learnt(before: "Member", options: argparse.Namespace) -> Learnt:
    """Return the new system (not yet saved) and its corrections, after those of its members if it is a combination."""
    from patent_hier.inference.nodes import COMBINATION

    return (_learnt_combination if before.manifest["model"] == COMBINATION else _learnt_system)(before, options)


def _learnt_system(before: "Member", options: argparse.Namespace) -> Learnt:
    from patent_hier.data.corrections import Corrections
    from patent_hier.pipeline.learning import ensure_corrections, known_words
    from patent_hier.pipeline.members import corpus_of
    from patent_hier.pipeline.plan import Given
    from patent_hier.pipeline.relearnt import earlier_corrections, migrated_content
    from patent_hier.pipeline.stages import split_of
    from patent_hier.pipeline.suite import train_suite

    own = merged(known_words(before.manifest["overrides"]), options.overrides)
    settings, _ = compose_training(own)
    corpus, cache = corpus_of(before, cache_named(options))
    split = split_of(corpus, before.manifest["data"]["split"])
    earlier = earlier_corrections(before, cache)
    folder = ensure_corrections(options.feedback, settings, corpus, split, earlier, options.held_out)
    own += [assigned("learn.corrections", folder), f"learn.weight={options.weight}"]
    if settings.model.inputs != "ngrams" and not options.anew:
        base = assigned("learn.base", before.result)
        own += [base, f"learn.replay={options.replay}", f"learn.passes={options.passes}", f"learn.rate={options.rate}"]
    settings, observers = compose_training(own)
    given = Given(corpus, split, migrated_content(before))
    return [(train_suite(settings, own, observers, given), Corrections.open(folder))]


def _learnt_combination(before: "Member", options: argparse.Namespace) -> Learnt:
    """Retrain each member, then combine the new members as the old ones were."""
    from patent_hier.pipeline.combine import combine_again
    from patent_hier.pipeline.members import read_member
    from patent_hier.pipeline.relearnt import member_results
    from patent_hier.report.results import save_suite

    learnt: Learnt = []
    members = []
    for result in member_results(before):
        say(f"member {result}")
        learnt += _learnt(read_member(result), options)
        members.append(learnt[-1][0].folder)
        save_suite(learnt[-1][0])  # combine reads it; a later refusal is recorded
    corrections = learnt[-1][1]
    return [*learnt, (combine_again(before, members, cache_named(options)), corrections)]
