from dataclasses import replace

from patent_hier.pipeline.evidence import Missing
from patent_hier.report.blocks import Heading, Listing, Note, Paragraph
from patent_hier.report.content.summary import missing, summary, winner


def test_the_best_and_those_not_distinguishable_from_it(context):
    best, others = (block.text for block in winner(context))
    scores = {f"{item.configuration.name}, hierarchical": item.cascade for item in context.hierarchical}
    scores |= {"linear, flat": context.flat[0].flat}
    name = max(scores, key=lambda own: scores[own].mean)
    assert best.startswith(f"Most often right about the class: {name}, {100 * scores[name].mean:.1f} % of 100 test")
    close = others.split(": ")[1].rstrip(".").split("; ")
    assert set(close) <= set(scores) - {name}
    assert not [own for own in close if own.startswith(("textcnn", "bertcnn"))]  # which are far behind
    assert {own for own in scores if own.startswith(("linear", "naive"))} <= {name, *close}


def test_a_clear_winner(context):
    linear = [item for item in context.hierarchical if item.configuration.name in ("linear", "textcnn")]
    _, others = winner(replace(context, hierarchical=linear, flat=()))
    assert others.text.startswith("It differs significantly from each of the other 1 systems")


def test_one_system_alone_is_compared_with_nothing(context):
    assert len(winner(replace(context, hierarchical=context.hierarchical[:1], flat=()))) == 1


def test_nothing_has_been_run(contexts):
    for context in contexts.values():
        blocks = summary(replace(context, hierarchical=(), flat=()))
        assert [type(block) for block in blocks] == [Paragraph, Paragraph, Note, Listing]
        assert blocks[-2] == Note(context.say("nothing"), "missing")
        assert blocks[-1] == Listing(context.command("model=bertcnn", "level=hier"))
        assert "100" in blocks[1].text  # test documents, though no system was scored on them


def test_each_gap_has_its_command(contexts):
    gaps = (Missing("rnn", 3, ("B", "D"), "python run.py a"), Missing("knn", 1, ("flat",), "python run.py b"))
    for context in contexts.values():
        own = replace(context, evidence=replace(context.evidence, missing=gaps))
        first, command, second, other = missing(own)
        assert (command, other) == (Listing("python run.py a"), Listing("python run.py b"))
        assert all(word in first.text for word in ("rnn", "3", "B, D"))
        assert all(word in second.text for word in ("knn", "1", "flat"))
        assert {first.kind, second.kind} == {"missing"}
        assert [block for block in summary(own) if isinstance(block, Heading)]
