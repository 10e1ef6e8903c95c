"""How messages count things."""


def quantity(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number and its noun: ``1 document``, ``2,000 documents``; ``plural`` if it is not the noun and an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
