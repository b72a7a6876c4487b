"""Texts: messages that another language can take over, numbers, and what a terminal can print.

A text of the package is a :class:`Message`: a template with named values. It is English wherever it
is used as a string; :func:`render` puts it into the language of the moment where it is shown.
"""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

#: Template to its translation; a function of the values returns one, where the language needs to
#: look at them (its plurals).
Catalogue = Mapping[str, str | Callable[..., str]]

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_catalogue: ContextVar[Catalogue] = ContextVar("catalogue", default=_NOTHING)


class Message(str):
    """A text in English that still knows its template and its values. Immutable.

    It is a string, so that JSON, HTML, comparisons and printing take it as it is. What is made of
    it by string methods, ``+`` or an f-string is a plain string: pass messages on as values.

    Attributes:
        template: The text with ``{names}``, as :meth:`str.format` reads it.
        values: What stands for the names: numbers, names from the network, messages. Without any,
            braces in the template stand for themselves.
    """

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, values: Mapping[str, Any] = _NOTHING) -> Message:
        """Fill the template with the values."""
        self = super().__new__(cls, cls._filled(template, values, _NOTHING))
        self.template = template
        self.values = MappingProxyType(dict(values))
        return self

    @staticmethod
    def _filled(template: str, values: Mapping[str, Any], catalogue: Catalogue) -> str:
        entry = catalogue.get(template, template)
        text = entry(**values) if callable(entry) else entry
        shown = {name: _translated(value, catalogue) for name, value in values.items()}
        return text.format_map(shown) if values else text

    def translated(self, catalogue: Catalogue) -> str:
        """Return the text in another language; what the catalogue lacks stays in English."""
        return self._filled(self.template, self.values, catalogue) if catalogue else str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.template, dict(self.values))


class _Joined(Message):
    """Several texts in a row; the template is what stands between them."""

    __slots__ = ()

    @staticmethod
    def _filled(template: str, values: Mapping[str, Any], catalogue: Catalogue) -> str:
        between, last = (
            str(catalogue.get(text, text)) for text in (template, values["last"] or template)
        )
        *items, end = [_translated(item, catalogue) for item in values["items"]] or [""]
        return last.join([between.join(items), end] if items else [end])


class Count(int):
    """A whole number that a template shows as :func:`count` does."""

    def __format__(self, spec: str) -> str:
        return count(self)


def _translated(value: Any, catalogue: Catalogue) -> Any:
    return value.translated(catalogue) if isinstance(value, Message) else value


def said(template: str, /, **values: Any) -> Message:
    """Return a message, to be kept as data.

    Args:
        template: The text in English, such as ``"{layer}: remove {much} of them"``; a literal, so
            that a catalogue can name it.
        **values: The values by name: numbers, names, and messages inside this one.
    """
    return Message(template, values)


def plural(n: int, one: str, many: str, /, **values: Any) -> Message:
    """Return the message for one thing or for several; both show the number as ``{n}``."""
    return Message(one if n == 1 else many, {"n": Count(n), **values})


def joined(items: Iterable[str], between: str = ", ", last: str = "") -> Message:
    """Return texts in a row: ``"a, b, c"``, or with ``last=" and "`` ``"a, b and c"``."""
    return _Joined(between, {"items": tuple(items), "last": last})


def render(text: str) -> str:
    """Return a text in the language of the moment, as a plain string; English to begin with."""
    return text.translated(_catalogue.get()) if isinstance(text, Message) else text


def told(template: str, /, **values: Any) -> str:
    """Return a message in the language of the moment, to be shown right now."""
    return render(said(template, **values))


@contextmanager
def speaking(catalogue: Catalogue) -> Iterator[None]:
    """Show every message in another language inside the ``with`` block.

    Args:
        catalogue: Template to its translation.
    """
    token = _catalogue.set(catalogue)
    try:
        yield
    finally:
        _catalogue.reset(token)


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


def for_encoding(text: str, encoding: str | None) -> str:
    """Return the text with a counterpart in ASCII for what an encoding lacks, and only for that.

    Args:
        text: Any text, such as ``2.5×10⁻⁹ ± 1``.
        encoding: The encoding of the stream that will take it; None for one that takes everything.

    Returns:
        The text itself where it can be encoded. In ``cp1252`` the example is ``2.5e-9 ± 1``, in
        ASCII ``2.5e-9 +/- 1``; Greek letters go by name, and what has no counterpart is ``?``.
    """
    if encoding is None or _fits(text, encoding):
        return text

    def kept(part: str, counterpart: Callable[[str], str]) -> str:
        return part if _fits(part, encoding) else counterpart(part)

    text = _POWER.sub(lambda m: kept(m[0], lambda power: "e" + _lowered(power[3:])), text)
    text = _RAISED.sub(lambda m: kept(m[0], lambda raised: "^" + _lowered(raised)), text)
    return "".join(kept(letter, _ascii_letter) for letter in text)


def for_stdout(text: str) -> str:
    """Return the text as standard output can print it at this moment.

    This is for ``__str__``: ``print(report)`` encodes what it got from there without asking again,
    so that nothing later could keep it from failing on a terminal that lacks ``±``. Where standard
    output is in UTF-8, or takes any text (a notebook, a ``StringIO``), nothing is replaced.
    """
    return for_encoding(text, getattr(sys.stdout, "encoding", None))


def tell(text: str) -> None:
    """Print the text in a plain script; a notebook or a page shows the object itself."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        sys.stdout.write(f"{text}\n")


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """Return the text in one line, with a question mark for what would command a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def _lowered(raised: str) -> str:
    return unicodedata.normalize("NFKC", raised).replace("\N{MINUS SIGN}", "-")


def _ascii_letter(letter: str) -> str:
    plain = letter.translate(_PLAIN)
    if plain.isascii():
        return plain
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


def format_significant(value: float, digits: int = 2) -> str:
    """Format a number with so many significant digits: ``0.005``, ``1200``, ``1×10⁻⁶``."""
    text = f"{value:.{digits}g}"
    if "e+" in text and abs(value) < 10**_MOST_DIGITS:
        text = f"{float(text):.0f}"
    return _typeset(text)


def count(number: int) -> str:
    """Format a whole number with a comma between thousands: ``50,000``."""
    return f"{int(number):,}"


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
