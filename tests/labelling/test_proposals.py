"""Clusters of proposals, groups and similar items."""

import numpy as np

from embedpipe.labelling.proposals import Proposal, cluster_names, most_similar, sorted_by_group


def test_clusters_are_named_in_the_order_in_which_they_come():
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]], dtype=np.float32)
    assert cluster_names(vectors) == ["cluster 1", "cluster 2", "cluster 1", "cluster 2"]


def test_proposals_of_a_group_come_together():
    groups = ["hat", "shoe", "hat"]
    mixed = [Proposal(i, f"{i}.jpg", name, 0.5, name) for i, name in enumerate(groups)]
    assert [each.row for each in sorted_by_group(mixed)] == [0, 2, 1]


def test_the_most_similar_by_angle():
    vectors = np.array([[1, 0], [0, 1], [2, 1], [3, 0]], dtype=np.float32)
    assert most_similar(vectors, 0, 2).tolist() == [3, 2]
