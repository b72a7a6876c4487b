"""What a page's script hands to the reader's browser: a question, and later its answer.

The page keeps the reader's guess, on the reader's own machine only, and shows it on one number line
beside the law and the measurement. Every number and every sentence is written here, by the run; the
browser's script chooses among them and knows no language. Nothing here needs torch.
"""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass
from typing import Any

from seminar._files import digest
from seminar._text import for_stdout, format_number, tell, with_unit
from seminar.evidence import Comparison, Estimate

__all__ = ["Guess", "GuessAnswer"]

#: Every word that the component shows or says, so that another language can replace them.
WORDS: dict[str, Any] = {
    "title": "Guess",
    "label": "Your guess",
    "button": "That is my guess",
    "again": "Guess again",
    "fold": "Without guessing: law and measurement",
    "range": "{question} (from {low} to {high})",
    "guess": "your guess {guess}",
    "law": "law {law}",
    "measured": "measured {measured}",
    "interval": "{mean} ({low} to {high})",
    "hit": "Your guess, {guess}, is as near as this line allows: measured {measured}.",
    "inside": "Your guess, {guess}, lies inside what the measurement leaves open, {low} to {high}.",
    "high": "Your guess, {guess}, is {difference} too high: measured {measured}.",
    "low": "Your guess, {guess}, is {difference} too low: measured {measured}.",
    "times_high": "Your guess, {guess}, is {difference} times too high: measured {measured}.",
    "times_low": "Your guess, {guess}, is {difference} times too low: measured {measured}.",
}

_STOPS = 60  # of the line, about
_POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _form(number: str, forms: tuple[str, ...]) -> str:
    """Return the form of a noun that goes with a number: the first with 1, else the last."""
    return forms[0] if number == "1" else forms[-1]


