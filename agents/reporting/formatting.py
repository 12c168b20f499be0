"""How numbers, times and foreign text are written for a person: the same in the terminal and in the report."""

import itertools
import math
import unicodedata
from collections.abc import Sequence

MISSING = "-"
MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
BLOCKS = "▁▂▃▄▅▆▇█"


def format_number(value: float | None, *, signed: bool = False) -> str:
    """Write a metric with about three significant digits.

    Args:
        value: The number; None, NaN and infinities are written as `-`, `-` and `inf`.
        signed: Whether positive numbers carry a `+`.

    Example:
        >>> format_number(0.01234), format_number(1234.5), format_number(2.5, signed=True), format_number(None)
        ('0.0123', '1234', '+2.500', '-')
    """
    if value is None or math.isnan(value):
        return MISSING
    sign = "+" if signed else ""
    if math.isinf(value):
        return f"{value:{sign}}"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-4:
        return f"{value:{sign}.1e}"
    if size < 0.1:
        return f"{value:{sign}.4f}"
    for limit, digits in ((10, 3), (100, 2), (1000, 1), (1e5, 0)):
        if size < limit:
            return f"{value:{sign}.{digits}f}"
    return f"{value:{sign}.2e}" if size >= 1e12 else sign * (value > 0) + format_count(value)


def format_percent(value: float | None) -> str:
    """Write a share in [0, 1] as a percentage with one decimal; `-` when it is missing or NaN.

    Example:
        >>> format_percent(0.5), format_percent(None)
        ('50.0%', '-')
    """
    return MISSING if value is None or not math.isfinite(value) else f"{100 * value:.1f}%"


def format_count(value: float) -> str:
    """Write a count with a unit prefix.

    Example:
        >>> format_count(950), format_count(1_234), format_count(494_000_000)
        ('950', '1.23k', '494M')
    """
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.0f}"


def format_duration(seconds: float | None) -> str:
    """Write a duration in seconds with its two largest units.

    Example:
        >>> format_duration(45), format_duration(250), format_duration(3900), format_duration(183_600)
        ('45s', '4m10s', '1h05m', '2d03h')
    """
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    whole = max(0, round(seconds))
    minutes, s = divmod(whole, 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}d{h:02d}h"
    if hours:
        return f"{hours}h{m:02d}m"
    return f"{minutes}m{s:02d}s" if minutes else f"{s}s"


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw a series as at most `width` block characters, from its own minimum to its own maximum.

    A longer series is averaged in equal slices; NaN and infinities are left out. A constant is drawn at mid-height.

    Example:
        >>> sparkline([0, 1, 2, 3], 4)
        '▁▃▆█'
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or width < 1:
        return ""
    count = min(width, len(finite))
    edges = [index * len(finite) // count for index in range(count + 1)]
    means = [sum(finite[low:high]) / (high - low) for low, high in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    if high == low:
        return BLOCKS[3] * count
    return "".join(BLOCKS[round((mean - low) / (high - low) * (len(BLOCKS) - 1))] for mean in means)


def visible_text(text: str) -> str:
    r"""Make every character that could act on a terminal, hide or reorder a line visible as `\xNN` or `\uNNNN`.

    Bidirectional controls reorder what a reader sees around them: a hostile answer could fake a verdict with them.
    Newlines and tabs are kept. Lone surrogates, which no encoder writes, are shown too.

    Example:
        >>> visible_text("a\x1b[31mb\u202e")
        'a\\x1b[31mb\\u202e'
    """
    return "".join(char if is_harmless(char) else escape_character(char) for char in text)


def is_harmless(char: str) -> bool:
    """Tell whether a character only shows itself: no control, invisible format, line separator or surrogate.

    The joiners that emoji and several scripts need are harmless.
    """
    if char in "\n\t\u200c\u200d":
        return True
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def escape_character(char: str) -> str:
    r"""Write a character as `\xNN` or `\uNNNN`."""
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def one_line(text: str) -> str:
    """Make foreign text safe for one terminal line: harmless characters only, no line breaks or tabs."""
    return " ".join(visible_text(text).split())


def typeset(written: str) -> str:
    """Set a written number for a page: a true minus sign, and a dash where nothing was measured.

    Example:
        >>> [hex(ord(char)) for char in typeset("-") + typeset("-1")[0]]
        ['0x2013', '0x2212']
    """
    return DASH if written == MISSING else written.replace("-", MINUS)
