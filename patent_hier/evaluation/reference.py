"""What a system's calibration documents look like to it, in a file beside it: new documents are compared to that."""

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
    """How often the first path is right at one level.

    Attributes:
        right: Documents whose label it has.
        documents: Documents with a label there.
        labels: Labels that they have.
    """

    right: int
    documents: int
    labels: int


@dataclass(frozen=True, eq=False)
class Reference:
    """What new documents are compared to.

    Attributes:
        bigrams: Those that training has shown often; letters are in :class:`patent_hier.data.characters.Characters`.
        profile: Of the calibration documents, with the probabilities that the system predicts with.
        hits: By level, how often it is right about these; without levels at which none has a label.
    """

    bigrams: frozenset[str]
    profile: Profile
    hits: Mapping[str, Hits]

    @property
    def accuracies(self) -> dict[str, Score]:
        """How often the first path is right about the calibration documents, by level."""
        return {level: Score.of_hits(*own) for level, own in self.hits.items()}

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "version": PROFILE_VERSION,
            "bigrams": joined(self.bigrams),
            "calibration": self.profile.as_dict(),
            "hits": {level: own._asdict() for level, own in self.hits.items()},
        }

    @classmethod
    def from_dict(cls, content: Any, tree: LabelTree) -> Self:
        """That of :meth:`as_dict`; errors as :meth:`patent_hier.evaluation.profile.Profile.from_dict`."""
        if content["version"] != PROFILE_VERSION:
            raise ValueError("another version")
        own = content["hits"]
        hits = {
            level: Hits(*(checked_count(own[level][name]) for name in Hits._fields))
            for level in tree.levels
            if level in own
        }
        if not all(one.right <= one.documents and one.documents for one in hits.values()):
            raise ValueError("more hits than documents")
        return cls(parted(content["bigrams"]), Profile.from_dict(content["calibration"], tree), hits)


def load_reference(folder: Path, tree: LabelTree) -> Reference | None:
    """That of a folder's ``profile.json``; None where the file is not there. It may be anybody's.

    Raises:
        ArtifactError: If it is something else.
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
