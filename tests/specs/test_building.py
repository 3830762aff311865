"""Spec strings of all four families: parsing, formatting, and errors."""

import inspect
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

import embedpipe as ep
from embedpipe import format_spec
from embedpipe._loops.runs import identity_of
from embedpipe._specs import Term, build
from embedpipe._specs.building import parameters_of
from embedpipe.continual import Policy, get_policy, policies
from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.heads import ForeignHead, KNNHead, MLPHead, RidgeHead, SLDAHead, get_head, heads
from embedpipe.strategies import Combine, Pool, Strategy, get_strategy, strategies
from embedpipe.strategies.objectives import (
    Balance,
    Diversity,
    EntropyObjective,
    MarginObjective,
    Metadata,
    Similarity,
    StaticObjective,
    Threshold,
    Typicality,
    objectives,
    read_objective,
)
from tests.processes import run

REGISTRIES = {"strategy": strategies, "head": heads, "policy": policies, "objective": objectives}
MAKERS = {
    "strategy": get_strategy,
    "head": get_head,
    "policy": get_policy,
    "objective": read_objective,
}
LACKING = {"metadata": "metadata(sharpness)", "threshold": "threshold(margin > 0.5)"}
"""Names that need arguments."""

EVERYTHING = [(kind, name) for kind, registry in REGISTRIES.items() for name in registry]

every_family = pytest.mark.parametrize("kind", list(REGISTRIES))


def options_of(thing):
    return thing.get_params() if hasattr(thing, "get_params") else vars(thing)


def refused(error, kind, spec, **options):
    with pytest.raises(error) as caught:
        MAKERS[kind](spec, **options)
    return str(caught.value)


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
        other: Any = (),
    ):
        self.ratio, self.count, self.label, self.quick = ratio, count, label, quick
        self.other = other

    def choose(self, pool, n, rng):
        raise NotImplementedError


class OddPolicy(Policy):
    """A policy with options of every kind."""

    name = "odd"
    __init__ = Odd.__init__

    def update(self, memory, seen, size, rng):
        raise NotImplementedError


class OddHead(ClassifierMixin, BaseEstimator):
    """A head with options of every kind."""

    def __init__(self, ratio=0.5, count=None, label="a", quick=False, other=()):
        self.ratio, self.count, self.label, self.quick = ratio, count, label, quick
        self.other = other

    def fit(self, X, y):
        raise NotImplementedError

    def predict_proba(self, X):
        raise NotImplementedError


@dataclass(frozen=True)
class OddObjective(StaticObjective):
    """An objective with options of every kind."""

    name: ClassVar[str] = "odd"

    ratio: float = 0.5
    count: int | None = None
    label: str | None = "a"
    quick: bool = False
    other: Any = ()

    def measure(self, pool):
        raise NotImplementedError


ODD = {"strategy": Odd, "head": OddHead, "policy": OddPolicy, "objective": OddObjective}


@contextmanager
def registered(kind, name, thing):
    REGISTRIES[kind].register(name)(thing)
    try:
        yield
    finally:
        del REGISTRIES[kind]._entries[name]


# Objects from spec strings


@pytest.mark.parametrize(("kind", "name"), EVERYTHING)
def test_everything_registered_has_a_spec_string(kind, name):
    spec = LACKING.get(name, name)
    made = MAKERS[kind](spec)
    assert type(made) is REGISTRIES[kind][name]
    assert identity_of(made) == identity_of(build(REGISTRIES[kind], spec))
    if name not in LACKING:
        assert format_spec(made) == name
        assert identity_of(MAKERS[kind](f" {name} ( ) ")) == identity_of(made)
    else:
        assert identity_of(MAKERS[kind](format_spec(made))) == identity_of(made)
    for parameter in inspect.signature(REGISTRIES[kind][name]).parameters.values():
        assert parameter.kind is not parameter.VAR_KEYWORD


