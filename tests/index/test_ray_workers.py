import sys

import numpy as np
import pytest

import embedpipe as ep
from embedpipe._registry import import_extensions
from embedpipe.errors import RunError
from embedpipe.index import ShardedMatrix, ray_workers

ray = pytest.importorskip("ray", reason="needs Ray")

pytestmark = pytest.mark.slow


HEAD = """
import numpy as np
from sklearn.base import BaseEstimator
class NearestMean(BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means = np.stack([X[y == each].mean(0) for each in self.classes_])
        return self
    def predict_proba(self, X):
        away = np.exp(-((X[:, None] - self.means) ** 2).sum(2))
        return away / away.sum(1, keepdims=True)
"""
KNOWN = {"labelled": [0, 450, 899], "labels": ["a", "b", "a"]}


@pytest.fixture(scope="module")
def cluster():
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=100_000_000,
    )
    yield
    ray.shutdown()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("strategy", ["coreset", "margin"])
def test_picks_on_a_cluster_are_those_of_one_array(cluster, tmp_path, strategy):
    vectors = np.random.default_rng(0).standard_normal((9000, 8)).astype(np.float32)
    for number, part in enumerate(np.array_split(vectors, 3)):
        np.save(tmp_path / f"{number}.npy", part)
    matrix = ShardedMatrix(sorted(tmp_path.iterdir()))
    known = {"labelled": [0, 4500, 8999], "labels": ["a", "b", "a"]}
    ours = ep.select(matrix, 20, strategy, executor="ray", **known)
    plain = ep.select(vectors, 20, strategy, **known)
    assert ours.rows.tolist() == plain.rows.tolist()
    assert ours.scores.tolist() == plain.scores.tolist()


@pytest.fixture
def matrix(tmp_path):
    np.save(tmp_path / "0.npy", np.random.default_rng(0).standard_normal((900, 4), np.float32))
    return ShardedMatrix([tmp_path / "0.npy"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source", ["notebook", "file"])
def test_a_head_from_a_notebook_or_a_file_is_sent(cluster, tmp_path, matrix, source):
    if source == "file":
        path = tmp_path / "heads_of_a_user.py"
        path.write_text(f"{HEAD}\nimport embedpipe as ep\n")
        import_extensions([str(path)])
        (module,) = [
            m for m in list(sys.modules.values()) if getattr(m, "__file__", "") == str(path)
        ]
        kind = module.NearestMean
    else:
        scope = {"__name__": "__main__"}
        exec(HEAD, scope)
        kind = scope["NearestMean"]
    head = kind().fit(matrix[KNOWN["labelled"]], np.array(KNOWN["labels"]))
    ours = ep.select(matrix, 5, "margin", head=head, executor="ray", **KNOWN)
    plain = ep.select(matrix, 5, "margin", head=head, **KNOWN)
    assert ours.rows.tolist() == plain.rows.tolist()


@pytest.mark.filterwarnings("ignore")
def test_busy_processors_are_left_out_or_end_the_wait(cluster, matrix, monkeypatch):
    class Busy:
        def ready(self):
            return True

    kind = ray.remote(num_cpus=1)(Busy)
    actors = [kind.remote()]
    ray.get(actors[0].ready.remote())
    ours = ep.select(matrix, 5, "coreset", executor="ray")
    assert ours.rows.tolist() == ep.select(matrix, 5, "coreset").rows.tolist()
    actors.append(kind.remote())
    ray.get(actors[1].ready.remote())
    monkeypatch.setattr(ray_workers, "START_SECONDS", 1)
    with pytest.raises(
        RunError, match="1 of 1 workers were not ready within 1 s: each needs 1 CPU"
    ):
        ep.select(matrix, 5, "coreset", executor="ray")
    for actor in actors:
        ray.kill(actor)
