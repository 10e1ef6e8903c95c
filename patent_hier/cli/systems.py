"""Systems of finished nodes: collected, combined, trained whole, and written into one folder."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from patent_hier.cli import schema
from patent_hier.cli.compose import compose_settings, compose_training
from patent_hier.cli.overrides import key_of, merged, parsed
from patent_hier.errors import ConfigError
from patent_hier.inference.engines import Engine
from patent_hier.sanitize import one_line
from patent_hier.settings import DataSettings
from patent_hier.settings.checks import one_of
from patent_hier.settings.data import DEPTHS

if TYPE_CHECKING:
    from patent_hier.pipeline.suite import SuiteResult

AGGREGATE = """Aggregate the finished nodes of one configuration; nothing is trained.

usage: patent-hier aggregate [the overrides of the run, such as model=bertcnn data=demo seed=1]"""
COMBINE = """Combine finished results of one corpus and split into one system; nothing is trained.

usage: patent-hier combine RESULT RESULT ... [options]

  RESULT             result folder: runs/<model>/result-<level>-<fingerprint>, of level hier, shared or flat, of any
                     model and seed; a combination may be a member too
  --name NAME        folder of the combination in the folder of results; the default is combination
  --runs-dir FOLDER  folder of results; the default is runs
  --cache-dir FOLDER where the corpus is; the default is the folder that the members were made with
  --depth class      the deepest level that is answered; the default is the deepest that every member reaches

For each node the members' probabilities are multiplied, each to the power of its weight. Members that go below the
class become one network over all levels, with a weight for each member and level. The weights are fitted to the part
val, so scores on val are no estimate."""
ENSEMBLE = """Train the recommended models, combine them; the most accurate system of this suite.

usage: patent-hier ensemble [data=demo|cnipa|gazette data.path=FILE.csv ...] [--members NAME,NAME] [--jobs 2]

  data.depth=subgroup         every level down to subclass, main_group or subgroup; the default is class
  data.label_text=TITLES.csv  titles of IPC places (code,level,title) as further training documents of the members
                              linear and encoder; below the class, linear also answers labels that no training document
                              has, by their titles
  encoder=... encoder.path=FOLDER  another encoder than the built-in one, for the members that have one
  split=deploy                for use: 90 % of the documents train; the default, split=applicant, tests on a tenth
  seed=2 runs_dir=... trainer.num_threads=2   likewise for all members
  data.context=[applicant]    for the members that count n-grams; with split=date or split=random
  --members NAME,NAME         some of the members only
  --jobs N                    members that are trained at the same time, each with one CPU thread; the default is 1

Its members stand in conf/ensemble.yaml, below the class in conf/ensemble_deep.yaml. Finished ones are kept. The last
line says how to classify another file."""
DEMO = """Train a system on the generated demo corpus, unless it is finished already, and open its page.

usage: patent-hier demo [options of patent-hier serve] [group=choice ...] [group.key=value ...]

The model is linear in nine nodes, trained in seconds; model=bertcnn is the paper's, trained in minutes. Its answers
mean nothing for real patents. data=cnipa data.path=FILE.csv makes it a real one."""
EXPORT = """Write a finished system into one folder with a model card; nothing in it runs when it is loaded.

usage: patent-hier export MODEL FOLDER [--license mit] [--titles FILE] [--onnx]

  MODEL            a result folder with its nodes beside it: runs/<model>/result-hier-..., -flat-... or -shared-...
  FOLDER           new, empty, or an earlier export, which is replaced
  --license NAME   the hub's identifier of the licence of the weights, for the card
  --titles FILE    titles of the labels (CSV of code, level, title), kept in the folder for predict and serve; the
                   default is those of data.label_text in training
  --onnx           ONNX files of the networks and what makes their token ids, each compared with the original first;
                   needs the extra onnx

Load it again: patent-hier predict FOLDER ..., patent-hier serve FOLDER, or in Python
HierarchicalClassifier.from_pretrained("FOLDER")."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_SET_BY_ENSEMBLE = ("model", "level", "node", "features")
_NO_TITLES = "data.label_text=null"
_READ_CONTEXT = ("model=linear", "model=logistic", "model=naive_bayes", "model=knn")
_DEMO = ("model=linear", "level=hier")  # the quickest that is good on the demo corpus


def aggregate(words: Sequence[str]) -> None:
    """Find the nodes of one configuration, aggregate, print and save.

    Raises:
        IncompleteError: Naming the nodes that are missing.
    """
    settings = compose_settings(words)
    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.suite import aggregate_nodes, find_nodes

    publish(aggregate_nodes(*find_nodes(settings)))


def combine(words: Sequence[str]) -> None:
    """Combine results, or find them combined; then aggregate, print and save both results.

    Raises:
        ConfigError: If an option or a member cannot be used.
        IncompleteError: If a member lacks a node.
    """
    options = parsed(words, "results+", name="combination", runs_dir=Path("runs"), cache_dir=Path, depth=str)
    if not _NAME.fullmatch(options.name):
        raise ConfigError(f"--name {options.name} is no folder's name; use letters, digits and any of _ . + -")
    one_of("--depth", options.depth, DEPTHS)
    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.combine import combine as combine_results

    own = options.results, options.runs_dir, options.name, options.cache_dir
    for suite in combine_results(*own, words, options.depth):
        publish(suite)