@pytest.mark.parametrize(
    ("kind", "texts", "spec"),
    [
        (
            "strategy",
            ["coral(uncertainty=entropy)", "coral(uncertainty='entropy', block_size=None)"],
            "coral(uncertainty=entropy)",
        ),
        ("strategy", [" coreset ( block_size = 512 ) "], "coreset(block_size=512)"),
        ("head", [" slda ( class_weight = balanced ) "], "slda(class_weight='balanced')"),
        ("head", ["ridge(alpha=auto)", "ridge(alpha='auto', normalize=true)"], "ridge"),
        ("head", ["mlp(hidden=64, warm_start=TRUE)"], "mlp(hidden=64, warm_start=True)"),
        (
            "head",
            ["knn(class_weight={hat: 2.0})", 'knn(class_weight={"hat": 2.0})'],
            "knn(class_weight={'hat': 2.0})",
        ),
        (
            "head",
            [
                "sklearn.neighbors:KNeighborsClassifier(weights=distance, n_jobs=none)",
                "sklearn.neighbors:KNeighborsClassifier(weights='distance', n_jobs=None)",
            ],
            "sklearn.neighbors:KNeighborsClassifier(weights='distance')",
        ),
        ("head", ["embedpipe.heads.ridge:RidgeHead(alpha=3.0)"], "ridge(alpha=3.0)"),
        ("policy", ["el2n(take=easiest)", "el2n(take='easiest')"], "el2n(take=easiest)"),
        ("policy", ["biased_reservoir(alpha=1)"], "biased_reservoir(alpha=1.0)"),
        (
            "policy",
            ["biased_reservoir(alpha=3.0, scaled=True)"],
            "biased_reservoir(alpha=3.0, scaled=true)",
        ),
        ("policy", ["el2n(take=hardest, offset=0.1)"], "el2n(offset=0.1)"),
        (
            "objective",
            ["diversity(metric='euclidean')^2", "diversity(0.1, metric=euclidean)^2"],
            None,
        ),
        ("objective", ["typicality(7)", "typicality(neighbours=7)"], "typicality(neighbours=7)"),
        ("objective", ["metadata('odd name')^-1"], 'metadata("odd name")^-1'),
    ],
)
def test_quoted_and_unquoted_values_are_equal(kind, texts, spec):
    for text in texts:
        made = MAKERS[kind](text)
        written = format_spec(made)
        assert written == spec or spec is None
        assert options_of(MAKERS[kind](written)).keys() == options_of(made).keys()
        assert identity_of(MAKERS[kind](written)) == identity_of(made)


@every_family
def test_values_of_every_kind(kind):
    with registered(kind, "odd", ODD[kind]):
        make = MAKERS[kind]
        made = make(r'odd(ratio=-2e-3, count=-3, label="x \"y\", (z)", quick=true, other=[1, a])')
        assert (made.ratio, made.count, made.label) == (-0.002, -3, 'x "y", (z)')
        assert made.quick is True
        assert made.other == [1, "a"]
        made = make("odd(ratio=inf, label=none, count=None, other={a: (1, none)})")
        assert (made.ratio, made.label, made.count) == (float("inf"), None, None)
        assert made.other == {"a": (1, None)}
        assert make("odd(ratio=-inf)").ratio == -float("inf")


def test_integers_become_floats_except_in_heads():
    """The run identity of `ridge(alpha=2)` has an integer."""
    for kind in ("strategy", "policy", "objective"):
        with registered(kind, "odd", ODD[kind]):
            assert type(MAKERS[kind]("odd(ratio=2)").ratio) is float
    assert type(get_head("ridge(alpha=2)").alpha) is int


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@every_family
@settings(max_examples=60, deadline=None)
@given(
    options=st.fixed_dictionaries(
        {},
        optional={
            "ratio": st.floats(allow_nan=False),
            "count": st.none() | st.integers(),
            "label": st.none() | st.text() | st.sampled_from(["true", "None", "inf", "a-b", "1"]),
            "quick": st.booleans(),
            "other": values,
        },
    )
)
def test_everything_survives_its_spec_string(kind, options):
    with registered(kind, "odd", ODD[kind]):
        made = ODD[kind](**options)
        again = MAKERS[kind](format_spec(made))
        assert options_of(again) == options_of(made)
        assert identity_of(again) == identity_of(made)
        assert format_spec(again) == format_spec(made)


