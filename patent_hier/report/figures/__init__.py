"""The report's figures. Functions take numbers as fractions and draw them in percent.

Each function returns a :class:`Rendered` with the function's name; identical data give identical bytes on one machine.
The first argument is a :class:`Pen` for a language. If no installed font has Chinese characters, the words are English
and names that cannot be drawn are omitted. Figures of pre-training, risk and search are always in English and take no
pen.
"""

from patent_hier.report.figures.classes import class_bars as class_bars
from patent_hier.report.figures.classes import section_confusion as section_confusion
from patent_hier.report.figures.curves import learning_curves as learning_curves
from patent_hier.report.figures.curves import loss_curve as loss_curve
from patent_hier.report.figures.curves import risk_coverage as risk_coverage
from patent_hier.report.figures.drift import drift as drift
from patent_hier.report.figures.scores import comparison_bars as comparison_bars
from patent_hier.report.figures.scores import frequency_bars as frequency_bars
from patent_hier.report.figures.scores import layer_bars as layer_bars
from patent_hier.report.figures.scores import reliability as reliability
from patent_hier.report.figures.search import search_history as search_history
from patent_hier.report.figures.style import Pen as Pen
from patent_hier.report.figures.style import Rendered as Rendered
from patent_hier.report.figures.style import pen as pen
