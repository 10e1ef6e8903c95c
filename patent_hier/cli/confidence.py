"""``patent-hier confidence``: what an asked accuracy comes to."""

from collections.abc import Sequence
from pathlib import Path

from patent_hier.cli.overrides import OneLineParser
from patent_hier.errors import ConfigError

USAGE = """Say how far a finished system can be trusted: coverage and accuracy at asked accuracies, calibration errors.

usage: patent-hier confidence MODEL [--output FOLDER]

  MODEL             an exported model, or a result folder with its nodes beside it
  --output FOLDER   also write the tables, the curve of risk and coverage, and all numbers as JSON"""


def run(arguments: Sequence[str]) -> None:
    """Print, and write if asked to.

    Raises:
        ConfigError: If MODEL is no system or has no calibration, or FOLDER holds something else.
        ArtifactError: If a file of MODEL is damaged or missing.
    """
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args(list(arguments))
    from rich.console import Console

    from patent_hier.inference.classifier import HierarchicalClassifier
    from patent_hier.report.confidence import NOTES, TABLE_FILE, confidence_tables, write_confidence
    from patent_hier.report.tables import DEMO_NOTE, print_grid

    classifier = HierarchicalClassifier.from_pretrained(options.model)
    if classifier.calibration is None:
        raise ConfigError(
            f"{options.model} has no calibration: its split left no documents for it, or its predictions are gone; "
            "train with split.calibration above 0"
        )
    console = Console()
    for grid in confidence_tables(classifier.calibration):
        print_grid(console, grid)
    print("\n".join(NOTES))
    if (classifier.facts.get("data") or {}).get("name") == "demo":
        print(DEMO_NOTE)
    if options.output is not None:
        write_confidence(options.output, classifier, classifier.calibration)
        print(f"written: {options.output / TABLE_FILE}")