@pytest.mark.parametrize(
    ("head", "spec"),
    [
        (RidgeHead(), "ridge"),
        (RidgeHead(alpha=2.0), "ridge(alpha=2.0)"),
        (MLPHead(64, seed=3), "mlp(hidden=64, seed=3)"),
        (KNNHead(class_weight={"a": 2.0}), "knn(class_weight={'a': 2.0})"),
        (SLDAHead(class_weight="balanced"), "slda(class_weight='balanced')"),
        (GaussianNB(), "sklearn.naive_bayes:GaussianNB"),
        (
            KNeighborsClassifier(weights="distance"),
            "sklearn.neighbors:KNeighborsClassifier(weights='distance')",
        ),
        (RandomForestClassifier(50), "sklearn.ensemble:RandomForestClassifier(n_estimators=50)"),
        (
            RandomForestClassifier(class_weight={"a": float("inf")}),
            "sklearn.ensemble:RandomForestClassifier(class_weight={'a': 1e999})",
        ),
        (
            ForeignHead(LogisticRegression(C=np.inf)),
            "sklearn.linear_model:LogisticRegression(C=1e999)",
        ),
    ],
)
def test_values_of_heads_are_written_as_in_python(head, spec):
    assert format_spec(head) == spec
    again = get_head(spec)
    assert format_spec(again) == spec
    inner = head.estimator if isinstance(head, ForeignHead) else head
    made = again.estimator if isinstance(again, ForeignHead) else again
    assert made.get_params() == inner.get_params()


plain_text = st.text(min_size=1, max_size=8)
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
def test_a_combination_survives_its_spec_string(some, far, shares, limits):
    made = Combine([*limits, *some, *far, *shares])
    again = get_strategy(format_spec(made))
    assert again.objectives == made.objectives
    assert vars(again) == vars(made)
    assert identity_of(again) == identity_of(made)


def test_the_spec_string_of_a_combination():
    made = Combine(
        [
            "margin^1",
            Diversity(0.1, strength=2),
            Balance({"hat": 0.3, "t-shirt": 0.25, "2d": 0.1}, strength=0.5),
            Threshold("sharpness", ">", 10),
            Metadata("odd name"),
        ]
    )
    assert format_spec(made) == (
        'combine(margin, diversity(min_distance=0.1)^2, balance(hat=0.3, t-shirt=0.25, "2d"=0.1)'
        '^0.5, threshold(metadata(sharpness) > 10), metadata("odd name"))'
    )
    assert format_spec(Combine(["typicality", "diversity"])) == "combine"


def test_terms_are_written():
    assert format_spec(Term("margin", strength=2.0)) == "margin^2"


def test_the_registered_name_is_used():
    class Other(Odd):
        name = "called otherwise"

    with registered("strategy", "2nd best", Other):
        assert format_spec(Other(ratio=0.25)) == "2nd best(ratio=0.25)"
        assert get_strategy("2nd best(ratio=0.25)").ratio == 0.25
    assert format_spec(Other()) == "called otherwise"


class Hidden(Odd):
    def __init__(self, *, depth: int = 1):
        self._depth = depth


class Heavy(Odd):
    def __init__(self, *, weights=None):
        self.weights = weights


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        (
            Hidden(),
            "'odd' has no spec string: it does not keep its option 'depth' as an attribute.",
        ),
        (
            Heavy(weights=np.zeros(2)),
            "'odd' has no spec string: its option 'weights' is a ndarray, not a number, text, "
            "list or dict.",
        ),
        (
            Heavy(weights=float("nan")),
            "'odd' has no spec string: its option 'weights' is a float, not a number, text, "
            "list or dict.",
        ),
        (
            CalibratedClassifierCV(GaussianNB()),
            "'sklearn.calibration:CalibratedClassifierCV' has no spec string: its option "
            "'estimator' is a GaussianNB, not a number, text, list or dict.",
        ),
    ],
)
def test_objects_without_a_spec_string(thing, why):
    with pytest.raises(UsageError) as caught:
        format_spec(thing)
    assert str(caught.value) == why


