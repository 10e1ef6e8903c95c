"""Attention between two texts as an interactive page: one HTML file that loads nothing else."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from patent_hier.models.attention import AttentionMaps, AttentionShares, attention_shares, equal_shares
from patent_hier.report.rendering import page_parts, render

_MOST_WEIGHTS = 3_000_000  # per page, 8 MB of text; the pair of the paper's Figure 5 has 0.3 million in 12 layers
_FULL = 65535  # value of a weight of 1 in the page; uint16 is finer than any screen can show


def attention_facts(
    maps: AttentionMaps, text_a: str, text_b: str, *, layers: Sequence[int], encoder: str, random_weights: bool
) -> dict[str, Any]:
    """Return the content of ``attention.json``: the pair, its tokens, and the attention shares of every layer.

    Shares are from 0 to 1; ``equal`` holds the shares of a token that attends equally to all tokens.

    Args:
        maps: The attention weights.
        text_a: First text.
        text_b: Second text.
        layers: The chosen layers, counted from 1; at least one.
        encoder: Name of the encoder.
        random_weights: Whether the encoder's weights are random.
    """
    return {
        "encoder": encoder,
        "random_weights": random_weights,
        "num_layers": maps.num_layers,
        "num_heads": maps.num_heads,
        "text_a": text_a,
        "text_b": text_b,
        "tokens": list(maps.tokens),
        "segments": maps.segments.tolist(),
        "chosen_layers": list(layers),
        "layers": [
            {"layer": layer, **_share_facts(shares)} for layer, shares in enumerate(attention_shares(maps), start=1)
        ],
        "equal": _share_facts(equal_shares(maps)),
    }


def attention_page(maps: AttentionMaps, facts: Mapping[str, Any]) -> str:
    """Return the page as HTML.

    The page contains all layers, or only the chosen ones if long texts would make it too large for a browser. Texts
    are passed as JSON and shown only as text; the security policy forbids all requests and all scripts but the page's.

    Args:
        maps: The attention weights.
        facts: Facts from :func:`attention_facts`; the page opens with the first of the chosen layers.
    """
    chosen = facts["chosen_layers"]
    layers = list(range(1, maps.num_layers + 1)) if maps.weights.size <= _MOST_WEIGHTS else chosen
    weights = np.rint(maps.weights[[layer - 1 for layer in layers]] * _FULL).astype("<u2")
    data = {
        **facts,
        "special": maps.special.astype(int).tolist(),
        "layers": layers,
        "start": chosen[0],
        "heads": maps.num_heads,
        "shares": facts["layers"],
        "weights": base64.b64encode(weights.tobytes()).decode("ascii"),
    }
    return render("attention.html.j2", html=True, data=data, **page_parts("attention.css", "attention.js"))


def _share_facts(shares: AttentionShares) -> dict[str, float]:
    return {
        "next_token_share": shares.next_token,
        "cross_share": shares.crossing,
        "special_share": shares.special,
    }
