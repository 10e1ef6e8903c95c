"""The beginning of the report: what it is about, what is missing, what came out."""

from patent_hier.data.splits import TEST
from patent_hier.report.blocks import Block, Heading, Listing, Note, Paragraph
from patent_hier.report.content.context import Context, interval, mean_and_sd


def summary(context: Context) -> list[Block]:
    """What a reader must know first."""
    say, corpus = context.say, context.evidence.corpus
    blocks: list[Block] = [Paragraph(say("intro"))]
    if context.is_demo:
        blocks.append(Note(say("demo"), "warning"))
    blocks.append(
        Paragraph(
            say(
                "corpus",
                name=corpus.manifest["name"],
                documents=f"{corpus.size:,}",
                classes=len(corpus.classes),
                test=f"{int((context.parts == TEST).sum()):,}",
                split=context.evidence.split.name,
            )
        )
    )
    blocks += missing(context)
    if not _any(context):
        return [*blocks, Note(say("nothing"), "missing"), Listing(context.command("model=bertcnn", "level=hier"))]
    return [*blocks, Heading(2, say("winner_title"), "winner"), *winner(context)]


def missing(context: Context) -> list[Block]:
    """Every node that a result needs and that is not there, with the command that trains it."""
    blocks: list[Block] = []
    for item in context.evidence.missing:
        nodes = ", ".join(item.nodes)
        blocks.append(Note(context.say("missing", name=item.name, seed=item.seed, nodes=nodes), "missing"))
        blocks.append(Listing(item.command))
    return blocks


def winner(context: Context) -> list[Block]:
    """Which system is right most often, and how sure that is."""
    spreads = {context.name(item.configuration, "hierarchical"): item.cascade for item in context.hierarchical}
    spreads |= {context.name(item.configuration, "flat_model"): item.flat for item in context.flat}
    order = sorted(spreads, key=lambda name: -spreads[name].mean)
    best = spreads[order[0]]
    say = context.say
    blocks: list[Block] = [
        Paragraph(
            say(
                "winner",
                name=order[0],
                score=mean_and_sd(best),
                interval=interval(best),
                documents=f"{best.n_documents:,}",
                classes=best.n_classes,
            )
        )
    ]
    if len(order) > 1:
        close = [
            pair.second if pair.first == order[0] else pair.first
            for pair in context.pairs
            if order[0] in (pair.first, pair.second)
            and (pair.p_adjusted >= 0.05 or (pair.difference > 0) != (pair.first == order[0]))
        ]
        if close:
            blocks.append(Paragraph(say("winner_close", names="; ".join(close))))
        else:
            blocks.append(Paragraph(say("winner_clear", count=len(order) - 1)))
    return blocks


def _any(context: Context) -> bool:
    return bool(context.hierarchical or context.flat)