@dataclass(frozen=True)
class Guess:
    """A question whose answer is a number, asked before it is measured.

    Write it as the last expression of a cell, ``guess.ask()``, and, where the number has been
    measured, ``guess.answer(comparison)``.

    Attributes:
        question: One sentence with a question mark.
        low: The left end of the line.
        high: The right end of the line.
        unit: Unit of the number, such as ``"%"``; empty for a pure number.
        log: Whether the line is logarithmic; then the sentence compares by a factor.
        step: Distance of neighbouring guesses on a linear line; None for about sixty of them.
        difference: Unit of a difference, singular and plural, such as ``("point", "points")``
            for per cent; None for ``unit``.
    """

    question: str
    low: float
    high: float
    unit: str = ""
    log: bool = False
    step: float | None = None
    difference: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"low (={self.low}) must be smaller than high (={self.high}), both finite; "
                "give the ends of the line from left to right"
            )
        if self.log and self.low <= 0:
            raise ValueError(f"low (={self.low}) of a logarithmic line must be positive")
        if self.step is not None and not 0 < self.step < self.high - self.low:
            raise ValueError(f"step (={self.step}) must be positive and smaller than the line")

    @property
    def key(self) -> str:
        """A name for the question and its line, under which a browser keeps the guess."""
        line = f"{self.question} {self.low} {self.high} {self.step} {self.log}"
        return digest(line.encode())[:10]

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers that can be guessed, from left to right, at equal distances on the line."""
        step = self._step
        count = _STOPS if self.log else round((self.high - self.low) / step)
        if self.log:
            ratio = self.high / self.low
            return tuple(self.low * ratio ** (n / count) for n in range(count + 1))
        return tuple(self.low + n * (self.high - self.low) / count for n in range(count + 1))

    @property
    def _step(self) -> float:
        return self.step or _round_step((self.high - self.low) / _STOPS)

    def place(self, value: float) -> float:
        """Return where a number stands on the line, from 0 to 100; ends stop what lies outside."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return 100 * math.log(value / self.low) / math.log(self.high / self.low)
        return 100 * (value - self.low) / (self.high - self.low)

    def text(self, value: float) -> str:
        """Return a guess in words, with its unit."""
        if self.log:
            return with_unit(_two_digits(value), self.unit)
        return with_unit(format_number(value, 10 * self._step), self.unit)

    def ask(self) -> Guess:
        """Return itself, to be shown as the last expression of a cell; a script prints it."""
        tell(str(self))
        return self

    def answer(self, measured: Comparison | Estimate | float) -> GuessAnswer:
        """Return the line with law and measurement.

        Args:
            measured: The comparison that the page shows; an estimate where there is no law; or a
                number that has no interval, such as the smallest width that suffices.

        Returns:
            The answer, to be shown as the last expression of a cell; a script prints it.

        Raises:
            ValueError: If the law or the measurement lies outside the line.
        """
        found = GuessAnswer(self, measured)
        tell(str(found))
        return found

    def ticks(self) -> list[tuple[float, str]]:
        """Return the numbers under the line, with their texts."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            stride = max(1, math.ceil((last - first) / 6))
            powers = range(first, last + 1, stride)
            plain = first > -4 and last < 5
            return [(10.0**p, _power(p, plain=plain)) for p in powers]
        step = _round_step((self.high - self.low) / 5)
        inner = (step * n for n in range(math.ceil(self.low / step), int(self.high / step) + 1))
        far = [x for x in inner if min(x - self.low, self.high - x) > step / 2]
        return [(x, _plain(x)) for x in (self.low, *far, self.high)]

    def __str__(self) -> str:
        low, high = (with_unit(_plain(end), self.unit) for end in (self.low, self.high))
        return for_stdout(WORDS["range"].format(question=self.question, low=low, high=high))

    def _repr_html_(self) -> str:
        words = {name: WORDS[name] for name in ("label", "button", "again", "guess")}
        values = [self.text(value) for value in self.values]
        return (
            f'<div class="guess" role="group" aria-label="{html.escape(WORDS["title"])}" '
            f'data-guess="{self.key}" data-values="{_data(values)}" data-words="{_data(words)}">'
            f'<p class="guess-question"><strong>{html.escape(WORDS["title"])}</strong> '
            f"{html.escape(self.question)}</p>"
            f'<div class="guess-stage">{_line(self)}</div>'
            f"<!--guess-answer {self.key} {html.escape(WORDS['fold'])}--></div>"
        )


@dataclass(frozen=True)
class GuessAnswer:
    """The same line with the law, where there is one, and the measurement.

    Attributes:
        guess: The question.
        measured: What was measured, with the law or without.
    """

    guess: Guess
    measured: Comparison | Estimate | float

    def __post_init__(self) -> None:
        for name, value in (("law", self.law), ("measurement", self.mean)):
            if value is not None and not self.guess.low <= value <= self.guess.high:
                raise ValueError(
                    f"the {name} (={value:g}) lies outside the line from {self.guess.low:g} to "
                    f"{self.guess.high:g}; give the guess a range that holds it"
                )

    @property
    def law(self) -> float | None:
        """The law's number, or None."""
        return self.measured.value if isinstance(self.measured, Comparison) else None

    @property
    def mean(self) -> float:
        """The measured number."""
        return self._ends[1]

    @property
    def _ends(self) -> tuple[float, float, float]:
        """Return the low end, the mean and the high end."""
        found = self.measured.estimate if isinstance(self.measured, Comparison) else self.measured
        if isinstance(found, Estimate):
            return found.low, found.mean, found.high
        return (float(found),) * 3

    def sentence(self, value: float) -> str:
        """Return the sentence that compares a guess with the measurement."""
        guess, (low, mean, high) = self.guess, self._ends
        size = 100 / (len(guess.values) - 1)
        near = abs(guess.place(value) - guess.place(mean)) <= size / 2
        if near:
            kind, apart = "hit", ""
        elif low <= value <= high:
            kind, apart = "inside", ""
        elif guess.log:
            kind = "times_high" if value > mean else "times_low"
            apart = _two_digits(max(value / mean, mean / value))
        else:
            kind = "high" if value > mean else "low"
            apart = format_number(abs(value - mean), 10 * guess._step)
            forms = guess.difference or (guess.unit,)
            apart = with_unit(apart, _form(apart, forms))
        measured = with_unit(self._number(mean), guess.unit)
        ends = {"low": self._number(low), "high": with_unit(self._number(high), guess.unit)}
        said = {"guess": guess.text(value), "difference": apart, "measured": measured, **ends}
        return str(WORDS[kind]).format(**said)

    def texts(self) -> dict[str, str]:
        """Return the law and the measurement in words, as far as there are such."""
        low, mean, high = self._ends
        half, number = (high - low) / 2, self._number
        text = number(mean)
        if abs(high + low - 2 * mean) > 0.1 * half:
            text = WORDS["interval"].format(mean=text, low=number(low), high=number(high))
        elif number(mean + half) != text:
            text = f"{text} ± {format_number(half, half)}"
        law = {} if self.law is None else {"law": with_unit(number(self.law), self.guess.unit)}
        return {**law, "measured": with_unit(text, self.guess.unit)}

    def _number(self, value: float) -> str:
        """Return a number with the digits that the interval and the line justify."""
        low, mean, high = self._ends  # whole ends, as of a count, stay whole
        finest = abs(mean) / 10 if self.guess.log else self.guess._step
        finest *= 10 if all(end == round(end) for end in self._ends) else 1
        return format_number(value, max((high - low) / 2, finest))

    def __str__(self) -> str:
        said = (WORDS[name].format(**{name: text}) for name, text in self.texts().items())
        return for_stdout("; ".join(said))

    def _repr_html_(self) -> str:
        says = [self.sentence(value) for value in self.guess.values]
        items = "".join(
            f'<li class="{name}">{_GLYPHS[name]}'
            f"{html.escape(WORDS[name].format(**{name: text}))}</li>"
            for name, text in self.texts().items()
        )
        return (
            f'<div class="guess-answer" data-guess="{self.guess.key}" data-says="{_data(says)}">'
            f"{_line(self.guess, self)}"
            f'<ul class="guess-legend">{items}<li class="yours" hidden="">{_GLYPHS["guess"]}'
            "<span></span></li></ul></div>"
        )


