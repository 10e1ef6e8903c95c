"""The blocks of a Transformer from the bottom up: its embeddings, then each layer."""

from torch import nn


def blocks_of(network: nn.Module, num_layers: int) -> list[list[nn.Module]]:
    """Find the modules that a network's hidden states come from, one after the other.

    The layers are the network's list of ``num_layers`` modules; the embeddings are what is defined before that list.

    Args:
        network: From transformers.
        num_layers: Its number of Transformer layers.

    Returns:
        ``num_layers + 1`` blocks of modules: item 0 the embeddings, item ``k`` the ``k``-th layer from below. What is
        in none of them lies above the last layer. Empty where layers share their weights, as in ALBERT.
    """
    named = list(network.named_modules())
    for place, (name, found) in enumerate(named):
        if isinstance(found, nn.ModuleList) and len(found) == num_layers:
            below = [module for own, module in named[1:place] if not name.startswith(f"{own}.")]
            return [below, *([layer] for layer in found)]
    return []
