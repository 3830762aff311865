import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe._loops.identity import identity_of
from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.strategies import Combine, Pool, Strategy, get_strategy, spelling_of, strategies
from embedpipe.strategies.objectives import (
    Balance,
    Diversity,
    EntropyObjective,
    MarginObjective,
    Metadata,
    Similarity,
    Threshold,
    Typicality,
)
from embedpipe.strategies.spelling.grammar import Comparison, Term, parse, written


def refused(error, spelling, **options):
    with pytest.raises(error) as caught:
        get_strategy(spelling, **options)
    return str(caught.value)


@pytest.fixture
def register():
    """Return a function that registers a strategy until the test ends."""
    names = []

    def add(name, kind):
        strategies.register(name)(kind)
        names.append(name)

    yield add
    for name in names:
        del strategies._entries[name]


class Odd(Strategy):
    """A strategy with options of every kind."""

    name = "odd"

    def __init__(
        self,
        *,
        ratio: float = 0.5,
        count: int | None = None,
        label: str | None = "a",
        quick: bool = False,
    ):
        self.ratio, self.count, self.label, self.quick = ratio, count, label, quick

    def choose(self, pool, n, rng):
        raise NotImplementedError


# Options


def test_options_are_spelled_in_brackets():
    assert vars(get_strategy("coral(uncertainty=entropy)")) == vars(
        get_strategy("coral", uncertainty="entropy")
    )
    assert get_strategy(" coreset ( block_size = 512 ) ").block_size == 512
    assert get_strategy("coreset(block_size=none)").block_size is None
    assert get_strategy("coral(uncertainty='entropy', block_size=7)").uncertainty == "entropy"
    assert get_strategy("coral(uncertainty=entropy)", block_size=3).block_size == 3
    assert get_strategy("coreset()").name == "coreset"


def test_values_of_every_kind(register):
    register("odd", Odd)
    made = get_strategy(r'odd(ratio=2, count=-3, label="x \"y\", (z)", quick=true)')
    assert vars(made) == {"ratio": 2.0, "count": -3, "label": 'x "y", (z)', "quick": True}
    assert type(made.ratio) is float
    made = get_strategy("odd(ratio=1e-3, label=none, count=none, quick=False)")
    assert vars(made) == {"ratio": 0.001, "label": None, "count": None, "quick": False}
    assert get_strategy("odd(ratio=inf)").ratio == float("inf")
    assert get_strategy("odd(ratio=-inf)").ratio == -float("inf")


@pytest.mark.parametrize("name", list(strategies))
def test_every_strategy_can_be_spelled(name):
    assert spelling_of(get_strategy(name)) == name
    assert identity_of(get_strategy(f"{name}()")) == identity_of(get_strategy(name))
    for parameter in inspect.signature(strategies[name]).parameters.values():
        assert parameter.kind is not parameter.VAR_KEYWORD


