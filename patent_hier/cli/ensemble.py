"""``patent-hier ensemble``: train the recommended models on one file, combine them into one system."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from patent_hier.cli import schema
from patent_hier.cli.compose import compose_training
from patent_hier.errors import ConfigError
from patent_hier.sanitize import one_line

_OWN = ("model", "level", "node", "features")
USAGE = """Train the recommended models, combine them; the most accurate system of this suite.

usage: patent-hier ensemble [data=demo|cnipa|gazette data.path=FILE.csv ...] [--members NAME,NAME]

  data.label_text=TITLES.csv  titles of IPC places (code,level,title) as further training documents: of subclasses and
                              main groups, for the linear member of subgroups too
  encoder=... encoder.path=FOLDER  another encoder than the built-in one for the member that reads word pieces
  split=deploy                for use: 90 % of the documents train; the default, split=applicant, tests on a tenth
  seed=2 runs_dir=... trainer.num_threads=2   likewise for all members
  --members NAME,NAME         some of the members only

Its members stand in conf/ensemble.yaml. Finished ones are kept. The last line says how to classify another file."""


def run(arguments: Sequence[str]) -> None:
    """Train what is missing, combine, print and save.

    Raises:
        PatentHierError: If a setting or an input cannot be used.
    """
    words, chosen = _chosen(list(arguments))
    overrides = {name: _merged(own, words) for name, own in chosen.items()}
    members = {name: compose_training(own) for name, own in overrides.items()}  # all are checked before one is trained
    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.combine import combine
    from patent_hier.pipeline.suite import aggregate_nodes
    from patent_hier.pipeline.train_suite import train_suite
    from patent_hier.progress import say

    suites = []
    for number, (name, (settings, observers)) in enumerate(members.items(), 1):
        say(f"member {number} of {len(members)}: {name}")
        suites.append(train_suite(settings, overrides[name], observers))
        publish(suites[-1])
    first, _ = next(iter(members.values()))
    made = combine([suite.folder for suite in suites], Path(first.runs_dir), "ensemble", Path(first.cache_dir), words)
    publish(aggregate_nodes(made.flat, made.corpus))
    whole = aggregate_nodes(made.hier, made.corpus)
    publish(whole)
    print(one_line(f"classify another file: patent-hier predict {whole.folder} FILE.csv"))


def _chosen(words: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The user's overrides, and the members' own by name."""
    file = Path(schema.config_folder()) / "ensemble.yaml"
    known: dict[str, list[str]] = OmegaConf.to_object(OmegaConf.load(file))  # type: ignore[assignment]  # of our own file
    names = list(known)
    if "--members" in words:
        place = words.index("--members")
        names = words[place + 1].split(",") if place + 1 < len(words) else []
        del words[place : place + 2]
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"--members {','.join(unknown)} is unknown; choose from {', '.join(known)}")
    if len(set(names)) < 2:
        raise ConfigError(f"--members needs two or more of {', '.join(known)}")
    for word in words:
        if word.lstrip("+~").split("=", 1)[0].split(".")[0] in _OWN:
            raise ConfigError(f"{word}: the ensemble sets its models itself; see conf/ensemble.yaml")
    return words, {name: known[name] for name in names}


def _merged(own: Sequence[str], words: Sequence[str]) -> list[str]:
    """A member's overrides; what the user says of the split, an encoder or training replaces the member's own."""
    given = {word.split("=", 1)[0] for word in words}
    return [*(word for word in own if word.split("=", 1)[0] not in given), *words]
