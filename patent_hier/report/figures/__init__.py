"""The report's figures, from one place. All numbers come as fractions and are shown in percent.

Each function returns a :class:`Rendered`, whose bytes are equal for equal data on one machine. ``language`` chooses the
words; where no installed font has Chinese letters, the words are English and names that cannot be drawn are left out.
"""

from patent_hier.report.figures.classes import class_bars, section_confusion
from patent_hier.report.figures.scores import COLUMNS, comparison_bars, frequency_bars, layer_bars
from patent_hier.report.figures.style import Language, Rendered
from patent_hier.report.figures.training import learning_curves, reliability

__all__ = [
    "COLUMNS",
    "Language",
    "Rendered",
    "class_bars",
    "comparison_bars",
    "frequency_bars",
    "layer_bars",
    "learning_curves",
    "reliability",
    "section_confusion",
]