def test_the_registered_name_needs_no_other_import():
    program = "from embedpipe.heads import SLDAHead; import embedpipe as ep; "
    program += "print(ep.format_spec(SLDAHead()))"
    assert run([sys.executable, "-c", program]).stdout == "slda\n"


def test_objects_without_a_spec_string_are_shown_by_name():
    class Forgetful(OddPolicy):
        name = "forgetful"

        def __init__(self, width=1.0):
            pass

    assert str(Forgetful()) == "forgetful"
    assert str(Hidden()) == "odd"


def test_the_old_names_still_work():
    old = [
        (ep, "head_spelling"),
        (ep.heads, "head_spelling"),
        (ep.strategies, "spelling_of"),
        (ep.continual, "policy_spelling"),
    ]
    for module, name in old:
        with pytest.warns(DeprecationWarning, match=f"`{name}` is now `format_spec`."):
            assert getattr(module, name) is format_spec
        assert name not in module.__all__


# Invalid spec strings


@every_family
def test_an_unknown_name_suggests_the_nearest(kind):
    name = {"strategy": "coral", "head": "ridge", "policy": "el2n", "objective": "margin"}[kind]
    message = refused(UnknownNameError, kind, f"{name}s(a=1)")
    assert message.startswith(f"unknown {kind} {name + 's'!r}. Did you mean {name!r}? Known: ")


def test_the_message_for_an_unknown_head():
    assert refused(UnknownNameError, "head", "rigde(alpha=1)").endswith(
        "Any scikit-learn classifier is a head too, by its module and class: "
        "'sklearn.ensemble:RandomForestClassifier(n_estimators=50)'."
    )


@every_family
def test_wrong_options_are_refused_in_the_same_words(kind):
    with registered(kind, "odd", ODD[kind]):
        known = "count, label, other, quick, ratio"
        known = known.replace("ratio", "ratio, strength") if kind == "objective" else known
        assert refused(UnknownNameError, kind, "odd(ration=1)") == (
            f"unknown option of {kind} 'odd' 'ration'. Did you mean 'ratio'? Known: {known}."
        )
        assert refused(UsageError, kind, "odd(count=") == (
            f"{kind} 'odd(count=' cannot be read: expected a value at the end."
        )
        if kind != "head":
            assert refused(UsageError, kind, "odd(count=much)") == (
                f"option 'count' of {kind} 'odd' is 'much': give a whole number or none."
            )
        if kind != "objective":
            assert refused(UsageError, kind, "odd(entropy)") == (
                f"{kind} 'odd' got 'entropy' without a name: write odd(option=value); its "
                f"options: {', '.join(parameters_of(ODD[kind]))}."
            )
            assert refused(UsageError, kind, "odd^2") == (
                f"{kind} 'odd' got the strength ^2: only objectives have a strength, as in "
                "combine(margin^2, diversity)."
            )
        if kind in ("strategy", "policy"):
            assert refused(UsageError, kind, "odd(count=1)", count=2) == (
                f"{kind} 'odd' got 'count' twice: give it once."
            )


def test_options_beside_the_text():
    assert get_strategy("coral(uncertainty=entropy)", block_size=3).block_size == 3
    assert str(get_policy("el2n(take=hardest)", offset=0.1)) == "el2n(offset=0.1)"
    assert get_head("ridge(alpha=2.0, normalize=False)", alpha=3.0).get_params() == (
        RidgeHead(alpha=3.0, normalize=False).get_params()
    )


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
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
            "strategy 'random' has no options, but got 'seed': leave it out.",
        ),
        (
            "coral(entropy)",
            UsageError,
            "strategy 'coral' got 'entropy' without a name: write coral(option=value); its "
            "options: uncertainty, metric, block_size.",
        ),
        (
            "coral^2",
            UsageError,
            "strategy 'coral' got the strength ^2: only objectives have a strength, as in "
            "combine(margin^2, diversity).",
        ),
        (
            "combine(margin)^2",
            UsageError,
            "strategy 'combine' got the strength ^2: only its objectives have a strength, as in "
            "combine(margin^2, diversity).",
        ),
    ],
)
def test_wrong_names_and_options_are_refused(spec, error, message):
    assert refused(error, "strategy", spec).startswith(message)


