import contextlib
from collections.abc import Iterator

import pytest

from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.pipeline.known_patents import find_known_patents
from patent_hier.web.app import create_app
from patent_hier.web.guard import ServiceSettings
from tests.inference.worlds import World, world
from tests.web.serving import Client, serving


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory)


@pytest.fixture(scope="session")
def classifier(made: World) -> HierarchicalClassifier:
    return HierarchicalClassifier.from_pretrained(made.result("linear", "hier"))


@pytest.fixture(scope="session")
def deep(made: World) -> HierarchicalClassifier:
    """A classifier down to the subgroup."""
    return HierarchicalClassifier.from_pretrained(made.deep.result("linear", "hier"))


@contextlib.contextmanager
def _served(made: World, classifier: HierarchicalClassifier) -> Iterator[Client]:
    known = find_known_patents(classifier.facts["data"], made.folder / "cache")
    assert known is not None
    with serving(create_app(classifier, ServiceSettings(rate=0), known)) as client:
        yield client


@pytest.fixture(scope="session")
def service(made: World, classifier: HierarchicalClassifier) -> Iterator[Client]:
    with _served(made, classifier) as client:
        yield client


@pytest.fixture(scope="session")
def deep_service(made: World, deep: HierarchicalClassifier) -> Iterator[Client]:
    with _served(made, deep) as client:
        yield client
