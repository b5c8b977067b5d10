import math

import pytest

from webscale.claims import ClaimFailed, claim, predict
from webscale.record import clean


def test_a_guess_is_printed_beside_the_measurement(capsys):
    predict("p95 with one worker", guess=1500, unit="ms").check(48500)

    said = capsys.readouterr().out
    assert said == "p95 with one worker: you said 1,500 ms, measured 48,500 ms (32.3 times apart).\n"


@pytest.mark.parametrize("measured", [0, 0.0123, 95, 100, 950, 4_850, 48_500, 1e-9, math.inf])
def test_the_sanitised_sentence_is_the_same_for_every_measurement(capsys, measured):
    predict("p95 with one worker", guess=100, unit="ms").check(measured)

    said = clean(capsys.readouterr().out)
    assert said == "p95 with one worker: you saidNUMBER ms, measuredNUMBER ms (NUMBER times apart).\n"


def test_a_guess_shows_itself_with_its_unit():
    assert repr(predict("one read by key", guess=1500, unit="µs")) == "<one read by key: you say 1,500 µs>"


@pytest.mark.parametrize("guess", [None, "100", True, math.nan, 1j, ...])
def test_a_guess_that_is_no_number_is_refused_by_name(guess):
    with pytest.raises(TypeError, match=r"Your guess for 'p95' must be a number, such as 100; it is "):
        predict("p95", guess=guess, unit="ms")


def test_a_measurement_that_is_no_number_is_refused_by_name():
    with pytest.raises(TypeError, match="The measurement of 'p95' must be a number"):
        predict("p95", guess=100, unit="ms").check(None)


def test_a_claim_that_holds_prints_its_sentence(capsys):
    claim("Two reads by key cost less than one argon2 hash", 2 * 0.4 < 38, read_ms=0.4, hash_ms=38)

    assert capsys.readouterr().out == "✓ Two reads by key cost less than one argon2 hash\n"


def test_a_claim_that_fails_gives_the_numbers_and_prints_nothing(capsys):
    with pytest.raises(ClaimFailed, match=r"not hold here: A read is fast \(read_ms = 4,850, hash_ms = 0.0123\)\."):
        claim("A read is fast", False, read_ms=4850, hash_ms=0.0123)

    assert capsys.readouterr().out == ""


def test_a_pair_in_place_of_a_condition_does_not_pass_as_true():
    with pytest.raises(TypeError, match="Write a comparison"):
        read_ms = 4850
        claim("A read is fast", (read_ms < 1, "it is slow"))


def test_numpys_truth_values_are_conditions(capsys):
    numpy = pytest.importorskip("numpy")

    claim("One is less than two", numpy.float64(1) < numpy.float64(2))

    assert capsys.readouterr().out == "✓ One is less than two\n"
