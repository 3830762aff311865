"""The contract of heads, and their registry, which names heads without loading them."""

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
    """A classifier on embeddings: any scikit-learn classifier with ``predict_proba`` is one.

    ``heads.register("name")`` on a class makes it a *registered* head, which commands, grids and
    files know by that name. `embedpipe.testing.check_head` checks what is required:

    - `fit` takes ``sample_weight``, and there is a parameter ``class_weight``.
    - The head can be saved: parameters are numbers, strings, booleans, None or a dict of these;
      fitted attributes, with names that end in an underscore, are these or arrays of numbers or of
      strings.

    The loops look for optional abilities by these names, on any head:

    - ``partial_fit(X, y, classes=None, sample_weight=None)``: learns further rows.
    - ``accepts_new_classes = True``: `partial_fit` accepts labels that no call before had. Other
      heads are told all classes in the first call.
    - ``exact_on_streams = True``: after any `partial_fit` the head is that of one `fit` to all
      rows, for any order and any parts.
    - ``ignores_row_order = True``: `fit` gives the same head to the last bit for any order of the
      rows, and depends on nothing but these and the parameters.
    - ``uses_unlabelled = True``: `fit` takes ``unlabelled=``, rows without labels.
    - ``warm_start``, a parameter: `fit` begins at the solution of the fit before.
    - ``posterior(X, n_samples, rng)``: draws of the fitted head, see `LogisticHead.posterior`.
    - ``features(X)`` and ``prior_precision``: a linear last layer, see `LogisticHead.features`.
    - ``cv_accuracy_``, ``cv_ece_``, ``cv_n_``: accuracy and calibration error on labelled rows
      held out, and their number; None where that is not cheap.
    - ``temperature_``: what logits were divided by. ``loss_``: mean training loss without penalty.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> isinstance(GaussianNB().fit([[0.0], [1.0]], ["a", "b"]), Head)
    True
    """

    classes_: NDArray[Any]

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from (n, d) embeddings and their (n,) labels."""
        ...

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the (n,) most probable labels of (n, d) embeddings."""
        ...

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return (n, K) probabilities, columns in the order of ``classes_``."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters by name."""
        ...


class HeadRegistry(Registry[type[Any]]):
    """A registry whose entries may be declared by where they are, and loaded when asked for.

    Names and descriptions are known without importing scikit-learn. Any class is found by its
    module and name too: ``heads["sklearn.tree:DecisionTreeClassifier"]``.

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
        """File the class at `place`, ``"package.module:Class"``, without importing it."""
        if name in self._entries:
            raise UsageError(f"the {self.kind} {name!r} is registered already.")
        self._entries[name] = object  # holds the place in the order until it is loaded
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
        """Whether the entry is known by its place only."""
        return self._entries.get(name) is object

    def _if_loaded(self, name: str) -> object:
        if self._is_declared(name):
            return if_imported(self._places[name])
        return super()._if_loaded(name)

    def describe(self) -> dict[str, str]:
        """Return a line on each entry by name, importing none."""
        return {name: self._descriptions.get(name) or self._description(name) for name in self}

    def name_of(self, head: object) -> str:
        """Return the name under which the class of `head` is registered.

        Raises
        ------
        UsageError
            If it is not registered.
        """
        name = self.name_for(type(head))
        if name is not None:
            return name
        called = type(getattr(head, "estimator", head)).__name__  # what a `ForeignHead` holds
        raise UsageError(
            f"a {called} is not a registered head, so a file could not name it. "
            f"Registered: {', '.join(sorted(self))}."
        )


heads = named_by(HeadRegistry("head", "embedpipe.heads"))
heads.declare(
    "logistic",
    "embedpipe.heads.logistic:LogisticHead",
    "Multinomial logistic regression that chooses its own regularisation.",
)
heads.declare(
    "ridge",
    "embedpipe.heads.ridge:RidgeHead",
    "Ridge regression on one-hot labels, exact on streams, its strength by leave-one-out.",
)
heads.declare(
    "random_projection_ridge",
    "embedpipe.heads.random_projection_ridge:RandomProjectionRidgeHead",
    "Ridge regression on random features of the rows: bends where `ridge` is straight.",
)
heads.declare(
    "nearest_mean",
    "embedpipe.heads.nearest_mean:NearestMeanHead",
    "The class whose mean is nearest: hard to beat with a few labels, and exact on streams.",
)
heads.declare(
    "slda",
    "embedpipe.heads.slda:SLDAHead",
    "Streaming linear discriminant analysis: class means and one shared covariance.",
)
heads.declare(
    "fecam",
    "embedpipe.heads.fecam:FeCAMHead",
    "The class whose mean is nearest, in units of how each class spreads; exact on streams.",
)
heads.declare(
    "knn",
    "embedpipe.heads.knn:KNNHead",
    "The labels of the nearest labelled rows, found exactly by FAISS.",
)
heads.declare(
    "mlp",
    "embedpipe.heads.mlp:MLPHead",
    "A network with one hidden layer and dropout, which can be kept on when predicting.",
)
heads.declare(
    "label_propagation",
    "embedpipe.heads.label_propagation:LabelPropagationHead",
    "Logistic regression whose labels propagate to unlabelled rows, cluster by cluster.",
)


def get_head(name: str, **options: Any) -> Any:
    """Make a head from its spec string.

    Parameters
    ----------
    name
        One of `heads`, such as ``"ridge"``; or ``"package.module:Class"`` for any classifier in
        the manner of scikit-learn, which is imported and put into a `ForeignHead`. Either may be
        followed by options: ``"mlp(hidden=64, dropout=0.2)"``.
    **options
        Further parameters, which win over those in the text.

    Returns
    -------
    Head
        A new, unfitted classifier.

    Raises
    ------
    UnknownNameError
        If there is no such head, or it has no such parameter.
    UsageError
        If the text cannot be read, there is no such class, or it is not a classifier with
        `predict_proba`.

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
        raise UsageError(f"{place} is not a classifier in the manner of scikit-learn.")
    if not hasattr(head, "predict_proba"):
        way = (
            f"write {place}(probability=True)"
            if "probability" in head.get_params(deep=False)
            else "wrap it in scikit-learn's CalibratedClassifierCV, in Python"
        )
        raise UsageError(f"{place} gives no probabilities: {way}.")


def _class_at(place: str) -> type[Any]:
    """Import the class at ``"module:Class"``."""
    module, _, name = place.partition(":")
    try:
        loaded = import_module(module)
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot import {module!r} for the head {place!r}: {error}.") from None
    found = getattr(loaded, name, None)
    if found is None:
        classes = {key.lower(): key for key, kind in vars(loaded).items() if inspect.isclass(kind)}
        near = difflib.get_close_matches(name.lower(), classes, n=1)
        meant = f" Did you mean {classes[near[0]]!r}?" if near else ""
        raise UsageError(f"the module {module!r} has no class {name!r}.{meant}")
    if not inspect.isclass(found):
        raise UsageError(f"{place} is a {type(found).__name__}, not a class.")
    return found
