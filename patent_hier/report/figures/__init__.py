"""The report's figures, from one place. All numbers come as fractions and are shown in percent.

Each function returns a :class:`Rendered` of its own name, whose bytes are equal for equal data on one machine. Its
first argument is a :class:`Pen` of a language; where no installed font has Chinese letters, the words are English and
names that cannot be drawn are left out. Curves of pre-training and of risk are in English alone and take no pen.
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