def test_an_option_given_in_both_ways_is_refused():
    assert refused(UsageError, "strategy", "coral(block_size=1)", block_size=2) == (
        "strategy 'coral' got 'block_size' twice: give it once."
    )
    assert refused(UsageError, "strategy", "combine(margin)", objectives=["entropy"]) == (
        "objectives are given both in brackets and as an option: give them once."
    )


def test_types_imported_only_for_type_checkers_are_ignored():
    class Loose(Odd):
        def __init__(self, *, depth: "Unheard" = 1):  # noqa: F821
            self.depth = depth

    with registered("strategy", "loose", Loose):
        assert get_strategy("loose(depth=deep)").depth == "deep"


def test_an_option_without_a_default_must_be_given():
    class Every(Odd):
        def __init__(self, step: int):
            self.step = step

    with registered("strategy", "every", Every):
        assert refused(UsageError, "strategy", "every") == (
            "strategy 'every' needs the option 'step': give step=..."
        )
        assert get_strategy("every(step=2)").step == 2
    assert refused(UsageError, "strategy", "combine(metadata, diversity)") == (
        "objective 'metadata' needs the option 'column': give column=..."
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "mlp(hiden=64)",
            "unknown option of head 'mlp' 'hiden'. Did you mean 'hidden'? Known: ",
        ),
        (
            "mlp(64)",
            "head 'mlp' got '64' without a name: write mlp(option=value); its options: ",
        ),
        (
            "mlp(hidden=64) or 1",
            "head 'mlp(hidden=64) or 1' cannot be read: expected the end at character 16, found "
            "'or'.",
        ),
        (
            "sklearn.svn:SVC",
            "cannot import 'sklearn.svn' for the head 'sklearn.svn:SVC': "
            "No module named 'sklearn.svn'.",
        ),
        (
            "sklearn.naive_bayes:GausianNB",
            "the module 'sklearn.naive_bayes' has no class 'GausianNB'. Did you mean 'GaussianNB'?",
        ),
        ("sklearn.svm:l1_min_c", "sklearn.svm:l1_min_c is a function, not a class."),
        (
            "sklearn.linear_model:Ridge",
            "sklearn.linear_model:Ridge is not a scikit-learn compatible classifier.",
        ),
        ("json:JSONDecoder", "json:JSONDecoder is not a scikit-learn compatible classifier."),
        (
            "sklearn.svm:LinearSVC",
            "sklearn.svm:LinearSVC gives no probabilities: wrap it in scikit-learn's "
            "CalibratedClassifierCV, in Python.",
        ),
        (
            "sklearn.ensemble:VotingClassifier",
            "VotingClassifier cannot be made without arguments: "
            "VotingClassifier.__init__() missing 1 required positional argument: 'estimators'.",
        ),
    ],
)
def test_heads_that_are_refused(spec, message):
    assert refused(UsageError, "head", spec).startswith(message)


def test_a_strategy_of_a_spec_string_selects():
    pool = Pool(np.array([[0], [1], [9], [5]], dtype=np.float32), labelled=[0])
    selection = get_strategy("coreset(metric=euclidean)").select(pool, 2, np.random.default_rng(0))
    assert selection.rows.tolist() == [2, 3]


def test_numbers_of_numpy_are_numbers():
    assert get_strategy("typiclust", max_clusters=np.int64(7)).max_clusters == 7
    assert type(get_strategy("probcover", purity=np.float32(0.5)).purity) is float
