"""``patent-hier export``: a finished system as one folder to keep, move or publish; or as ONNX files."""

from collections.abc import Sequence
from pathlib import Path

from patent_hier.cli.overrides import OneLineParser
from patent_hier.sanitize import one_line

USAGE = """Write a finished system into one folder with a model card; nothing in it runs when it is loaded.

usage: patent-hier export MODEL FOLDER [--license mit] [--onnx]

  MODEL            a result folder with its nodes beside it: runs/<model>/result-hier-..., -flat-... or -shared-...
  FOLDER           new, empty, or an earlier export, which is replaced
  --license NAME   the hub's identifier of the licence of the weights, for the card
  --onnx           ONNX files of the networks and what makes their token ids, each compared with the original first;
                   needs the extra onnx

Load it again: patent-hier predict FOLDER ..., patent-hier serve FOLDER, or in Python
HierarchicalClassifier.from_pretrained("FOLDER")."""


def run(arguments: Sequence[str]) -> None:
    """Load and write.

    Raises:
        ConfigError: If MODEL is no system, FOLDER holds something else, or a model cannot be written as ONNX.
        ArtifactError: If a file of MODEL is damaged or missing.
    """
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--license")
    parser.add_argument("--onnx", action="store_true")
    options = parser.parse_args(list(arguments))
    if options.onnx:
        from patent_hier.inference.onnx_export import export_onnx
        from patent_hier.inference.predictor import load_system

        files = export_onnx(load_system(Path(options.model)), options.folder)
        print(one_line(f"{len(files['classifiers'])} classifiers as ONNX: {options.folder}"))
        return
    from patent_hier.inference.classifier import HierarchicalClassifier

    classifier = HierarchicalClassifier.from_pretrained(options.model)
    classifier.save_pretrained(options.folder, license=options.license)
    tree = classifier.system.tree
    counts = ", ".join(f"{len(tree.labels(level))} of level {level}" for level in tree.levels)
    print(one_line(f"version {classifier.version}, labels: {counts}: {options.folder}"))
