"""The seed of a run is passed to every random part; an explicit seed is kept."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

import embedpipe as ep
from embedpipe._loops.fitting import run_head
from embedpipe._seeds import random_parameters, seeded
from embedpipe.errors import UsageError
from embedpipe.heads import get_head, heads
from embedpipe.labels import LabelLog
from embedpipe.strategies import strategies

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)

RANDOM = {
    "mlp": "mlp(hidden=16, epochs=4)",
    "random_projection_ridge": "random_projection_ridge(features=40)",
    "label_propagation": "label_propagation(max_unlabelled=30)",
    "forest": "sklearn.ensemble:RandomForestClassifier(n_estimators=5)",
    "network": "sklearn.neural_network:MLPClassifier(hidden_layer_sizes=[8], solver='lbfgs')",
    "tree": "sklearn.tree:ExtraTreeClassifier(max_depth=4)",
    "sgd": "sklearn.linear_model:SGDClassifier(loss='log_loss')",
}
"""A fast spec of each random head."""

OWN = {
    "mlp": "seed", "random_projection_ridge": "seed", "label_propagation": "seed",
    "forest": "random_state", "network": "random_state", "tree": "random_state",
    "sgd": "random_state",
}  # fmt: skip


def loop(head, seed, **options):
    given = {"initial": "coreset", "strategy": "margin", "initial_size": 30, "update_size": 20}
    return ep.ActiveLoop.from_arrays(
        X[:300], Y[:300], X[300:400], Y[300:400], head=head, seed=seed, advice="cheap",
        **{**given, **options},
    )  # fmt: skip


def probabilities(head, seed, **options):
    """Return the probabilities of the head after a run without other random parts."""
    return loop(head, seed, **options).fit(rounds=1).predict_proba(X[400:500])


def test_every_registered_head_with_a_seed_is_tested():
    drawing = {name for name in heads if random_parameters(get_head(name))}
    assert drawing == {name for name in RANDOM if name in heads}


@pytest.mark.parametrize("name", list(RANDOM))
def test_the_seed_is_passed_to_a_random_head(name):
    found = [probabilities(RANDOM[name], seed) for seed in (0, 1, 2)]
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[2])
    assert np.array_equal(found[1], probabilities(RANDOM[name], 1))
    assert loop(RANDOM[name], 0).run_id() != loop(RANDOM[name], 1).run_id()


@pytest.mark.parametrize("name", list(RANDOM))
def test_a_seed_in_the_spec_string_is_kept(name):
    spec = f"{RANDOM[name][:-1]}, {OWN[name]}=7)"
    first, second = (probabilities(spec, seed) for seed in (0, 1))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, probabilities(RANDOM[name], 0))


@pytest.mark.parametrize("name", sorted(set(heads) - set(RANDOM)))
def test_deterministic_heads_are_the_same_for_every_seed(name):
    assert np.array_equal(probabilities(name, 0), probabilities(name, 1))


@pytest.mark.parametrize("mode", ["half_cumulative", "incremental", "replay"])
def test_the_seed_is_passed_to_the_heads_of_every_mode(mode):
    first, second = (probabilities(RANDOM["mlp"], seed, mode=mode) for seed in (0, 1))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, probabilities(RANDOM["mlp"], 0, mode=mode))


def test_monte_carlo_dropout_depends_on_the_seed():
    head = get_head("mlp(hidden=16, epochs=4, stochastic_pred=True)").fit(X[:50], Y[:50])
    first = head.predict_proba(X[:20])
    assert np.array_equal(first, head.set_params(seed=0).predict_proba(X[:20]))
    assert not np.array_equal(first, head.set_params(seed=1).predict_proba(X[:20]))


def test_nested_estimators_and_splitters_receive_the_seed():
    folds = StratifiedKFold(3, shuffle=True)
    nested = CalibratedClassifierCV(make_pipeline(DecisionTreeClassifier()), cv=folds)
    found = seeded(nested, 5)
    assert found.estimator[0].random_state == 5
    assert found.cv.random_state == 5
    assert nested.estimator[0].random_state is None
    assert folds.random_state is None
    kept = seeded(CalibratedClassifierCV(DecisionTreeClassifier(random_state=3), cv=4), 5)
    assert kept.estimator.random_state == 3
    assert kept.cv == 4
    assert seeded(CalibratedClassifierCV(cv=StratifiedKFold(3)), 5).cv.random_state is None
    assert repr(seeded(GaussianNB(), 5)) == repr(GaussianNB())


def test_a_seed_beyond_the_range_of_libraries_is_reduced():
    assert seeded(LogisticRegression(), 2**32 + 4).random_state == 4


@pytest.mark.parametrize("seed", [-1, 1.5, True, "3", None])
def test_an_invalid_seed_is_refused_everywhere(seed):
    message = f"^seed must be a whole number, at least 0; got {seed!r}.$".replace(".", r"\.")
    with pytest.raises(UsageError, match=message):
        run_head("logistic", seed)
    with pytest.raises(UsageError, match=message):
        loop("logistic", seed)
    with pytest.raises(UsageError, match=message):
        ep.select(X, 3, seed=seed)


def test_the_runs_of_a_grid_differ_by_seed(tmp_path):
    problem = loop("logistic", 0).problem
    grid = ep.Experiment(
        problem, strategies=["margin"], initials=["coreset"], heads=[RANDOM["mlp"], "ridge"],
        seeds=4, pool_share=1, initial_size=30, batch_size=20, rounds=1, workspace=tmp_path,
    )  # fmt: skip
    results = grid.run(workers=0)
    curves = {}
    for row in results.table.to_pylist():
        if row["strategy"] == "margin":
            curves.setdefault((row["head"], row["seed"]), []).append(row["ece"])
    assert len({tuple(curves[RANDOM["mlp"], seed]) for seed in range(4)}) == 4
    assert len({tuple(curves["ridge", seed]) for seed in range(4)}) == 1
    bounds = {
        (row["head"], row["seed"]): row["accuracy"] for row in results.upper_baselines.to_pylist()
    }
    assert len({bounds[RANDOM["mlp"], seed] for seed in range(4)}) > 1
    assert len({bounds["ridge", seed] for seed in range(4)}) == 1


def test_select_passes_the_seed_to_the_head():
    def picks(seed, head=RANDOM["forest"]):
        rows = np.arange(0, 200, 5)
        chosen = ep.select(
            X[:300], 15, "margin", labelled=rows, labels=Y[rows], head=head, seed=seed
        )
        return chosen.rows.tolist()

    assert picks(0) == picks(0)
    assert picks(0) != picks(1)
    forest = RandomForestClassifier(n_estimators=5, random_state=3)
    assert picks(0, forest) == picks(1, forest)


WITHOUT_CHANCE = {
    "auto", "combine", "coral", "coreset", "coreset_robust", "doubtful_coverage", "entropy",
    "facility_location", "galaxy", "least_confidence", "logdet_bald", "margin", "max_herding",
    "probcover", "uncertainty_herding",
}  # fmt: skip
"""Deterministic strategies; any other depends on the seed."""


@pytest.mark.parametrize("name", list(strategies))
def test_the_seed_is_passed_to_every_random_strategy(name):
    rows = np.random.default_rng(1).permutation(600)[:40]

    def picks(seed):
        chosen = ep.select(X[:600], 15, name, labelled=rows, labels=Y[rows], seed=seed)
        return tuple(chosen.rows.tolist())

    found = {picks(seed) for seed in (0, 1, 2)}
    assert (len(found) == 1) == (name in WITHOUT_CHANCE)
    assert picks(2) == picks(2)


def test_the_members_of_a_committee_of_networks_are_random():
    rows = np.arange(0, 200, 5)
    qbc = "query_by_committee(members=2)"

    def picks(seed):
        head = "mlp(hidden=16, epochs=4)"
        chosen = ep.select(X[:300], 15, qbc, labelled=rows, labels=Y[rows], head=head, seed=seed)
        return chosen.rows.tolist()

    assert picks(0) == picks(0)
    assert picks(0) != picks(1)


def test_streams_pass_the_seed_to_the_head(tmp_path):
    stream = ep.Stream.from_arrays(X[:300], Y[:300], np.repeat([0, 1, 2], 100))

    def matrix(seed, head=RANDOM["mlp"]):
        return ep.ContinualLoop(stream, head=head, method="naive", seed=seed).fit().matrix

    assert np.array_equal(matrix(1), matrix(1))
    assert not np.array_equal(matrix(0), matrix(1))
    kept = f"{RANDOM['mlp'][:-1]}, seed=7)"
    assert np.array_equal(matrix(0, kept), matrix(1, kept))
    study = ep.ReplayStudy(
        stream, policies=["random"], heads=[RANDOM["mlp"]], retains=[0.1],
        reference_methods=["joint"], seeds=3, workspace=tmp_path,
    )  # fmt: skip
    found = study.run(workers=0).metrics.to_pylist()
    joint = {row["gem_accuracy"] for row in found if row["method"] == "joint"}
    assert len(joint) == 3


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    workspace = tmp_path_factory.mktemp("seeds")
    return ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=workspace)


def test_train_passes_the_seed_to_the_head(digits):
    labels = {item.id: item.label for item in digits.items[400:460]}

    def found(seed, head="mlp(hidden=8, epochs=2)"):
        fitted, _ = ep.train(digits, labels, head=head, seed=seed)
        return fitted.predict_proba(digits.matrix[:50])

    assert np.array_equal(found(0), found(0))
    assert not np.array_equal(found(0), found(1))
    assert np.array_equal(found(0, "mlp(hidden=8, epochs=2, seed=4)"), found(4))


def test_a_labelling_session_passes_the_seed_to_the_head(digits, tmp_path):
    def confidence(seed):
        with LabelLog(tmp_path / f"{seed}.sqlite") as log:
            session = ep.LabellingSession(
                digits, log, head="mlp(hidden=8, epochs=2)", seed=seed, who="me"
            )
            for row in range(400, 430):
                session.label([row], digits.items[row].label)
            model = session.retrain()
            assert model.name == "mlp(epochs=2, hidden=8)-30"  # without the session's seed
            return model.confidence

    assert not np.array_equal(confidence(0), confidence(1))


def test_a_resumed_run_with_a_random_head_equals_the_uninterrupted_one(tmp_path):
    def make(folder):
        return loop("mlp(hidden=8, epochs=2)", 3, mode="incremental", workspace=tmp_path / folder)

    whole = make("whole")
    rows = [record.rows.tolist() for record in whole.run(rounds=3)]
    list(make("parts").run(rounds=1))
    resumed = make("parts")
    assert [record.rows.tolist() for record in resumed.run(rounds=3)] == rows
    assert np.array_equal(resumed.predict_proba(X[400:500]), whole.predict_proba(X[400:500]))
