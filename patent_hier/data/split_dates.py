"""Split by application date: train is the earliest part, followed by calibration, val and test.

Documents of the same day are in the same part; documents without a date are in train. The parts for calibration and
model selection come between train and test, so that they relate to the training documents as future documents do.
Classes are not considered, so a small class may be missing from any part.
"""

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.splits import CALIBRATION, TEST, TRAIN, VAL, Codes, SplitPlan
from patent_hier.errors import ConfigError, DataError

Days = NDArray[np.datetime64]


def cut_by_date(days: Days, plan: SplitPlan) -> Codes:
    """Return parts in chronological order, each made of whole days and as close as possible to its share.

    Args:
        days: Application dates, ``(n,)``; documents with ``NaT`` go to train.
        plan: The plan; ``date`` is the last day before ``test``, and without it the share of ``test`` decides.

    Returns:
        Part codes ``(n,)``.

    Raises:
        DataError: If there are fewer days than parts.
        ConfigError: If ``plan.date`` leaves too few days before it or none after it.
    """
    known = ~np.isnat(days)
    distinct, counts = np.unique(days[known], return_counts=True)
    wanted = [part for part in (TEST, VAL, CALIBRATION) if plan.shares[part] > 0]
    if len(distinct) <= len(wanted):
        raise DataError(
            f"a split by date needs documents of more than {len(wanted)} days, but this corpus has {len(distinct)}; "
            "use another policy"
        )
    later = np.concatenate([np.cumsum(counts[::-1])[::-1], [0]])  # number of documents of each day and all later days
    parts = np.full(len(days), TRAIN, dtype=np.int8)
    end, target = len(distinct), 0.0
    rest = (1 - plan.test) * len(days)
    for left, part in zip(range(len(wanted), 0, -1), wanted, strict=True):
        if part == TEST and plan.date is not None:
            begin = _after(plan.date, distinct, left)
            target, rest = float(later[begin]), float(len(days) - later[begin])
        else:
            target += plan.test * len(days) if part == TEST else plan.shares[part] / (1 - plan.test) * rest
            begins = np.arange(left, end)  # leaves at least one day for each earlier part
            begin = int(begins[np.argmin(np.abs(later[begins] - target))])
        parts[known & (days >= distinct[begin]) & (days <= distinct[end - 1])] = part
        end = begin
    return parts


def _after(date: str, distinct: Days, earlier: int) -> int:
    """Return the position of the first day after a date; refuse a date with too few days on either side."""
    begin = int(np.searchsorted(distinct, np.datetime64(date), side="right"))
    if not earlier <= begin < len(distinct):
        raise ConfigError(
            f"split.date={date} leaves {begin} days before test and {len(distinct) - begin} after; the corpus has days "
            f"from {distinct[0]} to {distinct[-1]}, and train, val and calibration need one each"
        )
    return begin
