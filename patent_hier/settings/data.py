"""Settings of the corpus and its split."""

from dataclasses import dataclass, field
from typing import Any

LABEL_LEVELS = ("section", "class", "subclass", "main_group", "subgroup")
DEPTHS = LABEL_LEVELS[1:]
SYMBOLS = ("first", "all")
LABEL_WEIGHTS = (0.1, 0.3, 1.0)  # candidates that classical models compare on val
DEFAULT_LABEL_WEIGHT = 0.3  # for networks, and without a val part
APPLICANT = "applicant"
CONTEXT_COLUMNS = (APPLICANT, "kind", "title", "abstract")  # model inputs besides the text
CONTEXT_WEIGHTS = (0.1, 0.3, 0.5)  # candidates that are compared on val
DEFAULT_CONTEXT_WEIGHT = 0.3  # without a val part


@dataclass
class DataSettings:
    """Where the corpus comes from and how raw files are read.

    Attributes:
        name: ``demo``, ``cnipa`` or ``gazette``; part of the corpus folder's name.
        path: Raw file, folder, pattern such as ``data/2019-*.csv``, or a list of these; ``null`` only for the demo
            corpus, which is generated.
        text: Headers of the columns that make up the text, in this order.
        columns: Field name -> the file's header, where it differs from the paper's 16 columns.
        encoding: ``gb18030`` (a superset of GBK), ``utf-8``, ``big5`` or ``utf-16``; ``null`` detects it from the
            content. Ignored for workbooks.
        delimiter: Field delimiter, such as ``tab`` or ``;``; ``null`` detects it.
        sheet: Name of a workbook's sheet; ``null`` for the first one.
        depth: The deepest level that is learnt and scored: ``class`` (as in the paper), ``subclass``, ``main_group`` or
            ``subgroup``. Corpus and split do not depend on it.
        labels: ``first`` labels a document by its main symbol; ``all`` trains on all of its symbols.
        min_symbol: Required completeness of the main IPC symbol: ``group``, ``subclass`` or ``class``.
        convert: Conversion of the text's characters, in training and at prediction: ``t2s`` (Traditional to
            Simplified), ``tw2sp`` (from Taiwan, its terms too), ``hk2s`` (from Hong Kong); ``null`` for none. Needs the
            extra ``convert``.
        edition: IPC edition: ``2017`` (130 classes) or ``latest`` (with G16 and H10).
        max_reject_share: Maximum fraction of rejected rows before the run stops; designs are not counted.
        context: Columns of the corpus that models on character n-grams read in addition to the text: any of
            ``applicant``, ``kind``, ``title`` and ``abstract``. Corpus and split do not depend on it.
        label_text: CSV file with the titles of IPC symbols, in the columns ``code``, ``level`` and one whose name
            starts with ``title``; they become additional training documents. ``null`` for none. Corpus and split do not
            depend on it.
        label_levels: Levels whose titles are used: any of ``section``, ``class``, ``subclass``, ``main_group``,
            ``subgroup``.
        label_weight: Weight of a title relative to a training document, which has 1; ``null``: classical models choose
            the best of 0.1, 0.3 and 1 on ``val``, networks use 0.3.
    """

    name: str = "cnipa"
    path: Any = None
    text: list[str] = field(default_factory=lambda: ["摘要"])
    columns: dict[str, str] = field(default_factory=dict)
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    depth: str = "class"
    labels: str = "first"
    min_symbol: str = "group"
    edition: str = "2017"
    convert: str | None = None
    max_reject_share: float = 0.2
    context: list[str] = field(default_factory=list)
    label_text: str | None = None
    label_levels: list[str] = field(default_factory=lambda: ["subclass", "main_group"])
    label_weight: float | None = None

    def label_weights(self, inputs: str) -> tuple[float, ...]:
        """Return the weights of a title among which a model chooses on ``val``, ascending; a single one if fixed.

        Args:
            inputs: The model's kind of input, ``ModelSettings.inputs``.
        """
        if self.label_weight is not None:
            return (self.label_weight,)
        return LABEL_WEIGHTS if inputs == "ngrams" else (DEFAULT_LABEL_WEIGHT,)


@dataclass
class DemoDataSettings(DataSettings):
    """The generated demo corpus.

    Attributes:
        rows: Number of documents to generate (broken rows, designs and duplicates are added).
        seed: Seed of the generator.
    """

    name: str = "demo"
    min_symbol: str = "class"
    rows: int = 6000
    seed: int = 2017


@dataclass
class SplitSettings:
    """How the corpus is split into parts.

    Attributes:
        policy: ``random`` (as in the paper), ``applicant``, ``deduplicated``, ``family``, ``date`` or ``file``; see
            :mod:`patent_hier.data.splits`.
        test: Fraction of all documents; ignored by the policy ``file``.
        val: Fraction of the remaining documents; used to choose epochs and settings. 0 leaves them to training, as in
            the paper; set ``trainer.keep=last`` and ``split.calibration=0`` with it.
        calibration: Fraction of the remaining documents; used only to fit temperatures and thresholds. With 0,
            probabilities are not calibrated and no target accuracy can be requested.
        seed: Seed of the split, separate from the model's.
        date: ``YYYY-MM-DD``, for the policy ``date`` only: documents filed after that day are ``test``; ``null``: the
            latest documents, in the fraction ``test``.
        path: For the policy ``file`` only, like all settings below: CSV file with a column of document ids and a column
            ``part``; see :mod:`patent_hier.data.given_parts`.
        column: Alternative to ``path``: a column of the corpus whose values assign documents to parts: ``kind``,
            ``applicant``, ``application_date`` or ``publication_date``, or its name in the raw file, such as 法律状态.
        train_values: Values of ``column`` for the training part; if empty, all values not named below.
        val_values: Values for ``val``; if empty, ``val`` is cut from the training documents.
        calibration_values: Values for ``calibration``; if empty, it is cut from the training documents.
        test_values: Values for ``test``.
        unlisted: Documents that neither the file nor the values name: ``refuse`` stops with an error, ``train`` trains
            on them, ``drop`` leaves them out of all parts.
        together: ``applicant``, ``deduplicated`` or ``family``: where ``val`` and ``calibration`` are cut from the
            training documents, keep documents of one applicant, text or family together, as the policy of that name
            does. Use it if ``test`` was cut in this way, so that validation documents resemble test documents.
            ``null``: cut document by document.
    """

    policy: str = "random"
    test: float = 0.1
    val: float = 0.1
    calibration: float = 0.05
    seed: int = 0
    date: str | None = None
    path: str | None = None
    column: str | None = None
    train_values: list[str] = field(default_factory=list)
    val_values: list[str] = field(default_factory=list)
    calibration_values: list[str] = field(default_factory=list)
    test_values: list[str] = field(default_factory=list)
    unlisted: str = "refuse"
    together: str | None = None
