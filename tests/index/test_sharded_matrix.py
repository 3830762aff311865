import pickle

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.errors import UsageError
from embedpipe.index import ShardedMatrix


def saved(folder, *parts):
    paths = []
    for number, part in enumerate(parts):
        paths.append(folder / f"{number}.npy")
        np.save(paths[-1], part)
    return paths


def test_rows_are_those_of_the_joined_files(tmp_path):
    whole = np.arange(40, dtype=np.float32).reshape(20, 2)
    matrix = ShardedMatrix(saved(tmp_path, whole[:3], whole[3:3], whole[3:12], whole[12:]))
    assert matrix.shape == (20, 2)
    assert matrix.starts.tolist() == [0, 3, 3, 12, 20]
    for rows in ([19, 0, 3, 2, 12, 11], [4, 5, 6], [2, 3], [7], []):
        assert matrix[rows].tolist() == whole[rows].tolist()
    assert matrix[1:15:2].tolist() == whole[1:15:2].tolist()
    again = pickle.loads(pickle.dumps(matrix))
    assert again[[13, 1]].tolist() == whole[[13, 1]].tolist()


def test_rows_are_chosen_as_from_an_array(tmp_path):
    whole = np.arange(12, dtype=np.float32).reshape(6, 2)
    matrix = ShardedMatrix(saved(tmp_path, whole[:4], whole[4:]))
    mask = np.array([False, False, True, False, True, False])
    for rows in (mask, mask.tolist(), 3, np.int32(5), -1, [-1, 0], slice(None, None, -2)):
        assert matrix[rows].tolist() == whole[rows].tolist()
    assert [row.tolist() for row in matrix] == whole.tolist()
    assert matrix.take(np.array([-6, 5])).tolist() == whole[[-6, 5]].tolist()
    for rows in (6, [0, 6], -7, mask[:5]):
        with pytest.raises(IndexError):
            matrix[rows]
    for rows in ([1.7], 1.0, "0", [[0, 1]], True, None, (slice(3), 0)):
        with pytest.raises(TypeError, match="are a slice, a mask, a number or numbers"):
            matrix[rows]


def test_consecutive_rows_of_a_file_are_not_copied(tmp_path):
    matrix = ShardedMatrix(saved(tmp_path, np.zeros((5, 2), np.float32)))
    assert np.may_share_memory(matrix[[1, 2, 3]], matrix[[0, 1, 2, 3, 4]])


def test_it_never_becomes_one_array(tmp_path):
    matrix = ShardedMatrix(saved(tmp_path, np.zeros((5, 2), np.float32)))
    with pytest.raises(TypeError, match="take rows from it"):
        np.asarray(matrix)


def test_unusable_files_are_refused(tmp_path):
    good = saved(tmp_path, np.zeros((5, 2), np.float32))
    with pytest.raises(UsageError, match="must be a list"):
        ShardedMatrix(good[0])
    with pytest.raises(UsageError, match=r"cannot read the shard .*: No such file"):
        ShardedMatrix([tmp_path / "none.npy"])
    np.save(tmp_path / "wide.npy", np.zeros((5, 3), np.float32))
    with pytest.raises(UsageError, match=r"different lengths: \[2, 3\]"):
        ShardedMatrix([*good, tmp_path / "wide.npy"])
    np.save(tmp_path / "double.npy", np.zeros((5, 2)))
    with pytest.raises(UsageError, match="not a two-dimensional float32 array"):
        ShardedMatrix([tmp_path / "double.npy"])


def test_a_row_with_nan_is_named_by_its_number_in_all_files(tmp_path):
    parts = [np.zeros((5, 2), np.float32), np.zeros((5, 2), np.float32)]
    parts[1][3, 0] = np.nan
    with pytest.raises(ep.errors.SelectionError, match="row 8 of the embeddings"):
        ep.select(ShardedMatrix(saved(tmp_path, *parts)), 2, "coreset")


def test_a_target_may_lie_in_several_files(tmp_path):
    whole = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    target = ShardedMatrix(saved(tmp_path, whole[:5], whole[5:10]))
    ours = ep.select(whole[10:], 4, "max_herding", target=target)
    assert (
        ours.rows.tolist()
        == ep.select(whole[10:], 4, "max_herding", target=whole[:10]).rows.tolist()
    )


def test_only_files_can_be_given_to_a_cluster(tmp_path):
    with pytest.raises(UsageError, match="needs the embeddings of a dataset or a ShardedMatrix"):
        ep.select(np.zeros((5, 2), np.float32), 2, executor="ray")
    with pytest.raises(UsageError, match="unknown executor 'cloud': use local or ray"):
        ep.select(np.zeros((5, 2), np.float32), 2, executor="cloud")
