"""What the text says, checked on the reader's machine: a guess before the measurement, a claim after it.

Whatever is printed here has the same shape for every measurement, so that strict nbval, which masks
each number that bears a unit, compares the sentence and not the machine.
"""
import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real


class ClaimFailed(AssertionError):
    """A sentence of the text does not hold on this machine."""


@dataclass(frozen=True, repr=False)
class Guess:
    """What the reader expects of a measurement that is still to come."""

    what: str
    value: float
    unit: str

    def check(self, measured: float) -> None:
        """Nothing is returned; guess and measurement are printed side by side."""
        measured = a_number(measured, f"The measurement of {self.what!r}")
        print(f"{self.what}: you said {number(self.value)} {self.unit}, measured {number(measured)} {self.unit} "
              f"({number(times_apart(self.value, measured))} times apart).")

    def __repr__(self) -> str:
        return f"<{self.what}: you say {number(self.value)} {self.unit}>"


def predict(what: str, guess: float, unit: str) -> Guess:
    """The reader's guess, to be checked against the measurement."""
    return Guess(what, a_number(guess, f"Your guess for {what!r}"), unit)


def claim(sentence: str, holds: bool, **numbers: float) -> None:
    """Nothing is returned; the sentence is printed if it holds, or ClaimFailed raised with the numbers."""
    if holds not in (True, False):
        raise TypeError(f"A claim is true or false, but {sentence!r} was given {holds!r}. Write a comparison, a < b.")
    if not holds:
        raise ClaimFailed(f"This does not hold here: {sentence}{listed(numbers)}. "
                          "Run the cell again with nothing else running; if it still fails, the text is wrong.")
    print(f"✓ {sentence}")


def a_number(value: object, what: str) -> float:
    """The value, if it can be compared with another number; TypeError if not."""
    if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
        raise TypeError(f"{what} must be a number, such as 100; it is {value!r}.")
    return value


def times_apart(one: float, other: float) -> float:
    """How many times the larger is the smaller; infinite if they have no common scale."""
    if one == other:
        return 1.0
    small, large = sorted((one, other))
    return large / small if small > 0 else math.inf


def number(value: float) -> str:
    """4,850 or 48 or 0.0123 or ∞: three digits that count, and thousands parted."""
    if math.isinf(value):
        return "-∞" if value < 0 else "∞"
    return f"{value:,.0f}" if abs(value) >= 99.5 else f"{value:.3g}"


def counted(count: float, what: str) -> str:
    """1 replica, or 2 replicas."""
    return f"{count:g} {what}{'' if count == 1 else 's'}"


def joined(words: Iterable[str]) -> str:
    """1, 2 and 4"""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def listed(numbers: dict[str, float]) -> str:
    """The numbers with their names, in brackets; nothing if there are none."""
    if not numbers:
        return ""
    return f" ({', '.join(f'{name} = {number(value)}' for name, value in numbers.items())})"
