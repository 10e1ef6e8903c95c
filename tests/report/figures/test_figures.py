import math
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from patent_hier.evaluation.calibration_error import Reliability
from patent_hier.evaluation.drift import compare
from patent_hier.evaluation.profile import Observations, Profile
from patent_hier.evaluation.result import Score
from patent_hier.report import figures
from patent_hier.report.figures import fonts
from patent_hier.report.figures.style import shorten
from patent_hier.taxonomy.names import name_of
from patent_hier.taxonomy.symbols import SECTIONS

CJK = re.compile("[\u2e80-\u9fff\uff00-\uffef]")
NAMES = {code: name_of(code, "zh") for code in (*SECTIONS, "A01", "A23", "B01", "D03", "H99")}
ENGLISH = {code: name_of(code, "en") for code in NAMES}


def score(hits, n=50, classes=5):
    return Score.of_hits(hits, n, classes)


def epoch(number, **metrics):
    return {"epoch": number, "seconds": 1.0, **{key.replace("_", "/"): value for key, value in metrics.items()}}


LAYERS = {"A": {1: score(30), 12: score(35)}, "D": {n: score(20 + n) for n in range(1, 13)}, "root": {4: score(50)}}
OURS = {"模型 $x^2$": {"L1": score(40), "C": score(0), "L2": score(50)}}
COUNTS = pd.DataFrame([[8, 2], [0, 0]], list("AB"), list("AB"))
CLASSES = pd.DataFrame(
    {"right": [1.0, 0.25, 0.0, 0.5, 0.6], "documents": [20, 4, 1, 2, 5]}, ["A01", "A23", "B01", "D03", "H99"]
)
HISTORIES = {
    "root": [epoch(1, train_loss=2.0, val_loss=2.2, val_accuracy=0.5), epoch(2, train_loss=1.0, val_accuracy=math.nan)],
    "D": [epoch(1, train_loss=0.0)],
}
BINS = {"bertcnn": Reliability(0.05, 0.05, 100, (30, 70, 0), (0.55, 0.95, None), (0.5, 0.9, None))}
GROUPS = {
    "bertcnn": {"head": score(45), "tail": score(5, 20, 9)},
    "textcnn": {"head": score(40), "tail": score(9, 20, 9)},
}


def profile(n, shift=0):
    texts = [(4 * (1 + row % 5) ** 2 + shift, 20, row % 3 + shift, row % 7, 19, row % 9 + shift) for row in range(n)]
    labels = np.array([("AB"[row % 2], ("A01", "B60")[row % 2]) for row in range(n)], object)
    confidence = np.stack([np.linspace(0.1, 1, n), np.linspace(0, 0.9, n)], axis=1)
    return Profile.of(("section", "class"), Observations(np.array(texts), labels, confidence))


SHIFTS = compare(profile(400), profile(300, 3))
DRAWINGS = {
    "layer_bars": lambda pen: figures.layer_bars(pen, LAYERS),
    "comparison_bars": lambda pen: figures.comparison_bars(pen, OURS),
    "frequency_bars": lambda pen: figures.frequency_bars(pen, GROUPS),
    "section_confusion": lambda pen: figures.section_confusion(pen, COUNTS),
    "class_bars": lambda pen: figures.class_bars(pen, CLASSES),
    "learning_curves": lambda pen: figures.learning_curves(pen, HISTORIES),
    "reliability": lambda pen: figures.reliability(pen, BINS),
    "drift": lambda pen: figures.drift(
        pen, profile(400), profile(300, 3), SHIFTS, {"2019-01": SHIFTS, "2019-02": SHIFTS}
    ),
}
EN = figures.pen("en")


def draw(name, language="en"):
    return DRAWINGS[name](figures.pen(language, NAMES if language == "zh" else ENGLISH))


@pytest.fixture
def drawn(monkeypatch):
    """Every figure with the texts that are really drawn; laid out but not saved, which takes longest."""
    seen, texts = [], []
    original = Text.draw

    def note(self, renderer):
        original(self, renderer)
        if self.get_visible() and self.get_text().strip():
            texts.append((self.get_text(), self.get_window_extent(renderer)))

    def record(self, *arguments, **options):
        if self not in seen:
            texts.clear()
            self.draw_without_rendering()
            self.boxes = list(texts)
            seen.append(self)

    monkeypatch.setattr(Text, "draw", note)
    monkeypatch.setattr(Figure, "savefig", record)
    return seen


