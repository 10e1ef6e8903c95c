"""Commands that build systems: aggregate, combine, ensemble, demo and export."""

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

AGGREGATE = """Aggregate the finished nodes of one configuration into a hierarchical result; nothing is trained.

usage: patent-hier aggregate [the overrides of the run, such as model=bertcnn data=demo seed=1]"""
COMBINE = """Combine finished results of one corpus and split into one system; nothing is trained.

usage: patent-hier combine RESULT RESULT ... [options]

  patent-hier combine runs/linear/result-hier-... runs/bertcnn/result-hier-...

  RESULT             result folder: runs/<model>/result-<level>-<fingerprint>, of level hier, shared or flat, of any
                     model and seed; a combination can itself be a member
  --name NAME        name of the combination's folder among the results; default: combination
  --runs-dir FOLDER  folder of results; default: runs
  --cache-dir FOLDER where the corpus is; default: the folder that the members were trained with
  --depth class      the deepest level to answer; default: the deepest that every member reaches

At each node, the members' probabilities are multiplied, each raised to the power of its weight. Members that go below
the class become one network over all levels, with a weight for each member and level. The weights are fitted on val, so
scores on val are optimistic."""
ENSEMBLE = """Train the recommended models and combine them into the most accurate system of this package.

usage: patent-hier ensemble [data=demo|cnipa|gazette data.path=FILE.csv ...] [--members NAME,NAME] [--jobs 2]

  patent-hier ensemble data=gazette data.path=gazette.csv data.depth=main_group --jobs 2

  data.depth=subgroup         every level down to subclass, main_group or subgroup; default: class
  data.label_text=TITLES.csv  titles of IPC symbols (code,level,title) as additional training documents of the members
                              linear and encoder; below the class, linear can also answer labels without training
                              documents, by their titles
  encoder=... encoder.path=FOLDER  another encoder than the built-in one, for the members with an encoder
  split=deploy                for production use: 90 % of the documents train; the default, split=applicant, keeps a
                              tenth for testing
  seed=2 runs_dir=... trainer.num_threads=2   apply to all members
  data.context=[applicant]    for the members on character n-grams; needs split=date or split=random
  --members NAME,NAME         train only these members
  --jobs N                    number of members trained in parallel, each with one CPU thread; default: 1

The members are defined in conf/ensemble.yaml or, below the class, in conf/ensemble_deep.yaml. Finished members are not
trained again. The last line printed is a command that classifies another file."""
DEMO = """Train a system on the generated demo corpus, unless it is finished already, and open its web page.

usage: patent-hier demo [options of patent-hier serve] [group=choice ...] [group.key=value ...]

  patent-hier demo --open

By default, the model is linear with nine nodes, trained in seconds; model=bertcnn is the paper's, trained in minutes.
The answers of a demo system mean nothing for real patents; data=cnipa data.path=FILE.csv trains on real ones."""
EXPORT = """Write a trained system into one folder with a model card; loading it never executes code from the folder.

usage: patent-hier export MODEL FOLDER [--license mit] [--titles FILE] [--onnx]

  MODEL            a result folder with its nodes next to it: runs/<model>/result-hier-..., -flat-... or -shared-...
  FOLDER           new, empty, or an earlier export, which is replaced
  --license NAME   licence of the weights for the model card, as an identifier of the Hugging Face Hub
  --titles FILE    titles of the labels (CSV of code, level, title), stored in the folder for predict and serve;
                   default: those of data.label_text in training
  --onnx           write ONNX files of the networks, with their tokenizers, each first compared with the original; needs
                   the extra onnx

Load the result with patent-hier predict FOLDER ..., patent-hier serve FOLDER, or in Python
HierarchicalClassifier.from_pretrained("FOLDER")."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_SET_BY_ENSEMBLE = ("model", "level", "node", "features")
_NO_TITLES = "data.label_text=null"
_READ_CONTEXT = ("model=linear", "model=logistic", "model=naive_bayes", "model=knn")
_DEMO = ("model=linear", "level=hier")  # the fastest one with good results on the demo corpus


def aggregate(words: Sequence[str]) -> None:
    """Find the nodes of one configuration, aggregate them, print and save the result.

    Raises:
        IncompleteError: With the missing nodes.
    """
    settings = compose_settings(words)
    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.suite import aggregate_nodes, find_nodes

    publish(aggregate_nodes(*find_nodes(settings)))


def combine(words: Sequence[str]) -> None:
    """Combine results, unless that is done already; aggregate, print and save both results.

    Raises:
        ConfigError: If an option or a member cannot be used.
        IncompleteError: If a member lacks a node.
    """
    options = parsed(words, "results+", name="combination", runs_dir=Path("runs"), cache_dir=Path, depth=str)
    if not _NAME.fullmatch(options.name):
        raise ConfigError(f"--name {options.name} is not a valid folder name; use only letters, digits and _ . + -")
    one_of("--depth", options.depth, DEPTHS)
    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.combine import combine as combine_results

    own = options.results, options.runs_dir, options.name, options.cache_dir
    for suite in combine_results(*own, words, options.depth):
        publish(suite)


def ensemble(words: Sequence[str]) -> None:
    """Train the recommended models that are missing, combine them, print and save the result.

    Raises:
        PatentHierError: If a setting or an input cannot be used.
    """
    options = parsed(words, members=str, jobs=1)
    if options.jobs < 1:
        raise ConfigError(f"--jobs {options.jobs} is out of range; use 1 or more")
    overrides = member_overrides(options.overrides, options.members)
    if options.jobs > 1:
        overrides = {name: merged(["trainer.num_threads=1"], own) for name, own in overrides.items()}
    members = {name: compose_training(own) for name, own in overrides.items()}  # all are checked before any is trained
    from joblib import Parallel, delayed

    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.combine import combine as combine_results

    named = [(f"member {n} of {len(overrides)}: {name}", own) for n, (name, own) in enumerate(overrides.items(), 1)]
    if options.jobs > 1:
        named.reverse()  # start with the last one, which takes longest
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
    """Train one member, possibly in a process of its own."""
    from patent_hier.pipeline.suite import train_suite
    from patent_hier.progress import say

    say(name)
    settings, observers = compose_training(words)
    return train_suite(settings, words, observers)


def member_overrides(words: Sequence[str], members: str | None) -> dict[str, list[str]]:
    """Return the overrides of each member of the ensemble, by its name in ``conf/ensemble.yaml``.

    Args:
        words: The user's overrides, which replace a member's own for the split, the encoder and training.
        members: Names, separated by commas; None for all. Below the class, those of ``conf/ensemble_deep.yaml``.

    Raises:
        ConfigError: For an unknown name, fewer than two names, or a setting that the ensemble sets itself.
    """
    name = "ensemble.yaml" if _depth(words) == DataSettings.depth else "ensemble_deep.yaml"
    file = Path(schema.config_folder()) / name
    known: dict[str, list[str]] = OmegaConf.to_object(OmegaConf.load(file))  # type: ignore[assignment]  # our own file
    names = list(known) if members is None else members.split(",")
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"--members {','.join(unknown)} is unknown; choose from {', '.join(known)}")
    if len(set(names)) < 2:
        raise ConfigError(f"--members names fewer than two members; choose from {', '.join(known)}")
    for word in words:
        if key_of(word).split(".")[0] in _SET_BY_ENSEMBLE:
            raise ConfigError(
                f"{word} cannot be set, because the ensemble chooses its models itself; see conf/{file.name}"
            )
    return {name: merged(known[name], _readable(known[name], words)) for name in names}


def _depth(words: Sequence[str]) -> str:
    """Return the deepest level that the system answers."""
    return ([DataSettings.depth] + [word.partition("=")[2] for word in words if key_of(word) == "data.depth"])[-1]


def _readable(own: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return the words without settings that a member does not use: context, titles, a depth of its own."""
    refused = set()
    if any(key_of(word) == "data.depth" for word in own):  # in conf/ensemble.yaml, whose systems answer classes
        refused.add("data.depth")
    if _NO_TITLES in own:
        refused.add("data.label_text")
    if not any(word in _READ_CONTEXT for word in own):
        refused.add("data.context")
    return [word for word in words if key_of(word) not in refused]


def demo(words: Sequence[str]) -> None:
    """Train the missing nodes of a system and serve it until interrupted; errors as in ``run`` and ``serve``."""
    from patent_hier.cli.serve import OPTIONS, require_web, serve_model

    options = parsed(words, **OPTIONS)
    require_web()  # before training
    Engine(options.engine, options.precision)  # checked before training
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
        ConfigError: If MODEL is not a trained system, FOLDER contains something else, or ONNX cannot express a model.
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
            print(one_line(f"note: {BLOCKED_FILE} of {model} blocks labels in answers; ONNX files score all labels"))
        print(one_line(f"{len(files['classifiers'])} classifiers as ONNX: {options.folder}"))
        return
    from patent_hier.inference.classifier import HierarchicalClassifier

    classifier = HierarchicalClassifier.from_pretrained(options.model, titles=options.titles)
    classifier.save_pretrained(options.folder, license=options.license)
    tree = classifier.system.tree
    counts = ", ".join(f"{len(tree.labels(level))} of level {level}" for level in tree.levels)
    print(one_line(f"version {classifier.version}, labels: {counts}: {options.folder}"))
