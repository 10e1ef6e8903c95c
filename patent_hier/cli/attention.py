"""``patent-hier attention``: the paper's Figure 5, attention between two texts, as a page and a figure."""

from collections.abc import Sequence
from pathlib import Path

from patent_hier.cli.compose import compose_settings
from patent_hier.cli.overrides import OneLineParser
from patent_hier.errors import ConfigError
from patent_hier.sanitize import one_line

USAGE = """Show an encoder's attention between two texts: an interactive page, a figure, and where the attention goes.

usage: patent-hier attention [options] [encoder=... encoder.path=FOLDER ...]

  --text-a TEXT     first text; the default pair is that of the paper's Figure 5
  --text-b TEXT     second text
  --layers 2,11     layers of the figure, from 1; the page has all, and opens with the first of these
  --model FOLDER    the encoder of a trained bertcnn node: the model folder of its result
  --output FOLDER   where to write; the default is runs/attention-<fingerprint>

Attention illustrates how the encoder mixes tokens; it is no explanation of a decision."""


def run(arguments: Sequence[str]) -> None:
    """Make the views, or find them finished.

    Raises:
        ConfigError: If an option, a layer or a text cannot be used.
    """
    options = _parser().parse_intermixed_args(list(arguments))
    layers = None if options.layers is None else _layers(options.layers)
    if options.model is not None:
        _refuse_second_encoder(options.overrides)
    settings = compose_settings(options.overrides)
    from patent_hier.report.attention.view import TEXT_A, TEXT_B, attention_view

    text_a = TEXT_A if options.text_a is None else options.text_a
    text_b = TEXT_B if options.text_b is None else options.text_b
    folder, made = attention_view(settings, text_a, text_b, layers=layers, model=options.model, output=options.output)
    print(one_line(f"{'attention views' if made else 'finished attention views'}: {folder / 'attention.html'}"))


def _parser() -> OneLineParser:
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--text-a")
    parser.add_argument("--text-b")
    parser.add_argument("--layers")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("overrides", nargs="*")
    return parser


def _layers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--layers {text} is no list of numbers; write it as --layers 2,11") from error


def _refuse_second_encoder(overrides: Sequence[str]) -> None:
    for word in overrides:
        name = word.lstrip("+~").split("=", 1)[0]
        if name == "encoder" or name.startswith("encoder."):
            raise ConfigError(f"{word}: --model brings its own encoder; leave one of the two out")