plain_text = st.text(min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(
    options=st.fixed_dictionaries(
        {},
        optional={
            "ratio": st.floats(allow_nan=False),
            "count": st.none() | st.integers(),
            "label": st.none() | st.text() | st.sampled_from(["true", "None", "inf", "a-b", "1"]),
            "quick": st.booleans(),
        },
    )
)
def test_a_strategy_survives_its_spelling(options):
    strategies.register("odd")(Odd)
    try:
        made = Odd(**options)
        again = get_strategy(spelling_of(made))
        assert vars(again) == vars(made)
        assert {k: type(v) for k, v in vars(again).items()} == {
            k: type(v) for k, v in vars(made).items()
        }
        assert spelling_of(again) == spelling_of(made)
    finally:
        del strategies._entries["odd"]


strengths = st.floats(0.01, 100).map(lambda value: round(value, 3))
turned = strengths | strengths.map(lambda value: -value)
static = st.one_of(
    st.builds(MarginObjective, strength=turned),
    st.builds(EntropyObjective, strength=turned),
    st.builds(Similarity, strength=turned),
    st.builds(Typicality, st.integers(1, 99), strength=turned),
    st.builds(Metadata, plain_text, strength=turned),
)
thresholds = st.builds(
    Threshold,
    st.one_of(
        st.just(MarginObjective()),
        st.builds(Typicality, st.integers(1, 99)),
        st.builds(Metadata, plain_text),
    ),
    st.sampled_from([">=", "<=", ">", "<"]),
    st.floats(allow_nan=False, allow_infinity=False),
)
balances = st.builds(
    Balance,
    st.dictionaries(plain_text, st.floats(0, 0.2), max_size=4),
    strength=strengths,
)
diversities = st.builds(
    Diversity, st.none() | st.floats(1e-9, 1e9, exclude_min=True), strength=strengths
)


@settings(max_examples=150, deadline=None)
@given(
    some=st.lists(static, min_size=1, max_size=3, unique_by=lambda each: each.label),
    far=st.lists(diversities, max_size=1),
    shares=st.lists(balances, max_size=1),
    limits=st.lists(thresholds, max_size=2, unique_by=lambda each: each.label),
)
def test_a_combination_survives_its_spelling(some, far, shares, limits):
    made = Combine([*limits, *some, *far, *shares])
    again = get_strategy(spelling_of(made))
    assert again.objectives == made.objectives
    assert vars(again) == vars(made)
    assert identity_of(again) == identity_of(made)


def test_the_spelling_of_a_combination():
    made = Combine(
        [
            "margin^1",
            Diversity(0.1, strength=2),
            Balance({"hat": 0.3, "t-shirt": 0.25, "2d": 0.1}, strength=0.5),
            Threshold("sharpness", ">", 10),
            Metadata("odd name"),
        ]
    )
    assert spelling_of(made) == (
        'combine(margin, diversity(min_distance=0.1)^2, balance(hat=0.3, t-shirt=0.25, "2d"=0.1)'
        '^0.5, threshold(metadata(sharpness) > 10), metadata("odd name"))'
    )
    assert spelling_of(Combine(["typicality", "diversity"])) == "combine"


def test_what_has_no_spelling():
    class Hidden(Odd):
        def __init__(self, *, depth: int = 1):
            self._depth = depth

    class Heavy(Odd):
        def __init__(self, *, weights=None):
            self.weights = weights

    with pytest.raises(UsageError) as caught:
        spelling_of(Hidden())
    assert str(caught.value) == (
        "strategy 'odd' has no spelling: it does not keep its option 'depth' as an attribute."
    )
    with pytest.raises(UsageError) as caught:
        spelling_of(Heavy(weights=np.zeros(2)))
    assert str(caught.value) == (
        "strategy 'odd' has no spelling: its option 'weights' is a ndarray, not a number or text."
    )


# What cannot be read


@pytest.mark.parametrize(
    ("spelling", "told"),
    [
        ("coral(", "it ends where a value should follow"),
        ("coral(uncertainty", "it ends where ',' or ')' should follow"),
        ("coral(uncertainty=", "it ends where a value should follow"),
        ("coral(uncertainty=entropy", "it ends where ',' or ')' should follow"),
        ("coral)", "')' at character 6 stands where the end should"),
        ("coral(uncertainty=entropy))", "')' at character 27 stands where the end should"),
        ("coral(uncertainty=)", "')' at character 19 stands where a value should"),
        ("coral(uncertainty entropy)", "'entropy' at character 19 stands where ',' or ')' should"),
        ("coral(, a=1)", "',' at character 7 stands where a value should"),
        ("coral(a=1, b)", "'b' at character 12 stands where 'option=value' should"),
        ("coral(=1)", "'=' at character 7 stands where a value should"),
        ("(coral)", "'(' at character 1 stands where a name should"),
        ("", "it ends where a name should follow"),
        ("combine(margin^)", "')' at character 16 stands where a number should"),
        ("combine(margin^two)", "'two' at character 16 stands where a number should"),
        (
            "combine(threshold(margin > high))",
            "'high' at character 28 stands where a number should",
        ),
        ("coral(a='x)", '"\'" at character 9 stands where a value should'),
        ("coral extra", "'extra' at character 7 stands where the end should"),
        ("coral;", "';' at character 6 stands where the end should"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_place(spelling, told):
    message = refused(UsageError, spelling)
    assert message == f"strategy {spelling!r} cannot be read: {told}."


@pytest.mark.parametrize(
    ("spelling", "error", "message"),
    [
        (
            "corall(uncertainty=entropy)",
            UnknownNameError,
            "unknown strategy 'corall'. Did you mean 'coral'? Known:",
        ),
        ("corall", UnknownNameError, "unknown strategy 'corall'. Did you mean 'coral'? Known:"),
        (
            "coral(uncertainy=entropy)",
            UnknownNameError,
            "unknown option of strategy 'coral' 'uncertainy'. Did you mean 'uncertainty'? "
            "Known: block_size, metric, uncertainty.",
        ),
        (
            "coral(uncertainty=entropi)",
            UnknownNameError,
            "unknown uncertainty 'entropi'. Did you mean 'entropy'? "
            "Known: entropy, least_confidence, margin.",
        ),
        (
            "coral(uncertainty=3)",
            UsageError,
            "option 'uncertainty' of strategy 'coral' is 3: give text.",
        ),
        (
            "coral(block_size=much)",
            UsageError,
            "option 'block_size' of strategy 'coral' is 'much': give a whole number or none.",
        ),
        (
            "coral(block_size=true)",
            UsageError,
            "option 'block_size' of strategy 'coral' is True: give a whole number or none.",
        ),
        (
            "random(seed=3)",
            UsageError,
            "strategy 'random' has no options, but is given 'seed': leave it out.",
        ),
        (
            "coral(entropy)",
            UsageError,
            "strategy 'coral' is given 'entropy' without a name: write coral(option=value); its "
            "options: uncertainty, metric, block_size.",
        ),
        (
            "coral^2",
            UsageError,
            "strategy 'coral' is given with ^2: strengths belong to the objectives of "
            "combine(...), as in combine(coral^2).",
        ),
        (
            "coral(block_size=1, block_size=2)",
            UsageError,
            "strategy 'coral(block_size=1, block_size=2)' gives 'block_size' twice: give it once.",
        ),
    ],
)
def test_wrong_names_and_options_are_refused(spelling, error, message):
    assert refused(error, spelling).startswith(message)


def test_an_option_given_in_both_ways_is_refused():
    assert refused(UsageError, "coral(block_size=1)", block_size=2) == (
        "strategy 'coral' is given 'block_size' twice: give it once."
    )
    assert refused(UsageError, "combine(margin)", objectives=["entropy"]) == (
        "objectives are given twice, in brackets and as an option."
    )


def test_types_that_only_a_checker_knows_are_not_looked_at(register):
    class Loose(Odd):
        def __init__(self, *, depth: "Unheard" = 1):  # noqa: F821
            self.depth = depth

    register("loose", Loose)
    assert get_strategy("loose(depth=deep)").depth == "deep"


# Files


def test_an_option_without_a_default_must_be_given(register):
    class Every(Odd):
        def __init__(self, step: int):
            self.step = step

    register("every", Every)
    assert refused(UsageError, "every") == "strategy 'every' lacks its option 'step': give step=..."
    assert get_strategy("every(step=2)").step == 2
    assert refused(UsageError, "combine(metadata, diversity)") == (
        "objective 'metadata' lacks its option 'column': give column=..."
    )


def test_a_strategy_in_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("strategy: coral\noptions:\n  uncertainty: entropy\n")
    made = get_strategy(str(path), block_size=5)
    assert spelling_of(made) == "coral(uncertainty=entropy, block_size=5)"
    path.write_text("strategy: coreset\n")
    assert spelling_of(get_strategy(str(path))) == "coreset"


def test_a_combination_in_a_file(tmp_path):
    path = tmp_path / "mix.yml"
    path.write_text(
        """
strategy: combine
objectives:
  - margin
  - diversity(min_distance=0.1)^2
  - objective: balance
    strength: 0.5
    options: {hat: 0.3, 2: 0.25}
  - objective: metadata
    options: {column: sharpness}
  - threshold(sharpness > 10)
"""
    )
    assert get_strategy(str(path)).objectives == (
        MarginObjective(),
        Diversity(0.1, strength=2),
        Balance({"hat": 0.3, "2": 0.25}, strength=0.5),
        Metadata("sharpness"),
        Threshold("sharpness", ">", 10),
    )


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (
            "- margin\n",
            UsageError,
            "{path} must name a strategy: write `strategy: NAME` and, if needed, `options:` with "
            "one `name: value` a line.",
        ),
        ("strategy: [", UsageError, "{path} is not YAML: while parsing a flow node"),
        (
            "strategy: coral\noption: {}\n",
            UnknownNameError,
            "unknown key in {path} 'option'. Did you mean 'options'? "
            "Known: objectives, options, strategy.",
        ),
        (
            "strategy: coral\noptions: entropy\n",
            UsageError,
            "`options` in {path} must be names with values: `name: value`.",
        ),
        (
            "strategy: coral\nobjectives: [margin]\n",
            UnknownNameError,
            "unknown option of strategy 'coral' 'objectives'. Known: block_size, metric, "
            "uncertainty.",
        ),
        (
            "strategy: combine\nobjectives: [{strength: 2}]\n",
            UsageError,
            "{{'strength': 2}} is no objective: give `objective: NAME` and, if needed, "
            "`strength: NUMBER` and `options:` with one `name: value` a line.",
        ),
        (
            "strategy: combine\nobjectives: [{objective: margin, power: 2}]\n",
            UnknownNameError,
            "unknown key of an objective 'power'. Known: objective, options, strength.",
        ),
        (
            "strategy: combine\nobjectives: [{objective: margin, strength: high}]\n",
            UsageError,
            "the strength of margin is 'high': give a number.",
        ),
        (
            "strategy: combine\nobjectives: [{objective: balance, options: {no: 0.5}}]\n",
            UsageError,
            "an option of objective 'balance' reads as False: put its name in quotes.",
        ),
        (
            "strategy: combine\nobjectives: [{objective: diversity, options: {min_distance: x}}]\n",
            UsageError,
            "option 'min_distance' of objective 'diversity' is 'x': give a number or none.",
        ),
    ],
)
def test_a_wrong_file_is_refused(content, error, message, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(content)
    told = refused(error, str(path))
    assert told.startswith(message.format(path=repr(str(path))))


def test_a_missing_file_is_named():
    assert refused(UsageError, "nowhere.yaml").startswith(
        "there is no file 'nowhere.yaml': give the path of a strategy written as YAML, or a name: "
    )


# Terms


def test_terms_nest():
    assert parse("a(b(c=1)^2, margin >= 0.2, 'x y', 3)") == Term(
        "a",
        (
            Term("b", (), (("c", 1),), 2.0),
            Comparison(Term("margin"), ">=", 0.2),
            "x y",
            3,
        ),
    )
    assert written(parse("a(b(c=1)^2,margin>=0.2,'x y',3)")) == (
        'a(b(c=1)^2, margin >= 0.2, "x y", 3)'
    )


def test_a_spelled_strategy_selects():
    pool = Pool(np.array([[0], [1], [9], [5]], dtype=np.float32), labelled=[0])
    selection = get_strategy("coreset(metric=euclidean)").select(pool, 2, np.random.default_rng(0))
    assert selection.rows.tolist() == [2, 3]


def test_numbers_of_numpy_are_numbers():
    assert get_strategy("typiclust", max_clusters=np.int64(7)).max_clusters == 7
    assert type(get_strategy("probcover", purity=np.float32(0.5)).purity) is float
