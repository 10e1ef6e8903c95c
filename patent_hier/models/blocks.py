"""The blocks of a Transformer from bottom to top: its embeddings, then each layer."""

from torch import nn


def blocks_of(network: nn.Module, num_layers: int) -> list[list[nn.Module]]:
    """Return the modules that produce a network's hidden states, from bottom to top.

    The layers are the network's list of ``num_layers`` modules; the embeddings are everything defined before that list.

    Args:
        network: A network from transformers.
        num_layers: Its number of Transformer layers.

    Returns:
        ``num_layers + 1`` blocks of modules: item 0 holds the embeddings, item ``k`` the ``k``-th layer from the
        bottom. Modules in none of them are above the last layer. Empty if layers share their weights, as in ALBERT.
    """
    named = list(network.named_modules())
    for place, (name, found) in enumerate(named):
        if isinstance(found, nn.ModuleList) and len(found) == num_layers:
            below = [module for own, module in named[1:place] if not name.startswith(f"{own}.")]
            return [below, *([layer] for layer in found)]
    return []