def ensemble(words: Sequence[str]) -> None:
    """Train the recommended models where they are missing, combine, print and save.

    Raises:
        PatentHierError: If a setting or an input cannot be used.
    """
    options = parsed(words, members=str, jobs=1)
    if options.jobs < 1:
        raise ConfigError(f"--jobs {options.jobs} is out of range; use 1 or more")
    overrides = member_overrides(options.overrides, options.members)
    if options.jobs > 1:
        overrides = {name: merged(["trainer.num_threads=1"], own) for name, own in overrides.items()}
    members = {name: compose_training(own) for name, own in overrides.items()}  # all are checked before one is trained
    from joblib import Parallel, delayed

    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.combine import combine as combine_results

    named = [(f"member {n} of {len(overrides)}: {name}", own) for n, (name, own) in enumerate(overrides.items(), 1)]
    if options.jobs > 1:
        named.reverse()  # the last one takes longest
    training = Parallel(options.jobs, return_as="generator_unordered")
    results = []
    for suite in training(delayed(_train_member)(name, own) for name, own in named):
        publish(suite)
        results.append(suite.folder)
    first, _ = next(iter(members.values()))
    cache = Path(first.cache_dir)
    depth = _depth(options.overrides)
    combined = combine_results(results, Path(first.runs_dir), "ensemble", cache, options.overrides, depth)
    for suite in reversed(combined):
        publish(suite)
    print(one_line(f"classify another file: patent-hier predict {combined[0].folder} FILE.csv"))


def _train_member(name: str, words: Sequence[str]) -> "SuiteResult":
    """Train one member, perhaps in a process of its own."""
    from patent_hier.pipeline.suite import train_suite
    from patent_hier.progress import say

    say(name)
    settings, observers = compose_training(words)
    return train_suite(settings, words, observers)


def member_overrides(words: Sequence[str], members: str | None) -> dict[str, list[str]]:
    """The overrides of each member of the ensemble, by its name in ``conf/ensemble.yaml``.

    Args:
        words: The user's; what they say of the split, an encoder or training replaces the member's own.
        members: Names, separated by commas; None for all. Below the class, those of ``conf/ensemble_deep.yaml``.

    Raises:
        ConfigError: For an unknown name, fewer than two, or a word that the ensemble sets itself.
    """
    name = "ensemble.yaml" if _depth(words) == DataSettings.depth else "ensemble_deep.yaml"
    file = Path(schema.config_folder()) / name
    known: dict[str, list[str]] = OmegaConf.to_object(OmegaConf.load(file))  # type: ignore[assignment]  # of our own file
    names = list(known) if members is None else members.split(",")
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"--members {','.join(unknown)} is unknown; choose from {', '.join(known)}")
    if len(set(names)) < 2:
        raise ConfigError(f"--members needs two or more of {', '.join(known)}")
    for word in words:
        if key_of(word).split(".")[0] in _SET_BY_ENSEMBLE:
            raise ConfigError(f"{word}: the ensemble sets its models itself; see conf/{file.name}")
    return {name: merged(known[name], _readable(known[name], words)) for name in names}


def _depth(words: Sequence[str]) -> str:
    """The deepest level that the system is to answer."""
    return ([DataSettings.depth] + [word.partition("=")[2] for word in words if key_of(word) == "data.depth"])[-1]


def _readable(own: Sequence[str], words: Sequence[str]) -> list[str]:
    """The words without those that the member does not take: a context, titles, less depth than it learns."""
    refused = set()
    if any(key_of(word) == "data.depth" for word in own):  # of conf/ensemble.yaml, whose systems answer classes
        refused.add("data.depth")
    if _NO_TITLES in own:
        refused.add("data.label_text")
    if not any(word in _READ_CONTEXT for word in own):
        refused.add("data.context")
    return [word for word in words if key_of(word) not in refused]


def demo(words: Sequence[str]) -> None:
    """Train what is missing of a system, then serve it until it is interrupted; errors as of ``run`` and ``serve``."""
    from patent_hier.cli.serve import OPTIONS, require_web, serve_model

    options = parsed(words, **OPTIONS)
    require_web()  # before training, not after it
    Engine(options.engine, options.precision)  # likewise
    own = merged(_DEMO, options.overrides)
    settings, observers = compose_training(own)
    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.suite import train_suite

    suite = train_suite(settings, own, observers)
    publish(suite)
    options.cache_dir = Path(settings.cache_dir)
    serve_model(suite.folder, options)


def export(words: Sequence[str]) -> None:
    """Write a finished system into one folder, or its networks as ONNX.

    Raises:
        ConfigError: If MODEL is no system, FOLDER holds something else, or a model cannot be written as ONNX.
        ArtifactError: If a file of MODEL is damaged or missing.
    """
    options = parsed(words, "model folder", license=str, titles=Path, onnx=False)
    if options.onnx:
        from patent_hier.inference.blocked import BLOCKED_FILE
        from patent_hier.inference.exporting import load_calibration
        from patent_hier.inference.onnx_export import export_onnx
        from patent_hier.inference.predictor import load_system

        model = Path(options.model)
        system = load_system(model)
        files = export_onnx(system, options.folder, load_calibration(model, system))
        if (model / BLOCKED_FILE).is_file():
            print(
                one_line(f"note: {BLOCKED_FILE} of {model} blocks places in answers; ONNX gives scores of all labels")
            )
        print(one_line(f"{len(files['classifiers'])} classifiers as ONNX: {options.folder}"))
        return
    from patent_hier.inference.classifier import HierarchicalClassifier

    classifier = HierarchicalClassifier.from_pretrained(options.model, titles=options.titles)
    classifier.save_pretrained(options.folder, license=options.license)
    tree = classifier.system.tree
    counts = ", ".join(f"{len(tree.labels(level))} of level {level}" for level in tree.levels)
    print(one_line(f"version {classifier.version}, labels: {counts}: {options.folder}"))
