"""Text that every terminal can print."""

from __future__ import annotations

import re
import unicodedata

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
