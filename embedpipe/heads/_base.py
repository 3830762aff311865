"""What every head can do, and the registry that names heads without loading them."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, Self, runtime_checkable

from numpy.typing import ArrayLike, NDArray

from .._registry import Registry
from ..errors import UsageError


@runtime_checkable
class Head(Protocol):
    """A classifier on embeddings: any scikit-learn classifier with ``predict_proba`` is one.

    A *registered* head can also be saved. For that its parameters are numbers, strings,
    booleans or None, and every fitted attribute whose name ends in an underscore is one of
    these, a numeric array, or an array of strings.

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

    Names and descriptions are known without importing scikit-learn.

    Examples
    --------
    >>> registry = HeadRegistry("head")
    >>> registry.declare("tree", "sklearn.tree:DecisionTreeClassifier", "A decision tree.")
    >>> list(registry), registry.describe()
    (['tree'], {'tree': 'A decision tree.'})
    >>> registry["tree"].__name__
    'DecisionTreeClassifier'
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self._places: dict[str, str] = {}
        self._descriptions: dict[str, str] = {}

    def declare(self, name: str, place: str, description: str) -> None:
        """File the class at `place`, ``"package.module:Class"``, without importing it."""
        if name in self:
            raise UsageError(f"the {self.kind} {name!r} is registered already.")
        self._entries[name] = object  # holds the place in the order until it is loaded
        self._places[name] = place
        self._descriptions[name] = description

    def __getitem__(self, name: str) -> type[Any]:
        if name in self._places:
            module, _, attribute = self._places[name].partition(":")
            self._entries[name] = getattr(import_module(module), attribute)
            del self._places[name]
        return super().__getitem__(name)

    def describe(self) -> dict[str, str]:
        """Return a line on each entry by name, importing none."""
        return {**super().describe(), **self._descriptions}

    def name_of(self, head: object) -> str:
        """Return the name under which the class of `head` is registered.

        Raises
        ------
        UsageError
            If it is not registered.
        """
        for name in self:
            if self[name] is type(head):
                return name
        raise UsageError(
            f"a {type(head).__name__} is not a registered head, so a file could not name it. "
            f"Registered: {', '.join(sorted(self))}."
        )


heads = HeadRegistry("head")
heads.declare(
    "logistic",
    "embedpipe.heads.logistic:LogisticHead",
    "Multinomial logistic regression that chooses its own regularisation.",
)


def get_head(name: str, **options: Any) -> Any:
    """Make the registered head `name`.

    Parameters
    ----------
    name
        One of `heads`.
    **options
        The head's own parameters.

    Returns
    -------
    Head
        A fresh, unfitted classifier.

    Raises
    ------
    UnknownNameError
        If there is no such head.
    UsageError
        If it has no such parameter.

    Examples
    --------
    >>> get_head("logistic", C=10.0)
    LogisticHead(C=10.0)
    """
    head = heads[name]()
    known = head.get_params()
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageError(
            f"the head {name!r} has no parameter {unknown[0]!r}. "
            f"It has: {', '.join(sorted(known))}."
        )
    return head.set_params(**options)
