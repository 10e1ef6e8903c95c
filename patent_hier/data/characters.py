"""Detection of texts in an unfamiliar script: Traditional characters, Latin letters, or letters unseen in training.

A model cannot use letters that hardly occur in training, and its probabilities and thresholds do not hold for such
texts. The measure is the share of a text's letters that occur in few training documents. The thresholds for these
letters and for Latin letters come from the training documents themselves, each compared with all others.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError

CHARACTERS_FILE = "characters.json"
CHARACTERS_VERSION = 1
MOST_TEXTS = 50_000  # training documents that are examined
TRADITIONAL, LATIN, UNSEEN = STRANGE = ("traditional", "latin", "unseen")
_RARE = 10_000  # a letter is known if more than one in this many training documents contains it
_COMMON = 0.995  # share of the training documents that count as normal
_LEAST, _LEAST_LATIN = 0.1, 0.5  # lowest thresholds: shares of unseen and of Latin letters
_LEAST_LETTERS, _LEAST_LATIN_LETTERS = 2, 10
# The most common Traditional characters in patents that do not occur in Simplified text.
_TRADITIONAL = frozenset(
    "種機裝動電發設構體與連組軸輪統轉過進開養備爲壓結傳對間輸時實內個測車導製調線將氣產帶該採側飛兩處單質應離現節盤並齒驅變選"
    "無業長術頭熱數葉風脫雜檢環狀塊別從溫臺點層護圓運條儲適農計聯撐劑簡誘夾試優減殼達鏈屬織桿滾態據換強載雙縮經莖關網領篩驟溝"
    "夠還燈顯稈獲蓋彈頂輥噴傷藥維複緊穫號橫區標較穩驗膠邊學預總閥樹斷藝軌復題鋼細佈確類掛決門極問馬來鎖級積圖規鹽徑觸續絲濾鐵縱"
    "頻懸繼針當終紅負擇陽給監輔倉廣繞準鉸樣場證損擺麥攪撥視勻溼櫃擋衝儀鏟壟緣傾異塵淨圍龍滅牽駛輕剝塗廢輛納錐閉識煙這纖寬樑黃務"
    "紙彎鏡綠藍療戶會營聲專銷擬紋蟲資攜疊滿艙軟搖擴絡卻鹼爐槳純補響啓纜階勞價係繩稱蘭約緩碼參氫燒濃飼鑽隨親遠為裡啟於後麵"
)


@dataclass(frozen=True)
class Characters:
    """Characters that occur in the training documents.

    Attributes:
        known: Letters that occur often enough.
        unseen: Share of other letters above which a text is unusual, 0 to 1.
        latin: Share of Latin letters above which a text is unusual, 0 to 1.
        documents: Number of training documents examined.
    """

    known: frozenset[str]
    unseen: float
    latin: float
    documents: int

    @classmethod
    def learn(cls, texts: Sequence[str]) -> Self:
        """Learn the characters from texts of the training part; :data:`MOST_TEXTS` texts are enough."""
        counts = Counter(letter for text in texts for letter in set(filter(str.isalpha, text)))
        least = 1 + len(texts) // _RARE
        known = frozenset(letter for letter, count in counts.items() if count >= least)
        beside = frozenset(letter for letter, count in counts.items() if count > least)  # known from other texts
        shares = [(_share(letters, beside), _latin(letters)) for letters in map(_letters, texts) if letters]
        unseen, latin = np.quantile(np.array(shares or [(0.0, 0.0)]), _COMMON, axis=0).tolist()
        return cls(known, max(_LEAST, unseen), max(_LEAST_LATIN, latin), len(texts))

    def judge(self, text: str) -> str | None:
        """Return one of :data:`STRANGE` for a text in an unusual script, else None."""
        letters = _letters(text)
        if sum(map(str.isascii, letters)) >= _LEAST_LATIN_LETTERS and _latin(letters) > self.latin:
            return LATIN
        unseen = [letter for letter in letters if letter not in self.known]
        if len(unseen) >= _LEAST_LETTERS and len(unseen) > self.unseen * len(letters):
            traditional = sum(letter in _TRADITIONAL for letter in unseen)
            return TRADITIONAL if 3 * traditional >= len(unseen) else UNSEEN
        return None

    def unseen_share(self, text: str) -> float:
        """Return the share of a text's letters that hardly occur in training, 0 to 1; 0 for a text without letters."""
        letters = _letters(text)
        return _share(letters, self.known) if letters else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the characters and thresholds as JSON-compatible values."""
        return {
            "version": CHARACTERS_VERSION,
            "known": "".join(sorted(self.known)),
            "unseen": self.unseen,
            "latin": self.latin,
            "documents": self.documents,
        }

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Return the characters that :meth:`as_dict` saved.

        Raises:
            ValueError: If the content has another form or version.
        """
        if not isinstance(content, dict) or content.get("version") != CHARACTERS_VERSION:
            raise ValueError("it is of another version")
        known, unseen, latin = content.get("known"), float(content["unseen"]), float(content["latin"])
        if not isinstance(known, str) or not (unseen >= 0 and latin >= 0):  # NaN fails both tests
            raise ValueError("its characters or thresholds are invalid")
        return cls(frozenset(known), unseen, latin, int(content.get("documents", 0)))


def load_characters(folder: Path) -> Characters | None:
    """Return the characters in a folder's ``characters.json``, an untrusted file; None if it is missing.

    Raises:
        ArtifactError: If the file has other content.
    """
    file = folder / CHARACTERS_FILE
    if not file.is_file():
        return None
    try:
        return Characters.from_dict(read_json(file))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ArtifactError(
            f"{file} does not list the characters of the training documents ({error}); export the model again"
        ) from error


def sample(texts: Iterable[str], total: int) -> list[str]:
    """Return evenly spaced texts out of ``total``, at most :data:`MOST_TEXTS`."""
    step = max(1, math.ceil(total / MOST_TEXTS))
    return [text for place, text in enumerate(texts) if place % step == 0]


def _letters(text: str) -> list[str]:
    return list(filter(str.isalpha, text))


def _share(letters: Sequence[str], known: frozenset[str]) -> float:
    return sum(letter not in known for letter in letters) / len(letters)


def _latin(letters: Sequence[str]) -> float:
    return sum(letter.isascii() for letter in letters) / len(letters)
