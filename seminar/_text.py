"""Text and numbers for people: what every terminal can print, and how a number is typeset."""

from __future__ import annotations

import math
import re
import unicodedata

__all__ = ["ascii_text", "format_number", "printable", "with_unit"]

_PLAIN = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{PLUS-MINUS SIGN}": "+/-",
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{DIVISION SIGN}": "/",
        "\N{MIDDLE DOT}": "*",
        "\N{DOT OPERATOR}": "*",
        "\N{SQUARE ROOT}": "sqrt ",
        "\N{RIGHTWARDS ARROW}": "->",
        "\N{LESS-THAN OR EQUAL TO}": "<=",
        "\N{GREATER-THAN OR EQUAL TO}": ">=",
        "\N{NOT EQUAL TO}": "!=",
        "\N{ALMOST EQUAL TO}": "~",
        "\N{CHECK MARK}": "yes",
        "\N{BALLOT X}": "no",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    }
)
_POWER = re.compile("\N{MULTIPLICATION SIGN}10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_RAISED = re.compile("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_MOST_DIGITS = 7  # significant digits, where the uncertainty would justify more
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def ascii_text(text: str) -> str:
    """Return the text in ASCII, for terminals whose encoding lacks the signs of mathematics.

    Args:
        text: Any text, such as ``2.5×10⁻⁹ ± 1``.

    Returns:
        The same in ASCII, ``2.5e-9 +/- 1``; Greek letters by name, and other letters without a
        counterpart as ``?``.
    """
    text = _POWER.sub(lambda match: "e" + _lowered(match[1]), text)
    text = _RAISED.sub(lambda match: "^" + _lowered(match[0]), text).translate(_PLAIN)
    return "".join(map(_ascii_letter, text))


def printable(text: str) -> str:
    """Return the text in one line, with a question mark for what would command a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def _lowered(raised: str) -> str:
    return unicodedata.normalize("NFKC", raised).replace("\N{MINUS SIGN}", "-")


def _ascii_letter(letter: str) -> str:
    if letter.isascii():
        return letter
    name = unicodedata.name(letter, "")
    if name.startswith(("GREEK SMALL LETTER ", "GREEK CAPITAL LETTER ")):
        return name.split()[3].lower()
    decomposed = unicodedata.normalize("NFKD", letter).replace("\N{FRACTION SLASH}", "/")
    return decomposed.encode("ascii", "ignore").decode() or "?"


def format_number(value: float, scale: float) -> str:
    """Format a number so that its last digit is one tenth of the leading digit of ``scale``.

    Args:
        value: The number to show.
        scale: Its uncertainty, in the same unit; 0 shows a whole number in full and seven
            significant digits of any other.

    Returns:
        The number as text, with a true minus sign and powers of ten as ``2.5×10⁻⁹``.
    """
    if not (0 < scale < math.inf and scale >= 1e-12 * abs(value)):
        whole = value == round(value) and abs(value) < 1e15
        return _typeset(f"{value:.0f}" if whole else f"{value:.{_MOST_DIGITS}g}")
    leading = math.floor(math.log10(abs(value))) if value else 0
    decimals = min(1 - math.floor(math.log10(scale)), max(_MOST_DIGITS - 1 - leading, 0))
    if value and leading < -3 and decimals >= -leading:
        return _typeset(f"{value:.{decimals + leading}e}")
    return _typeset(f"{round(value, decimals):.{max(decimals, 0)}f}")


def with_unit(number: str, unit: str) -> str:
    """Return a number with its unit behind a space that no line breaks at."""
    return f"{number}\N{NO-BREAK SPACE}{unit}" if unit else number


def _typeset(text: str) -> str:
    """Give a number its typographic minus and exponent; zero has no sign."""
    mantissa, _, exponent = text.partition("e")
    if not mantissa.strip("-0."):
        mantissa = mantissa.lstrip("-")
    power = f"×10{str(int(exponent)).translate(_SUPERSCRIPT)}" if exponent else ""
    return mantissa.replace("-", "\N{MINUS SIGN}") + power
