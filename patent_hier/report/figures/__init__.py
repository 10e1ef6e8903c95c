"""The report's figures, from one place. All numbers come as fractions and are shown in percent.

Each function returns a :class:`Rendered` of its own name, whose bytes are equal for equal data on one machine. Its
first argument is a :class:`Pen` of a language; where no installed font has Chinese letters, the words are English and
names that cannot be drawn are left out. Curves of pre-training and of risk are in English alone and take no pen.
"""

from patent_hier.report.figures.classes import class_bars, section_confusion
from patent_hier.report.figures.curves import learning_curves, loss_curve, risk_coverage
from patent_hier.report.figures.scores import COLUMNS, comparison_bars, frequency_bars, layer_bars, reliability
from patent_hier.report.figures.style import Language, Pen, Rendered, pen

__all__ = [
    "COLUMNS",
    "Language",
    "Pen",
    "Rendered",
    "class_bars",
    "comparison_bars",
    "frequency_bars",
    "layer_bars",
    "learning_curves",
    "loss_curve",
    "pen",
    "reliability",
    "risk_coverage",
    "section_confusion",
]
