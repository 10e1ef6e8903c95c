"""Figure 5: attention between two sentences."""

from dataclasses import dataclass
from pathlib import Path

from patent_hier.atomic import read_json
from patent_hier.report.blocks import Block, FigureBlock, Heading, Listing, Note, Paragraph
from patent_hier.report.content.context import Context
from patent_hier.report.figures import Rendered

PAGE = "attention.html"


@dataclass(frozen=True)
class AttentionFolder:
    """A finished attention view.

    Attributes:
        folder: As :mod:`patent_hier.report.attention.view` writes it.
        encoder: Whose attention it is, for a reader.
    """

    folder: Path
    encoder: str


@dataclass(frozen=True)
class AttentionRefused:
    """A view that could not be made.

    Attributes:
        name: Whose attention it would have been.
        reason: One line.
    """

    name: str
    reason: str


def attention(context: Context, view: AttentionFolder | AttentionRefused | None) -> list[Block]:
    """The part with the attention views."""
    say = context.say
    blocks: list[Block] = [Heading(2, say("attention_title"), "attention"), Paragraph(say("attention_intro"))]
    if view is None:
        return [*blocks, Note(say("attention_missing"), "missing"), Listing("python -m patent_hier attention")]
    if isinstance(view, AttentionRefused):
        return [*blocks, Note(say("attention_refused", name=view.name, reason=view.reason), "missing")]
    facts = read_json(view.folder / "attention.json")
    svg, png = ((view.folder / f"attention.{kind}").read_bytes() for kind in ("svg", "png"))
    layers = ", ".join(map(str, facts["chosen_layers"]))
    caption = say("attention_figure", encoder=view.encoder, layers=layers)
    alt = say("attention_alt", layers=layers)
    return [
        *blocks,
        FigureBlock(Rendered("attention", svg, png, alt), caption),
        Paragraph(say("attention_page", page=PAGE)),
    ]
