"""A head: classes as spheres of one size."""

import numpy as np

from embedpipe.heads import SimpleHead


class SpheresHead(SimpleHead):
    """Classes as normal clouds of one variance in all directions."""

    def learn(self, rows, codes, weights):
        members = weights[:, None] * (codes[:, None] == np.arange(len(self.classes_)))  # (m, K)
        self.means_ = members.T @ rows / members.sum(axis=0)[:, None]  # (K, d)
        self.priors_ = np.log(members.sum(axis=0) / members.sum())  # (K,)
        away = np.square(rows - self.means_[codes]).sum(axis=1)  # (m,)
        self.variance_ = float(away @ weights / weights.sum() / rows.shape[1]) + 1e-3

    def logits(self, rows):  # (b, d) to (b, K)
        away = np.square(rows[:, None] - self.means_).sum(axis=2)
        return self.priors_ - away / (2 * self.variance_)
