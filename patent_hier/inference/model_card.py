"""The card of an exported system: what it is, what it was trained on, how right it is, what it must not be used for."""

from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError

from patent_hier.errors import ArtifactError
from patent_hier.inference.calibration import SHOWN
from patent_hier.settings import FLAT, ROOT, SHARED
from patent_hier.taxonomy.names import LANGUAGES, known_name
from patent_hier.taxonomy.tree import LabelTree

if TYPE_CHECKING:
    from patent_hier.inference.classifier import HierarchicalClassifier

_SCORES = {"accuracy": "{}", "top_1": "{}, likeliest path", "top_3": "{} among three"}
_KINDS = {
    FLAT: "flat classifier over all labels of the deepest level",
    SHARED: "network with a classifier for each label",
    ROOT: "classifier of the {0} and, for each {0}, one of what is below it",
}


def label_table(tree: LabelTree) -> dict[str, Any]:
    """All labels with our short names of those that have one, as JSON-able values: level by level, siblings together.

    Returns:
        ``levels``, and ``labels``: each with ``code``, ``level``, ``parent`` (the code above it, null at the first
        level), and perhaps ``zh`` and ``en``.
    """
    labels = []
    for level in tree.levels:
        own = tree.span(level)
        for code, parent in zip(tree.codes[own], tree.names(tree.parents[own]), strict=True):
            names = {language: name for language in LANGUAGES if (name := known_name([code], language))}
            labels.append({"code": code, "level": level, "parent": parent, **names})
    return {"levels": list(tree.levels), "labels": labels}


def model_card(classifier: "HierarchicalClassifier", license_name: str | None) -> str:
    """The card of a system as Markdown with the hub's YAML head.

    Raises:
        ArtifactError: If the facts or what was measured are not as we write them.
    """
    head: dict[str, Any] = {"language": "zh", "pipeline_tag": "text-classification", "library_name": "patent_hier"}
    head |= {"license": license_name or "other", "tags": ["patent", "IPC", "hierarchical-classification"]}
    if license_name is None:
        head["license_name"] = "unspecified"
    system, facts = classifier.system, classifier.facts
    data, levels = facts.get("data") or {}, system.tree.levels
    template = Environment(
        loader=PackageLoader("patent_hier", "resources"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown
    ).get_template("model_card.j2")
    try:
        return template.render(
            head=yaml.safe_dump(head, allow_unicode=True, sort_keys=False),
            system=system,
            tree=system.tree,
            kind=next(words for node, words in _KINDS.items() if node in system.nodes).format(levels[0]),
            version=classifier.version,
            data=data,
            facts=facts,
            scores=[
                (name.format(level), own[key])
                for level, own in ((facts.get("result") or {}).get("levels") or {}).items()
                for key, name in _SCORES.items()
                if isinstance(own.get(key), dict)
            ],
            calibration=classifier.calibration,
            deepest_first=levels[::-1],
            shown=SHOWN,
            percent=lambda share: f"{100 * share:.1f}",
        )
    except (TemplateError, LookupError, TypeError, ValueError, AttributeError) as error:  # of another, exported again
        raise ArtifactError(f"facts of {system.name} are missing or of another form ({error!r})") from error
