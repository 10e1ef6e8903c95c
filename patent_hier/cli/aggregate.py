"""``patent-hier aggregate``: the nine finished nodes of one configuration -> one result."""

from collections.abc import Sequence

from patent_hier.cli.compose import compose_settings

USAGE = """Aggregate the finished nodes of one configuration; nothing is trained.

usage: patent-hier aggregate [the overrides of the run, such as model=bertcnn data=demo seed=1]"""


def run(arguments: Sequence[str]) -> None:
    """Find the nodes, aggregate, print and save.

    Raises:
        IncompleteError: Naming the nodes that are missing.
    """
    settings = compose_settings(arguments)
    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.suite import aggregate_nodes, find_nodes

    publish(aggregate_nodes(*find_nodes(settings)))
