"""How messages show a value that somebody wrote."""

from collections.abc import Mapping

__all__ = ["shown"]


def shown(value: object) -> str:
    """Return a value as one short printable line, null and booleans the way YAML spells them."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "a mapping"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"
