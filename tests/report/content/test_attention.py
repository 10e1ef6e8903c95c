import json
import struct

from patent_hier.report.blocks import FigureBlock, Listing, Note, Paragraph
from patent_hier.report.content.attention import AttentionFolder, AttentionRefused, attention

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 200, 100)


def test_a_finished_view_is_shown(contexts, tmp_path):
    (tmp_path / "attention.svg").write_bytes(b"<svg/>")
    (tmp_path / "attention.png").write_bytes(PNG)
    (tmp_path / "attention.json").write_text(json.dumps({"chosen_layers": [2, 11]}), "utf-8")
    for context in contexts.values():
        *_, figure, link = attention(context, AttentionFolder(tmp_path, "macbert, bertcnn, seed 1"))
        assert isinstance(figure, FigureBlock)
        assert (figure.figure.svg, figure.figure.png, figure.figure.name) == (b"<svg/>", PNG, "attention")
        for words in (figure.caption, figure.figure.alt):
            assert "2, 11" in words
        assert "macbert, bertcnn, seed 1" in figure.caption
        assert isinstance(link, Paragraph)
        assert "`attention.html`" in link.text


def test_without_an_encoder_the_command_is_named(contexts):
    for context in contexts.values():
        *_, note, listing = attention(context, None)
        assert note == Note(context.say("attention_missing"), "missing")
        assert listing == Listing("python -m patent_hier attention")


def test_a_view_that_cannot_be_made_has_its_reason(contexts):
    for context in contexts.values():
        *_, note = attention(context, AttentionRefused("bertcnn", "the two texts have 45 tokens"))
        assert note.kind == "missing"
        assert "bertcnn" in note.text
        assert "the two texts have 45 tokens" in note.text
