"""Printed numbers: digits, signs, and the tie to the result file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_board import sample

from recombine.leaderboard.drawing import formatting as numbers

SHARES = st.floats(-1.0, 1.0, allow_nan=False)


@given(SHARES)
def test_percent_is_within_half_a_digit(value):
    printed = float(numbers.percent(value).replace(numbers.MINUS, "-"))
    assert abs(printed - 100 * value) <= 0.05 + 1e-9


@given(SHARES)
def test_points_carry_a_sign_unless_they_print_as_zero(value):
    text = numbers.points(value)
    if text == "0.0":
        assert abs(value) <= 0.0005 + 1e-12
    else:
        assert text[0] == ("+" if value > 0 else numbers.MINUS)


@given(st.floats(1e-9, 1e12))
def test_short_keeps_three_significant_digits_without_exponent(value):
    text = numbers.short(value)
    assert "e" not in text
    assert abs(float(text.replace(",", "")) / value - 1) <= 0.005 + 1e-9


@given(st.floats(0, 1))
def test_spread_is_a_standard_deviation_in_points(variance):
    assert float(numbers.spread(variance)) == pytest.approx(100 * variance**0.5, abs=0.051)


def test_no_negative_zero():
    assert numbers.percent(-1e-9) == "0.0"
    assert numbers.points(-1e-9) == "0.0"
    assert numbers.ratio(-1e-9) == "0.000"


def test_lookup_reaches_names_with_dots_and_list_items():
    plain = {"per_factor": {"object.shape": {"ci95": [0.1, 0.2]}}}
    assert numbers.lookup(plain, "per_factor/object.shape/ci95/1") == 0.2


def test_lookup_of_an_unknown_name_fails_loudly():
    with pytest.raises(KeyError):
        numbers.lookup({"a": 1}, "b")


def test_field_carries_value_path_and_form():
    html = numbers.field({"a": {"b": 0.61349}}, "a/b", "percent")
    assert html == '<data value="0.61349" data-field="a/b" data-form="percent">61.3</data>'


def test_field_of_a_missing_value_is_a_dash():
    assert "—" in numbers.field({"a": None}, "a", "percent")
    assert "data-field" not in numbers.field({"a": None}, "a", "percent")


def test_field_escapes_the_path():
    html = numbers.field({'<x>"': 0.5}, '<x>"', "percent")
    assert "<x>" not in html
    assert "&lt;x&gt;&#34;" in html


def test_interval_joins_both_ends():
    html = numbers.interval({"ci95": [0.1, 0.2]}, "ci95", "percent")
    assert html.striptags() == f"10.0{numbers.DASH}20.0"
    signed = numbers.interval({"ci95": [-0.1, 0.2]}, "ci95", "points")
    assert signed.striptags() == f"{numbers.MINUS}10.0 to +20.0"


def test_a_missing_interval_is_said_in_words():
    assert numbers.interval({"ci95": None}, "ci95", "percent").striptags() == "no interval"


def test_a_result_is_looked_up_as_its_plain_values_are():
    result = sample(2)
    plain = result.model_dump(mode="json")
    for path in (
        "scores/ooc_test/ci95/1",
        "scores/id_test/per_factor/object.shape/estimate",
        "compute_curve/ooc_ci95/3/0",
        "training/configs_tried",
    ):
        assert numbers.lookup(result, path) == numbers.lookup(plain, path)
    with pytest.raises(KeyError):
        numbers.lookup(result, "scores/__class__")
