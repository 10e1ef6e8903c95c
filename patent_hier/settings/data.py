"""Settings of the corpus and of its split."""

from dataclasses import dataclass, field
from typing import Any

LABEL_LEVELS = ("section", "class", "subclass", "main_group", "subgroup")
DEPTHS = LABEL_LEVELS[1:]
SYMBOLS = ("first", "all")
LABEL_WEIGHTS = (0.1, 0.3, 1.0)  # tried on val by classical models
DEFAULT_LABEL_WEIGHT = 0.3  # of networks, and where there is no val
APPLICANT = "applicant"
CONTEXT_COLUMNS = (APPLICANT, "kind", "title", "abstract")  # what can be known beside the text
CONTEXT_WEIGHTS = (0.1, 0.3, 0.5)  # tried on val
DEFAULT_CONTEXT_WEIGHT = 0.3  # where there is no val


@dataclass
class DataSettings:
    """Where the corpus comes from and how a raw file is read.

    Attributes:
        name: ``demo``, ``cnipa`` or ``gazette``; part of the corpus folder's name.
        path: Raw file, folder, pattern such as ``data/2019-*.csv``, or a list of these; ``null`` only for the demo
            corpus, which is generated.
        text: Header names of the fields that make the text, in this order.
        columns: Our field name -> the file's header name, where it differs from the paper's 16 columns.
        encoding: ``gb18030`` (a superset of GBK), ``utf-8``, ``big5`` or ``utf-16``; ``null``: found by the content. Of
            workbooks it means nothing.
        delimiter: Between fields, such as ``tab`` or ``;``; ``null``: found.
        sheet: Name of a workbook's sheet; ``null``: the first.
        depth: The deepest level that is learnt and scored: ``class`` (the paper's), ``subclass``, ``main_group`` or
            ``subgroup``. Corpus and split do not depend on it.
        labels: ``first``: a document's label is its main symbol; ``all``: it is trained on all of its symbols.
        min_symbol: How complete the main IPC symbol must be: ``group``, ``subclass`` or ``class``.
        convert: How characters of the text are converted, in training and at prediction: ``t2s`` (Traditional to
            Simplified), ``tw2sp`` (of Taiwan, its terms too), ``hk2s`` (of Hong Kong); ``null`` for not at all. Needs
            the extra ``convert``.
        edition: IPC edition: ``2017`` (130 classes) or ``latest`` (with G16 and H10).
        max_reject_share: Fraction of rows that may be rejected before the run stops; designs are not counted.
        context: Columns of the corpus that are read beside the text, by models on character n-grams: any of
            ``applicant``, ``kind``, ``title`` and ``abstract``. Corpus and split stay as they are.
        label_text: CSV of the titles of IPC places, with the columns ``code``, ``level`` and one that starts with
            ``title``; they become extra training documents. ``null`` for none. Corpus and split stay as they are.
        label_levels: Which of them: any of ``section``, ``class``, ``subclass``, ``main_group``, ``subgroup``.
        label_weight: Weight of a title, where a training document has 1; ``null``: of 0.1, 0.3 and 1 the best on
            ``val`` for classical models, 0.3 for networks.
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
        """The weights of a title among which a model chooses on ``val``, ascending; one where there is no choice.

        Args:
            inputs: What the model reads, as ``ModelSettings.inputs``.
        """
        if self.label_weight is not None:
            return (self.label_weight,)
        return LABEL_WEIGHTS if inputs == "ngrams" else (DEFAULT_LABEL_WEIGHT,)


@dataclass
class DemoDataSettings(DataSettings):
    """The generated corpus.

    Attributes:
        rows: Number of documents to generate (broken rows, designs and duplicates come on top).
        seed: Seed of the generator.
    """

    name: str = "demo"
    min_symbol: str = "class"
    rows: int = 6000
    seed: int = 2017


@dataclass
class SplitSettings:
    """The corpus-level split.

    Attributes:
        policy: ``random`` (the paper's), ``applicant``, ``deduplicated``, ``family``, ``date`` or ``file``; see
            :mod:`patent_hier.data.splits`.
        test: Fraction of all documents; policy ``file`` does not read it.
        val: Fraction of the rest; chooses epochs and settings. 0 leaves them to training, as in the paper: then set
            ``trainer.keep=last`` and ``split.calibration=0``.
        calibration: Fraction of the rest; fits temperatures and thresholds only. With 0 a system's probabilities stay
            as they are, and no accuracy can be asked of it.
        seed: Seed of the split, separate from the model's.
        date: ``YYYY-MM-DD``, of policy ``date`` only: documents filed after that day are ``test``; ``null``: the
            latest ones, of the fraction ``test``.
        path: Of policy ``file``, as all that follow: CSV with a column of document ids and a column ``part``; see
            :mod:`patent_hier.data.given_parts`.
        column: Instead of ``path``, a column of the corpus whose values decide: ``kind``, ``applicant``,
            ``application_date`` or ``publication_date``, or its name in the raw file, such as 法律状态.
        train_values: Values of ``column`` whose documents train; none: all values that are not named below.
        val_values: Those that choose; none: ``val`` is cut from the training documents.
        calibration_values: Those that calibrate; likewise.
        test_values: Those that test.
        unlisted: Documents that neither file nor values name: ``refuse`` stops, ``train`` trains on them, ``drop``
            leaves them in no part.
        together: ``applicant``, ``deduplicated`` or ``family``: where ``val`` and ``calibration`` are cut from the
            training documents, those of an applicant, a text, a family stay together, as under the policy of that
            name. Right where ``test`` was cut so: what chooses is then like what is scored. ``null``: each on its own.
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
