"""The grammar of spec strings."""

import ast
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe._specs import Comparison, Term, format_term, parse_spec, split_specs
from embedpipe.errors import UsageError


def value_of(text):
    """Return the value of an option written as `text`."""
    [(_, value)] = parse_spec(f"a(b={text})").options
    return value


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("+3", 3),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0b101", 5),
        ("0o17", 15),
        ("1e-6", 1e-6),
        ("-.5", -0.5),
        ("2.", 2.0),
        ("1_0.2_5e+1", 102.5),
        ("1e999", math.inf),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("none", None),
        ("None", None),
        ("true", True),
        ("FALSE", False),
        ("distance", "distance"),
        ("'distance'", "distance"),
        ('"distance"', "distance"),
        ("t-shirt", "t-shirt"),
        ("a.b", "a.b"),
        ("'none'", "none"),
        ("'1'", "1"),
        ("''", ""),
        (r"'it\'s \"it\"'", 'it\'s "it"'),
        ('"it\'s"', "it's"),
        (r"'a\nb\t\x41\u00e9\U0001F600\0\d'", "a\nb\tA\u00e9\U0001f600\0\\d"),
        ("'a\nb'", "a\nb"),
        ("[1, 2]", [1, 2]),
        ("[]", []),
        ("[1, 2,]", [1, 2]),
        ("[balanced, None, 'x y', -1]", ["balanced", None, "x y", -1]),
        ("(1, 2)", (1, 2)),
        ("(1,)", (1,)),
        ("()", ()),
        ("(1)", 1),
        ("{}", {}),
        ("{'hat': 2.0, 'shoe': 1}", {"hat": 2.0, "shoe": 1}),
        ("{hat: 2.0, 3: [1, {a: b}]}", {"hat": 2.0, 3: [1, {"a": "b"}]}),
        ("[(1, 'a'), {'b': (None,)}]", [(1, "a"), {"b": (None,)}]),
    ],
)
def test_values(text, value):
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)
    assert value_of(f" {text} ") == value


@pytest.mark.parametrize(
    ("value", "plain", "python"),
    [
        (None, "none", "None"),
        (True, "true", "True"),
        (3, "3", "3"),
        (-0.5, "-0.5", "-0.5"),
        (math.inf, "inf", "1e999"),
        (-math.inf, "-inf", "-inf"),
        (np.float64(0.5), "0.5", "0.5"),
        (np.int64(7), "7", "7"),
        ("distance", "distance", "'distance'"),
        ("none", '"none"', "'none'"),
        ("x y", '"x y"', "'x y'"),
        ('say "hi" \\', '"say \\"hi\\" \\\\"', "'say \"hi\" \\\\'"),
        ([1, "a"], "[1, a]", "[1, 'a']"),
        ((1,), "(1,)", "(1,)"),
        ({"hat": 2.0}, "{hat: 2.0}", "{'hat': 2.0}"),
    ],
)
def test_values_as_text(value, plain, python):
    term = Term("a", options=(("b", value),))
    assert format_term(term) == f"a(b={plain})"
    assert format_term(term, python=True) == f"a(b={python})"


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
keys = st.integers() | st.text()
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)
words = st.from_regex(r"[a-z_][a-z0-9_.\-]{0,6}", fullmatch=True)
places = st.builds("{}:{}".format, words, words)


@st.composite
def terms(draw, depth=2):
    arguments = []
    if depth:
        inner = terms(depth=depth - 1)
        comparison = st.builds(
            Comparison,
            inner,
            st.sampled_from([">=", "<=", ">", "<"]),
            st.floats(allow_nan=False, allow_infinity=False),
        )
        number = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        arguments = draw(st.lists(inner | comparison | number, max_size=2))
    options = draw(st.dictionaries(st.text(min_size=1), values, max_size=2))
    strength = draw(st.none() | st.floats(-1e6, 1e6))
    return Term(draw(words | places), tuple(arguments), tuple(options.items()), strength)


@settings(max_examples=300, deadline=None)
@given(term=terms())
def test_every_term_survives_its_spec_string(term):
    assert parse_spec(format_term(term)) == term
    assert parse_spec(format_term(term, python=True)) == term


@settings(max_examples=300, deadline=None)
@given(value=values)
def test_python_values_are_parsed(value):
    assert value_of(repr(value)) == value


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="a1b ,=()[]{}:^<>'\"\\.+-_", max_size=14))
def test_text_is_read_or_refused_in_one_line(text):
    """Options that Python can parse have the same value here."""
    try:
        term = parse_spec(text)
    except UsageError as error:
        assert str(error).startswith(f"strategy {text!r} ")
        return
    assert parse_spec(format_term(term)) == term
    try:
        call = ast.parse(text.strip(), mode="eval").body
        expected = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
    except (SyntaxError, ValueError, AttributeError):
        return
    assert {key: dict(term.options)[key] for key in expected} == expected