def words(figure):
    return [text for text, _ in figure.boxes]


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_is_valid_repeatable_and_leaves_matplotlib_alone(name):
    before = dict(matplotlib.rcParams)
    first, second = draw(name), draw(name)
    assert dict(matplotlib.rcParams) == before
    assert first == second  # every byte of SVG and PNG, and the alternative text
    assert ElementTree.fromstring(first.svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"<text" not in first.svg  # letters are outlines: the reader needs none of our fonts
    assert b"<dc:date>" not in first.svg
    assert first.png.startswith(b"\x89PNG")
    assert first.name == name
    assert first.alt.endswith(".")
    assert len(first.alt) > 30


@pytest.mark.parametrize("name", ["frequency_bars", "class_bars"])  # arranged by matplotlib and by hand
def test_settings_of_the_machine_do_not_show(name):
    usual = draw(name)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": None, "savefig.dpi": 30}):
        assert draw(name) == usual


@pytest.mark.parametrize("name", DRAWINGS)
def test_without_a_chinese_font_no_chinese_letter_is_drawn(name, drawn, monkeypatch):
    monkeypatch.setattr(fonts, "cjk_font", lambda: None)
    chinese = draw(name, "zh")
    assert drawn
    assert not [word for figure in drawn for word in words(figure) if CJK.search(word)]
    assert CJK.search(chinese.alt)  # the alternative text is the page's, which has the reader's fonts


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", DRAWINGS)
def test_texts_can_be_read(name, language, drawn, recwarn):
    draw(name, language)
    (figure,) = drawn
    chinese = any(CJK.search(word) for word in words(figure) if "x^2" not in word)  # one model's own name is Chinese
    assert chinese == (language == "zh" and fonts.cjk_font() is not None)
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]  # an empty box
    for place, (text, box) in enumerate(figure.boxes):
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= figure.bbox.width + 1, text
        assert box.y1 <= figure.bbox.height + 1, text
        for other, second in figure.boxes[:place]:
            common = min(box.x1, second.x1) - max(box.x0, second.x0), min(box.y1, second.y1) - max(box.y0, second.y0)
            assert min(common) < 1.5, (text, other)  # pixels; the boxes have some air


def test_all_classes_fit(drawn):
    rows = {f"{section}{number:02}": (number / 20, 10 * number) for section in SECTIONS for number in range(1, 17)}
    names = dict.fromkeys(rows, "A rather long name of a class, cut here")
    figures.class_bars(figures.pen("en", names), pd.DataFrame.from_dict(rows, "index", columns=["right", "documents"]))
    labels = [(text, box) for text, box in drawn[-1].boxes if "rather" in text]
    assert len(labels) == 128
    assert all(label.endswith("…") for label, _ in labels)
    for place, (label, box) in enumerate(labels):
        assert not any(box.overlaps(other) for _, other in labels[:place]), label


def test_layer_panels_begin_with_d_and_bars_at_zero(drawn):
    figures.layer_bars(EN, LAYERS)
    titles = [axes.get_title(loc="left") for axes in drawn[0].axes]
    assert [title.split("\n") for title in titles[:3]] == [
        ["D", "50 documents"],
        ["A", "50 documents"],
        ["sections (L1)", "50 documents"],
    ]
    assert titles[3:] == 3 * ["enlarged: the axis does not start at 0"]
    bars = drawn[0].axes[1]
    assert bars.get_ylim()[0] == 0
    assert [patch.get_height() for patch in bars.patches] == [60.0, 70.0]
    assert {"60.0", "70.0"} <= {text.get_text() for text in bars.texts}


def test_comparison_leaves_out_what_is_missing(drawn):
    figures.comparison_bars(EN, OURS)
    (axes,) = drawn[0].axes
    assert [patch.get_height() for patch in axes.patches] == [80.0, 0.0, 100.0]
    assert [text.get_text() for text in axes.texts].count("–") == 8  # of 11 columns
    papers = [list(line.get_ydata()) for line in axes.lines if line.get_marker() in "Ds^"]
    assert [(values[0], values[-1], len(values)) for values in papers] == [
        (90.5, 84.3, 11), (81.7, 70.1, 11), (80.9, 69.8, 11),
    ]  # fmt: skip


def test_a_dollar_sign_is_no_formula(drawn):
    figures.comparison_bars(EN, OURS)
    title = drawn[0].axes[0].get_title(loc="left")
    assert title.endswith("$x^2$")
    assert not drawn[0].axes[0]._left_title.get_parse_math()


def test_confusion_has_shares_counts_and_a_row_without_documents(drawn):
    rendered = figures.section_confusion(EN, COUNTS)
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["80.0", "8", "20.0", "2", "–", "–"]
    assert rendered.alt.startswith("Confusion matrix of the sections: 8 of 10 documents are right.")
    assert "A classified as B, 2 times" in rendered.alt


def test_learning_curves_leave_out_what_an_epoch_lacks(drawn):
    rendered = figures.learning_curves(EN, HISTORIES)
    loss, accuracy = drawn[0].axes[0], drawn[0].axes[2]
    assert [list(line.get_xdata()) for line in loss.lines] == [[1, 2], [1]]
    assert [list(line.get_ydata()) for line in accuracy.lines] == [
        [50.0],
        [50.0],
    ]  # the curve and the best epoch's ring
    assert "root 50.0 % in epoch 1, D –." in rendered.alt


def test_calibration_error_is_told(drawn):
    assert "bertcnn 5.0 %" in figures.reliability(EN, BINS).alt
    assert "100 documents;  calibration error 5.0 %" in words(drawn[0])


def test_groups_say_what_they_rest_on(drawn):
    figures.frequency_bars(EN, {"a": {"head": score(5, 10, 2), "x|y": score(1)}})
    labels = [label.get_text() for label in drawn[0].axes[0].get_xticklabels()]
    assert labels == ["head\n10 documents\n2 classes", "x|y\n50 documents\n5 classes"]


def test_size_on_the_page_is_that_of_the_drawing():
    assert figures.frequency_bars(EN, GROUPS).size == (912, 336)  # 9.5 by 3.5 inches of 96 pixels


def test_shorten_counts_chinese_letters_double():
    assert shorten("abcdef", 6 * 0.56 + 0.01) == "abcdef"
    assert shorten("abcdef", 5 * 0.56) == "abcde…"
    assert shorten("织造方法", 2.5) == "织造…"
