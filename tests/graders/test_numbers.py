from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.graders import parse_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("007", 7),
        ("+5", 5),
        ("-5", -5),
        ("- 5", -5),
        ("\u22125", -5),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("5. ", 5),
        ("12.50", Fraction(25, 2)),
        ("7/14", Fraction(1, 2)),
        ("-7 / 14", Fraction(-1, 2)),
        ("1,234,567", 1234567),
        ("1,234.5", Fraction(2469, 2)),
        ("1\u202f234", 1234),
        ("$1,000", 1000),
        ("-$5", -5),
        ("$-5", -5),
        ("$5$", 5),
        ("$$5$$", 5),
        ("\\(5\\)", 5),
        ("€ 5", 5),
        ("\\$5", 5),
        ("1e3", 1000),
        ("2.5E-1", Fraction(1, 4)),
        ("50%", Fraction(1, 2)),
        ("50\\%", Fraction(1, 2)),
        ("50 percent", Fraction(1, 2)),
        ("5 cm", 5),
        ("5cm", 5),
        ("5 km/h", 5),
        ("24 square meters", 24),
        ("9 m^2", 9),
        ("5 meters squared", 5),
        ("18 eggs.", 18),
        ("90°", 90),
        ("30 °C", 30),
        ("99¢", 99),
        ("5\\text{ cm}", 5),
        ("\\text{5}", 5),
        ("\\frac{3}{7}", Fraction(3, 7)),
        ("-\\dfrac{6}{14}", Fraction(-3, 7)),
        ("\\frac12", Fraction(1, 2)),
        ("1{,}234", 1234),
        ("1\\,234", 1234),
        ("x=3", 3),
        ("1 1/2", Fraction(3, 2)),
        ("-2 3/4 cups", Fraction(-11, 4)),
        ("1\\frac{1}{2}", Fraction(3, 2)),
        ("90^\\circ", 90),
        ("90^{\\circ}", 90),
        ("15\\mbox{ cm}^2", 15),
        ("15\\text{ cm}^{2}", 15),
        ("\\frac{3}{4}\\%", Fraction(3, 400)),
        ("x_1 = 3", 3),
        ("x_{10} = -3/4", Fraction(-3, 4)),
    ],
)
def test_numbers_people_write(text, value):
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-",
        "$",
        "%",
        "abc",
        "NaN",
        "inf",
        "True",
        "--5",
        "-$-5",
        "1,23",
        "1,2345",
        "12,34,567",
        "0,123",
        "1,234\u202f567",
        "1 234",
        "1 3/2",
        "0 1/2",
        "1 0/2",
        "\\frac{1}{2}3",
        "1.5 1/2",
        "1/0",
        "1/2/3",
        "1.2.3",
        "6*7",
        "6 \\times 7",
        "40+2",
        "6*7=42",
        "x=y=3",
        "x==3",
        "42 or 43",
        "42, 43",
        "42 (or possibly 43)",
        "42 not",
        "42 or so",
        "\\pm 42",
        "5 million",
        "5 dozen eggs",
        "5 squared",
        "5x",
        "5k",
        "5 i",
        "10!",
        "10^3",
        "9^{9^{9}}",
        "2\\pi",
        "4\\sqrt{2}",
        "\\frac{1}{0}",
        "\\frac{1}{\\frac{1}{2}}",
        "\\frac{}{}",
        "1e1001",
        "1e-1001",
        "1e999999999",
        "1e99999999999999999999999999",
        "4_2",
        "\u0664\u0662",
        "\uff14\uff12",
        "\u202e24",
        "4\u200b2",
        "42\x00",
        "exec('1')",
        "lambda: 42",
        "1" * 4097,
        "\ud800",
    ],
)
def test_what_is_not_one_number(text):
    assert parse_number(text) is None


def test_percent_as_a_unit():
    assert parse_number("50%", percent_is_unit=True) == 50
    assert parse_number("50 percent", percent_is_unit=True) == 50


@settings(deadline=None)
@given(st.integers(-(10**30), 10**30))
def test_integers_read_back_with_and_without_grouping(number):
    assert parse_number(str(number)) == number
    assert parse_number(f"{number:,}") == number


@settings(deadline=None)
@given(st.integers(-(10**12), 10**12), st.integers(1, 10**12))
def test_fractions_read_back_exactly(a, b):
    assert parse_number(f"{a}/{b}") == Fraction(a, b)
    assert parse_number(f"\\frac{{{a}}}{{{b}}}") == Fraction(a, b)


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=6))
def test_decimals_read_back_exactly(number):
    assert parse_number(f"{number:f}") == Fraction(number)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_raises(text):
    assert parse_number(text) is None or isinstance(parse_number(text), Fraction)


@settings(deadline=None)
@given(st.text(alphabet="0123456789,./eE+-$% \\frac{}=x()\u2009", max_size=40))
def test_no_text_that_looks_like_a_number_raises(text):
    assert parse_number(text) is None or isinstance(parse_number(text), Fraction)
