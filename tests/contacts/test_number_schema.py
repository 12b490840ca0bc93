"""The quick validator agrees with jsonschema's own on whatever it is shown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from apu_contacts.reading import number_validator

NUMBERS = st.one_of(
    st.floats(-2, 2), st.integers(-2, 2), st.just(10**400), st.sampled_from([math.nan, math.inf, -math.inf])
)
ANYTHING = st.one_of(NUMBERS, st.booleans(), st.none(), st.text(max_size=2), st.lists(NUMBERS, max_size=3))
LISTS = st.one_of(
    st.lists(NUMBERS, max_size=5),
    st.lists(ANYTHING, max_size=5),
    st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=3),
    st.lists(st.one_of(st.lists(ANYTHING, max_size=3), ANYTHING), max_size=4),
)
WORDS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["number", "integer", "string", ["number", "null"]]),
        "minimum": st.sampled_from([-1, 0, 0.5]),
        "maximum": st.sampled_from([0, 1.5]),
        "exclusiveMinimum": st.just(0),
        "x-arrow": st.just("float32"),
        "minItems": st.just(1),
    },
)
ROWS = st.fixed_dictionaries(
    {"type": st.just("array"), "items": WORDS},
    optional={"minItems": st.integers(0, 3), "maxItems": st.integers(1, 3), "x-arrow": st.just("list")},
)


@given(schema=st.one_of(WORDS, ROWS), value=LISTS)
def test_it_says_what_the_standard_says(schema: dict, value: list) -> None:
    whole = {"type": "array", "items": schema}
    quick = [(list(e.absolute_path), e.message) for e in number_validator(whole).iter_errors(value)]
    slow = [(list(e.absolute_path), e.message) for e in Draft202012Validator(whole).iter_errors(value)]
    assert quick == slow


@given(value=st.lists(st.one_of(st.floats(), st.integers(-1000, 1000))))
def test_numbers_that_are_not_finite_are_none_if_asked(value: list) -> None:
    checks = number_validator({"type": "array", "items": {"type": "number"}}, finite=True)
    assert checks.is_valid(value) == all(map(math.isfinite, value))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_single_number_that_is_not_finite_is_none_if_asked(bad: float) -> None:
    checks = number_validator({"type": "number"}, finite=True)
    assert checks.is_valid(1) and not checks.is_valid(bad) and not checks.is_valid(True)
