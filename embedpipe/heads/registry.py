"""The interface and the registry of heads."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import replace
from importlib import import_module
from typing import Any, Protocol, Self, runtime_checkable

from numpy.typing import ArrayLike, NDArray

from .._registry import Registry, if_imported
from .._specs import build, named_by, parse_spec
from ..errors import UnknownNameError, UsageError

HINT = (
    "Any scikit-learn classifier is a head too, by its module and class: "
    "'sklearn.ensemble:RandomForestClassifier(n_estimators=50)'."
)


@runtime_checkable
class Head(Protocol):
    """A classifier on embeddings: any scikit-learn classifier with ``predict_proba``.

    ``@heads.register("name")`` on a class registers it for commands, grids and files.
    `embedpipe.testing.check_head` checks the requirements:

    - `fit` accepts ``sample_weight``, and the constructor has a parameter ``class_weight``.
    - The head can be saved. Parameters are numbers, strings, booleans, None or a dict of these
      types. Fitted attributes have names that end in an underscore, and are of these types or
      arrays of numbers or strings.

    Optional attributes that the loops use:

    - ``partial_fit(X, y, classes=None, sample_weight=None)``: learns from further rows.
    - ``accepts_new_classes = True``: `partial_fit` accepts new labels in any call. Other heads
      receive all classes in the first call.
    - ``accepts_update_rule = True``: `partial_fit` accepts ``rule=``, an `UpdateRule`, which the
      continual-learning methods such as ``ewc`` need.
    - ``exact_on_streams = True``: `partial_fit` on batches, in any order, equals one `fit` to all
      rows.
    - ``ignores_row_order = True``: `fit` gives the same head to the last bit for any order of the
      rows, and depends only on the rows and the parameters.
    - ``uses_unlabelled = True``: `fit` accepts ``unlabelled=``, rows without labels. With
      ``reuses_unlabelled = True`` these can be `UnlabelledRows`, which cache their axes.
    - ``uses_prior = True``: `fit` accepts ``prior=``, a `ZeroShotPrior`.
    - ``warm_start``, a parameter: `fit` starts from the last solution.
    - ``posterior(X, n_samples, rng)``: draws of the fitted head; see `LogisticHead.posterior`.
    - ``layers()``: the head as affine `Layers`, or None. `embedpipe export-model` needs them.
    - ``features(X)`` and ``prior_precision``: inputs and prior of a linear last layer; see
      `LogisticHead.features`.
    - ``cv_accuracy_``, ``cv_ece_``, ``cv_n_``: accuracy and expected calibration error on held-out
      rows, and the number of these rows. None if no row is held out or cross-validation is slow.
    - ``held_out``: `HeldOutPredictions` of the labelled rows, from cross-validation in `fit`, or
      None. Loops cross-validate heads without this attribute.
    - ``temperature_``: fitted to held-out rows; probabilities are softmax(logits / temperature_).
    - ``loss_``: mean training loss without penalty.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> isinstance(GaussianNB().fit([[0.0], [1.0]], ["a", "b"]), Head)
    True
    """

    classes_: NDArray[Any]

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to (n, d) embeddings and their (n,) labels."""
        ...

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the (n,) most probable labels of (n, d) embeddings."""
        ...

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return (n, K) class probabilities, columns in the order of ``classes_``."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the constructor by name."""
        ...


class HeadRegistry(Registry[type[Any]]):
    """A registry of classes that are imported when they are used.

    Names and descriptions are available without importing scikit-learn. The key of an unregistered
    class is its module and name: ``heads["sklearn.tree:DecisionTreeClassifier"]``.

    Examples
    --------
    >>> registry = HeadRegistry("head")
    >>> registry.declare("tree", "sklearn.tree:DecisionTreeClassifier", "A decision tree.")
    >>> list(registry), registry.describe()
    (['tree'], {'tree': 'A decision tree.'})
    >>> registry["tree"].__name__
    'DecisionTreeClassifier'
    """

    def __init__(self, kind: str, group: str | None = None) -> None:
        super().__init__(kind, group)
        self._places: dict[str, str] = {}
        self._descriptions: dict[str, str] = {}

    def declare(self, name: str, place: str, description: str) -> None:
        """Register the class at `place`, ``"package.module:Class"``, without importing it."""
        if name in self._entries:
            raise UsageError(f"the {self.kind} {name!r} is registered already.")
        self._entries[name] = object  # keeps the order of registration
        self._places[name] = place
        self._descriptions[name] = description

    def __getitem__(self, name: str) -> type[Any]:
        if self._is_declared(name):
            module, _, attribute = self._places[name].partition(":")
            self._entries[name] = getattr(import_module(module), attribute)
        if name not in self:
            if ":" in name:
                return _class_at(name)
            raise UnknownNameError(self.kind, name, self, HINT)
        return super().__getitem__(name)

    def _is_declared(self, name: str) -> bool:
        """Return whether the entry is declared and not yet imported."""
        return self._entries.get(name) is object

    def _if_loaded(self, name: str) -> object:
        if self._is_declared(name):
            return if_imported(self._places[name])
        return super()._if_loaded(name)

    def describe(self) -> dict[str, str]:
        """Return a one-line description of each entry by name, without imports."""
        return {name: self._descriptions.get(name) or self._description(name) for name in self}

    def name_of(self, head: object) -> str:
        """Return the name under which the class of `head` is registered.

        Raises
        ------
        UsageError
            If the class is not registered.
        """
        name = self.name_for(type(head))
        if name is not None:
            return name
        kind = type(getattr(head, "estimator", head)).__name__  # a ForeignHead's classifier
        raise UsageError(
            f"{kind} is not a registered head and cannot be saved. "
            f"Registered heads: {', '.join(sorted(self))}."
        )


