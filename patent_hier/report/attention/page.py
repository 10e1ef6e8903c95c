"""Attention between two texts as an interactive page: one HTML file that loads nothing from anywhere."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from patent_hier.models.attention import AttentionMaps, AttentionShares, attention_shares, equal_shares
from patent_hier.report.rendering import page_parts, render

_MOST_WEIGHTS = 3_000_000  # in a page, 8 MB of text; the pair of the paper's Figure 5 has 0.3 million in 12 layers
_FULL = 65535  # a weight of 1 in the page: uint16 is finer than any screen shows


def attention_facts(
    maps: AttentionMaps, text_a: str, text_b: str, *, layers: Sequence[int], encoder: str, random_weights: bool
) -> dict[str, Any]:
    """Return the content of ``attention.json``: the pair, its tokens, and where the attention of every layer goes.

    Shares are from 0 to 1; ``equal`` holds what they would be if every token attended to all tokens alike.

    Args:
        maps: The attention.
        text_a: First text.
        text_b: Second text.
        layers: The chosen layers, from 1, at least one.
        encoder: What to call the encoder.
        random_weights: Whether the encoder was not trained at all.
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
    """The page as HTML.

    It holds all layers; of long texts, whose page would be too large for a browser, only the chosen ones. Texts enter
    it as JSON and are shown as text only; its security policy forbids every script but its own and every request.

    Args:
        maps: The attention.
        facts: Of :func:`attention_facts`; the page opens with the first of the chosen layers.
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
