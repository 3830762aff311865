"""Methods that change the training steps of a head: penalties, distillation and rehearsal."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._loops.fitting import Batch
from .._specs import check_above, check_count, check_number
from ..errors import UnknownNameError, UsageError
from ..heads import UpdateRule
from .learner import Learner
from .method import Method, kind_of, methods
from .penalties import Consolidation, Distillation, SynapticConsolidation
from .rehearsal import DarkExperience, GradientProjection

__all__ = ["AGEM", "DER", "EWC", "EWC_MODES", "SI", "LwF", "TrainedMethod"]

EWC_MODES = ("separate", "online")
"""*separate*: one penalty for each earlier experience. *online*: one penalty in all."""


class TrainedMethod(Method):
    """A method whose head learns an experience by an `UpdateRule`.

    A subclass has a `name` and the method `rule`.
    """

    @abstractmethod
    def rule(self, learner: Learner, head: Any, kept: Batch) -> UpdateRule:
        """Return the rule for an experience; `head` is None in the first."""

    def learn(self, learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
        """Train on the new rows by the rule."""
        return learner.train(head, batches[-1], self.rule(learner, head, kept))

    def check_head(self, head: Any) -> None:
        """Refuse a head without update rules."""
        if not getattr(head, "accepts_update_rule", False):
            raise UsageError(
                f"method {self.name} changes the training steps of a head, and {kind_of(head)} is "
                "not trained in such steps: use the head sgd."
            )


@methods.register("ewc")
class EWC(TrainedMethod):
    """Elastic weight consolidation: a penalty on changes of important weights.

    After each experience, the importance F of every weight is the mean over mini-batches of the
    squared gradient of the log-loss. The penalty is ``strength * sum(F * (weights - anchor)²)``,
    where the anchor is the weights after that experience.

    Parameters
    ----------
    strength
        Weight of the penalty.
    mode
        ``"separate"``: the sum of the penalties of all earlier experiences. ``"online"``: one
        penalty around the last weights, whose importance is the sum of all, with older ones
        multiplied by `decay`.
    decay
        Factor of the older importance in each experience, with ``"online"``.
    importance_batch
        Rows of a mini-batch for the importance; None is the batch size of the head. With 1, the
        importance is the diagonal of the empirical Fisher information, as in the paper.

    References
    ----------
    Kirkpatrick et al. (2017), "Overcoming catastrophic forgetting in neural networks",
    arXiv:1612.00796. Schwarz et al. (2018), "Progress & compress", arXiv:1805.06370 (online).
    """

    name: ClassVar[str] = "ewc"

    def __init__(
        self,
        *,
        strength: float = 100.0,
        mode: str = "separate",
        decay: float = 0.9,
        importance_batch: int | None = None,
    ) -> None:
        check_number("strength", strength, least=0)
        check_number("decay", decay, least=0, most=1)
        if mode not in EWC_MODES:
            raise UnknownNameError("mode of ewc", str(mode), EWC_MODES)
        if importance_batch is not None:
            check_count("importance_batch", importance_batch)
        self.strength, self.mode, self.decay = float(strength), mode, float(decay)
        self.importance_batch = importance_batch

    def rule(self, learner: Learner, head: Any, kept: Batch) -> UpdateRule:
        """Return the penalty."""
        decay = self.decay if self.mode == "online" else None
        return Consolidation(self.strength, decay, self.importance_batch)


@methods.register("si")
class SI(TrainedMethod):
    """Synaptic intelligence: a penalty on changes of weights that lowered the loss.

    The importance w of a weight is its part of the decrease of the loss along the training,
    divided by its squared change plus `damping`. The penalty is
    ``strength / 2 * sum(w * (weights - anchor)²)`` around the last weights.

    Parameters
    ----------
    strength
        Weight of the penalty.
    damping
        Number added to the squared change.
    limit
        Maximum importance of a weight.

    References
    ----------
    Zenke, Poole, Ganguli (2017), "Continual learning through synaptic intelligence",
    arXiv:1703.04200. Maltoni, Lomonaco (2019), "Continuous learning in single-incremental-task
    scenarios", arXiv:1806.08568 (the limit).
    """

    name: ClassVar[str] = "si"

    def __init__(
        self, *, strength: float = 100.0, damping: float = 1e-7, limit: float = 1e-3
    ) -> None:
        check_number("strength", strength, least=0)
        self.strength = float(strength)
        self.damping = float(check_above("damping", damping))
        self.limit = float(check_above("limit", limit))

    def rule(self, learner: Learner, head: Any, kept: Batch) -> UpdateRule:
        """Return the penalty."""
        return SynapticConsolidation(self.strength, self.damping, self.limit)


@methods.register("lwf")
class LwF(TrainedMethod):
    """Learning without forgetting: the last head's predictions of the new rows are kept.

    The loss has the additional term ``alpha * KL(earlier, current)``, the mean Kullback-Leibler
    divergence between the probabilities of the classes learned before.

    Parameters
    ----------
    alpha
        Weight of the term.
    temperature
        Divisor of the logits in the term.

    References
    ----------
    Li, Hoiem (2016), "Learning without forgetting", arXiv:1606.09282.
    """

    name: ClassVar[str] = "lwf"

    def __init__(self, *, alpha: float = 1.0, temperature: float = 2.0) -> None:
        check_number("alpha", alpha, least=0)
        self.alpha = float(alpha)
        self.temperature = float(check_above("temperature", temperature))

    def rule(self, learner: Learner, head: Any, kept: Batch) -> UpdateRule:
        """Return the distillation."""
        return Distillation(self.alpha, self.temperature)


@methods.register("der")
class DER(TrainedMethod):
    """Dark experience replay (DER++): keeps labels and logits of the rows of the buffer.

    Every step adds `batch_size` rows of the buffer, or all of a smaller one. The loss is the
    log-loss of the new rows, plus `alpha` times the mean squared difference of the buffer's logits
    from those right after their experience, plus `beta` times the log-loss of the buffer.

    Parameters
    ----------
    alpha
        Weight of the logits.
    beta
        Weight of the labels; 0 is DER.

    Notes
    -----
    In the paper, the logits are those of the step in which a row enters the buffer.

    References
    ----------
    Buzzega et al. (2020), "Dark experience for general continual learning", arXiv:2004.07211.
    """

    name: ClassVar[str] = "der"
    replays: ClassVar[bool] = True

    def __init__(self, *, alpha: float = 0.1, beta: float = 0.5) -> None:
        check_number("alpha", alpha, least=0)
        check_number("beta", beta, least=0)
        self.alpha, self.beta = float(alpha), float(beta)

    def rule(self, learner: Learner, head: Any, kept: Batch) -> UpdateRule:
        """Return the rule with the logits of the buffer."""
        logits = _stored_logits(head, kept)
        return DarkExperience(
            learner.vectors(kept), kept.labels, logits, alpha=self.alpha, beta=self.beta
        )

    def learn(self, learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
        """Train on the new rows, and store the logits of rows that can be in the next buffer."""
        new, old = batches[-1], _stored_logits(head, kept)
        head = super().learn(learner, head, batches, kept)
        logits = head.logits(learner.vectors(new))  # (b, K)
        head.rule_rows_ = np.concatenate([kept.rows, new.rows])
        head.rule_logits_ = np.concatenate([old.reshape(-1, logits.shape[1]), logits])
        return head


def _stored_logits(head: Any, kept: Batch) -> NDArray[np.float32]:
    """Return the (m, K) logits of the rows of the buffer."""
    if not kept.rows.size:
        return np.empty((0, 0), dtype=np.float32)
    order = np.argsort(head.rule_rows_)
    at = order[np.searchsorted(head.rule_rows_[order], kept.rows)]
    stored: NDArray[np.float32] = head.rule_logits_[at]
    return stored


@methods.register("agem")
class AGEM(TrainedMethod):
    """Averaged gradient episodic memory: no step may raise the loss on the buffer.

    If the gradient of a step opposes the gradient on a sample of the buffer, the opposing part is
    removed.

    Parameters
    ----------
    sample_size
        Number of rows of the buffer in each step.

    References
    ----------
    Chaudhry et al. (2019), "Efficient lifelong learning with A-GEM", arXiv:1812.00420.
    """

    name: ClassVar[str] = "agem"
    replays: ClassVar[bool] = True

    def __init__(self, *, sample_size: int = 64) -> None:
        self.sample_size = check_count("sample_size", sample_size)

    def rule(self, learner: Learner, head: Any, kept: Batch) -> UpdateRule:
        """Return the projection."""
        return GradientProjection(learner.vectors(kept), kept.labels, self.sample_size)