heads = named_by(HeadRegistry("head", "embedpipe.heads"))
heads.declare(
    "auto",
    "embedpipe.heads.auto:AutoHead",
    "Logistic regression that uses unlabelled rows where held-out labels show that this helps.",
)
heads.declare(
    "logistic",
    "embedpipe.heads.logistic:LogisticHead",
    "Multinomial logistic regression that chooses its own regularisation.",
)
heads.declare(
    "ridge",
    "embedpipe.heads.ridge:RidgeHead",
    "Ridge regression on one-hot labels; exact on streams; penalty chosen by leave-one-out.",
)
heads.declare(
    "random_projection_ridge",
    "embedpipe.heads.random_projection_ridge:RandomProjectionRidgeHead",
    "Ridge regression on random nonlinear features; exact on streams.",
)
heads.declare(
    "nearest_mean",
    "embedpipe.heads.nearest_mean:NearestMeanHead",
    "Nearest class mean; accurate with few labels and exact on streams.",
)
heads.declare(
    "slda",
    "embedpipe.heads.slda:SLDAHead",
    "Streaming linear discriminant analysis: class means and one shared covariance.",
)
heads.declare(
    "fecam",
    "embedpipe.heads.fecam:FeCAMHead",
    "Nearest class mean by Mahalanobis distance, with a covariance per class; exact on streams.",
)
heads.declare(
    "knn",
    "embedpipe.heads.knn:KNNHead",
    "Nearest neighbours, weighted by distance and found exactly by FAISS; exact on streams.",
)
heads.declare(
    "mlp",
    "embedpipe.heads.mlp:MLPHead",
    "A network with one hidden layer, with optional Monte Carlo dropout in prediction.",
)
heads.declare(
    "sgd",
    "embedpipe.heads.sgd:SGDHead",
    "Softmax regression trained by mini-batch gradient descent, as in continual-learning studies.",
)
heads.declare(
    "label_propagation",
    "embedpipe.heads.label_propagation:LabelPropagationHead",
    "Logistic regression that also learns from unlabelled rows (semi-supervised).",
)


def get_head(name: str, **options: Any) -> Any:
    """Return a new head from its spec string.

    A spec string is a name in `heads` with options: ``"mlp(hidden=64, dropout=0.2)"``. In place of
    the name it can have ``"package.module:Class"`` of any scikit-learn compatible classifier, which
    becomes a `ForeignHead`. Keyword arguments override the options of the spec string.

    Raises
    ------
    UnknownNameError
        If no head has this name, or the head has no parameter of a given name.
    UsageError
        If the spec string is invalid, or the class is not a classifier with `predict_proba`.

    Examples
    --------
    >>> get_head("ridge", alpha=10.0)
    RidgeHead(alpha=10.0)
    >>> get_head("slda(class_weight=balanced)")
    SLDAHead(class_weight='balanced')
    >>> get_head("sklearn.naive_bayes:GaussianNB(var_smoothing=1e-6)")
    ForeignHead(estimator=GaussianNB(var_smoothing=1e-06))
    """
    term = parse_spec(name, "head", heads)
    kept = tuple((key, value) for key, value in term.options if key not in options)
    head = build(heads, replace(term, options=kept), **options)
    if heads.name_for(type(head)) is not None:
        return head
    from .foreign import ForeignHead

    _check_classifier(term.name, head)
    return ForeignHead(head)


def _check_classifier(place: str, head: Any) -> None:
    from sklearn.base import is_classifier

    if not (hasattr(head, "fit") and hasattr(head, "get_params") and is_classifier(head)):
        raise UsageError(f"{place} is not a scikit-learn compatible classifier.")
    if not hasattr(head, "predict_proba"):
        remedy = (
            f"write {place}(probability=True)"
            if "probability" in head.get_params(deep=False)
            else "wrap it in scikit-learn's CalibratedClassifierCV, in Python"
        )
        raise UsageError(f"{place} gives no probabilities: {remedy}.")


def _class_at(place: str) -> type[Any]:
    """Import the class at ``"module:Class"``."""
    module, _, name = place.partition(":")
    try:
        loaded = import_module(module)
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot import {module!r} for the head {place!r}: {error}.") from None
    value = getattr(loaded, name, None)
    if value is None:
        classes = {key.lower(): key for key, kind in vars(loaded).items() if inspect.isclass(kind)}
        near = difflib.get_close_matches(name.lower(), classes, n=1)
        suggestion = f" Did you mean {classes[near[0]]!r}?" if near else ""
        raise UsageError(f"the module {module!r} has no class {name!r}.{suggestion}")
    if not inspect.isclass(value):
        raise UsageError(f"{place} is a {type(value).__name__}, not a class.")
    return value