_SHAPES = {
    "law": '<path d="M0-9l6 8-6 8-6-8z"/>',
    "measured": '<path d="M-8-5v10M8-5v10M-8 0h16"/><circle r="3.5"/>',
    "guess": '<circle r="7" fill="none"/>',
}
_INK = 'fill="currentColor" stroke="currentColor"'  # where no style sheet says more
_GLYPHS = {
    name: f'<svg class="guess-{name}" width="20" height="18" viewBox="-10 -9 20 18" '
    f'{_INK} aria-hidden="true">{shape}</svg>'
    for name, shape in _SHAPES.items()
}
_AXIS = 40  # px from the top


def _line(guess: Guess, answer: GuessAnswer | None = None) -> str:
    """Return the line as SVG whose places are per cent, so that its texts keep their size."""
    marks = [f'<line class="axis" x1="0" x2="100%" y1="{_AXIS}" y2="{_AXIS}"/>']
    for value, text in guess.ticks():
        x = f"{guess.place(value):.2f}%"
        marks.append(
            f'<line class="tick" x1="{x}" x2="{x}" y1="{_AXIS}" y2="{_AXIS + 7}"/>'
            f'<text x="{x}" y="{_AXIS + 23}" text-anchor="middle" stroke="none">{text}</text>'
        )
    if answer is not None:
        marks += _marks(guess, answer)
    return (
        f'<svg class="guess-line" width="100%" height="{_AXIS + 28}" overflow="visible" '
        f'{_INK} aria-hidden="true">{"".join(marks)}</svg>'
    )


def _marks(guess: Guess, answer: GuessAnswer) -> list[str]:
    low, middle, high = (guess.place(value) for value in answer._ends)
    marks = [
        f'<g class="guess-measured"><line class="bar" x1="{low:.2f}%" x2="{high:.2f}%" '
        f'y1="{_AXIS}" y2="{_AXIS}"/>'
        + "".join(
            f'<line x1="{x:.2f}%" x2="{x:.2f}%" y1="{_AXIS - 6}" y2="{_AXIS + 6}"/>'
            for x in ((low, high) if high - low > 1 else ())
        )
        + f'<circle cx="{middle:.2f}%" cy="{_AXIS}" r="4"/></g>'
    ]
    if answer.law is not None:
        x = f"{guess.place(answer.law):.2f}%"
        marks.append(
            f'<line class="stem" x1="{x}" x2="{x}" y1="{_AXIS - 18}" y2="{_AXIS - 5}"/>'
            f'<svg class="guess-law" x="{x}" y="{_AXIS - 23}" overflow="visible">'
            f"{_SHAPES['law']}</svg>"
        )
    ring = (
        f'<svg class="guess-guess" y="{_AXIS}" overflow="visible" visibility="hidden">'
        '<circle r="11" fill="none"/></svg>'
    )
    return [*marks, ring]


def _data(value: object) -> str:
    return html.escape(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _round_step(size: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below ``size``."""
    power = 10.0 ** math.floor(math.log10(size))
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= size * (1 - 1e-9)))


def _two_digits(value: float) -> str:
    return format_number(value, abs(value)) if 1e-3 <= value < 100 else _long(value)


def _long(value: float) -> str:
    if 100 <= value < 1e4:
        digits = 2 - len(str(int(value)))
        return f"{round(value, digits):,.0f}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}×{_power(int(exponent), plain=False)}"


def _plain(value: float) -> str:
    mantissa, _, exponent = f"{value:g}".partition("e")
    power = f"×{_power(int(exponent), plain=False)}" if exponent else ""
    return mantissa.replace("-", "\N{MINUS SIGN}") + power


def _power(exponent: int, *, plain: bool) -> str:
    return f"{10.0**exponent:g}" if plain else f"10{str(exponent).translate(_POWERS)}"
