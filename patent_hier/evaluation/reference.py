"""The reference for drift: the profile of a system's calibration documents, stored with the system."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from patent_hier.atomic import read_json
from patent_hier.data.familiarity import joined, parted
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.profile import Profile, checked_count
from patent_hier.evaluation.result import Score
from patent_hier.sanitize import reason
from patent_hier.taxonomy.tree import LabelTree

PROFILE_FILE = "profile.json"
PROFILE_VERSION = 1


class Hits(NamedTuple):
    """Counts of how often the first path is right at one level.

    Attributes:
        right: Number of documents for which the path has the true label.
        documents: Number of documents with a label at the level.
        labels: Number of distinct labels of these documents.
    """

    right: int
    documents: int
    labels: int


@dataclass(frozen=True, eq=False)
class Reference:
    """The reference that new documents are compared with.

    Attributes:
        bigrams: Bigrams that are frequent in training; letters are in
            :class:`patent_hier.data.characters.Characters`.
        profile: Profile of the calibration documents, with the probabilities that the system predicts.
        hits: Counts of right answers for these documents by level, without levels at which no document has a label.
    """

    bigrams: frozenset[str]
    profile: Profile
    hits: Mapping[str, Hits]

    @property
    def accuracies(self) -> dict[str, Score]:
        """Accuracy of the first path for the calibration documents, by level."""
        return {level: Score.of_hits(*own) for level, own in self.hits.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return the reference as JSON-serialisable values."""
        return {
            "version": PROFILE_VERSION,
            "bigrams": joined(self.bigrams),
            "calibration": self.profile.as_dict(),
            "hits": {level: own._asdict() for level, own in self.hits.items()},
        }

    @classmethod
    def from_dict(cls, content: Any, tree: LabelTree) -> Self:
        """Rebuild the reference from the output of :meth:`as_dict`.

        Raises:
            ValueError: If the content is not a reference of this system; see
                :meth:`patent_hier.evaluation.profile.Profile.from_dict` for other errors.
        """
        if content["version"] != PROFILE_VERSION:
            raise ValueError("the file has another version")
        own = content["hits"]
        hits = {
            level: Hits(*(checked_count(own[level][name]) for name in Hits._fields))
            for level in tree.levels
            if level in own
        }
        if not all(one.right <= one.documents and one.documents for one in hits.values()):
            raise ValueError("there are more hits than documents")
        return cls(parted(content["bigrams"]), Profile.from_dict(content["calibration"], tree), hits)


def load_reference(folder: Path, tree: LabelTree) -> Reference | None:
    """Load the reference from a folder's ``profile.json``, which may be untrusted; return None if there is no file.

    Raises:
        ArtifactError: If the file does not hold a reference of this system.
    """
    file = folder / PROFILE_FILE
    if not file.is_file():
        return None
    try:
        return Reference.from_dict(read_json(file), tree)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ArtifactError(
            f"{file} does not hold the profile of calibration documents ({reason(error)}); export the model again"
        ) from error