# Terms


def test_terms_nest():
    text = "a(b(c=1)^2, margin >= 0.2, 'x y', 3)"
    assert parse_spec(text) == Term(
        "a",
        (
            Term("b", (), (("c", 1),), 2.0),
            Comparison(Term("margin"), ">=", 0.2),
            "x y",
            3,
        ),
    )
    assert format_term(parse_spec("a(b(c=1)^2,margin>=0.2,'x y',3)")) == (
        'a(b(c=1)^2, margin >= 0.2, "x y", 3)'
    )


def test_a_class_with_its_module():
    assert parse_spec(" sklearn.svm:SVC ( C = 2 ) ") == Term("sklearn.svm:SVC", (), (("C", 2),))
    assert parse_spec("sklearn.svm:SVC") == Term("sklearn.svm:SVC")


def test_known_names_may_have_any_characters():
    assert parse_spec("2 best!", names=["2 best!"]) == Term("2 best!")
    assert parse_spec("2 best!(k=1)", names=["2 best!"]) == Term("2 best!", (), (("k", 1),))
    assert parse_spec("2 best!^2", names=["2 best!^2"]) == Term("2 best!^2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("coral(", "a value at the end"),
        ("coral(uncertainty", "',' or ')' at the end"),
        ("coral(uncertainty=", "a value at the end"),
        ("coral(uncertainty=entropy", "',' or ')' at the end"),
        ("coral)", "the end at character 6, found ')'"),
        ("coral(uncertainty=entropy))", "the end at character 27, found ')'"),
        ("coral(uncertainty=)", "a value at character 19, found ')'"),
        ("coral(uncertainty entropy)", "',' or ')' at character 19, found 'entropy'"),
        ("coral(, a=1)", "a value at character 7, found ','"),
        ("coral(a=1, b)", "'option=value' at character 12, found 'b'"),
        ("coral(=1)", "a value at character 7, found '='"),
        ("coral([=1)", "an option at character 7, found '['"),
        ("(coral)", "a name at character 1, found '('"),
        ("", "a name at the end"),
        ("combine(margin^)", "a number at character 16, found ')'"),
        ("combine(margin^two)", "a number at character 16, found 'two'"),
        ("combine(threshold(margin > high))", "a number at character 28, found 'high'"),
        ("coral(a='x)", 'a value at character 9, found "\'"'),
        ("coral extra", "the end at character 7, found 'extra'"),
        ("coral;", "the end at character 6, found ';'"),
        ("coral(a=[1, 2)", "',' or ']' at character 14, found ')'"),
        ("coral(a={b})", "':' at character 11, found '}'"),
        ("coral(a={[1]: 2})", "a number or text at character 10, found '['"),
        ("coral(a={b: 1", "',' or '}' at the end"),
        ("sklearn.svm:", "the name of a class at the end"),
    ],
)
def test_syntax_errors_have_a_position(text, expected):
    with pytest.raises(UsageError) as caught:
        parse_spec(text)
    assert str(caught.value) == f"strategy {text!r} cannot be read: expected {expected}."


def test_a_value_must_be_plain():
    with pytest.raises(UsageError) as caught:
        parse_spec("mlp(hidden=int('64'))", "head")
    assert str(caught.value) == (
        "head \"mlp(hidden=int('64'))\" cannot be read: int(...) at character 12 is not a plain "
        "value. Give a number, text, true, false, none, or a list or dict of these."
    )


def test_an_option_is_given_once():
    with pytest.raises(UsageError) as caught:
        parse_spec("coral(block_size=1, block_size=2)")
    assert str(caught.value) == (
        "strategy 'coral(block_size=1, block_size=2)' has 'block_size' twice: give it once."
    )


# Lists


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("margin", ["margin"]),
        ("", []),
        (" , ,", []),
        ("auto, combine(margin^2, diversity),", ["auto", "combine(margin^2, diversity)"]),
        ("a(b='x,y'),c", ["a(b='x,y')", "c"]),
        (r"a(b='it\'s, so'), c", [r"a(b='it\'s, so')", "c"]),
        ("a(b=[1, 2], c={x: (1, 2)}), d", ["a(b=[1, 2], c={x: (1, 2)})", "d"]),
        ("a), b", ["a)", "b"]),
        ("0.1,0.5,100", ["0.1", "0.5", "100"]),
        ("sklearn.svm:SVC(C=2), knn", ["sklearn.svm:SVC(C=2)", "knn"]),
    ],
)
def test_lists_are_split_between_specs(text, parts):
    assert split_specs(text) == parts


@settings(max_examples=100, deadline=None)
@given(several=st.lists(terms(), max_size=4))
def test_every_list_is_split_into_its_terms(several):
    text = ", ".join(map(format_term, several))
    assert [parse_spec(part) for part in split_specs(text)] == several
