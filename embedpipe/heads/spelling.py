"""Heads as text: a registered name or where a class is, with options in parentheses."""

from __future__ import annotations

import ast
import difflib
import inspect
from importlib import import_module
from typing import Any

from ..errors import UnknownNameError, UsageError
from ._base import heads

HINT = (
    "Any scikit-learn classifier is a head too, by where it is: "
    "'sklearn.ensemble:RandomForestClassifier(n_estimators=50)'."
)


def get_head(name: str, **options: Any) -> Any:
    """Make a head from its name.

    Parameters
    ----------
    name
        One of `heads`, such as ``"ridge"``; or ``"package.module:Class"`` for any classifier in
        the manner of scikit-learn, which is imported and put into a `ForeignHead`. Either may be
        followed by options, as Python writes them: ``"mlp(hidden=64, dropout=0.2)"``.
    **options
        Further parameters, which win over those in the text.

    Returns
    -------
    Head
        A fresh, unfitted classifier.

    Raises
    ------
    UnknownNameError
        If there is no such head.
    UsageError
        If the text cannot be read, there is no such class, it is not a classifier with
        `predict_proba`, or it has no such parameter.

    Examples
    --------
    >>> get_head("ridge", alpha=10.0)
    RidgeHead(alpha=10.0)
    >>> get_head("knn(n_neighbors=3)")
    KNNHead(n_neighbors=3)
    >>> get_head("sklearn.naive_bayes:GaussianNB(var_smoothing=1e-6)")
    ForeignHead(estimator=GaussianNB(var_smoothing=1e-06))
    """
    base, written = _parsed(name)
    options = {**written, **options}
    if ":" in base:
        return _imported(base, options)
    if base not in heads:
        raise UnknownNameError("head", base, heads, HINT)
    return _made(heads[base], f"the head {base!r}", options)


def head_spelling(head: Any) -> str:
    """Return the text from which `get_head` makes an unfitted copy of a head.

    Only parameters that differ from their defaults are in it.

    Parameters
    ----------
    head
        A registered head, a classifier in the manner of scikit-learn, or a `ForeignHead` of one.

    Raises
    ------
    UsageError
        If a parameter is no plain value, such as another estimator.

    Examples
    --------
    >>> from embedpipe.heads import RidgeHead
    >>> head_spelling(RidgeHead(alpha=10.0)), head_spelling(RidgeHead())
    ('ridge(alpha=10.0)', 'ridge')
    >>> head_spelling(get_head("sklearn.tree:DecisionTreeClassifier(max_depth=3)"))
    'sklearn.tree:DecisionTreeClassifier(max_depth=3)'
    """
    from .foreign import ForeignHead

    inner = head.estimator if isinstance(head, ForeignHead) else head
    registered = [name for name in heads if heads[name] is type(inner)]
    base = registered[0] if registered else _place_of(type(inner))
    defaults = type(inner)().get_params(deep=False)
    given = inner.get_params(deep=False)
    changed = {name: value for name, value in given.items() if not _same(value, defaults[name])}
    if not changed:
        return base
    return f"{base}({', '.join(f'{k}={_literal(base, k, v)}' for k, v in changed.items())})"


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    """Split ``"name(option=value, ...)"``."""
    base, bracket, rest = text.strip().partition("(")
    base = base.strip()
    if not bracket:
        return base, {}
    try:
        call = ast.parse(f"_({rest}", mode="eval").body
    except SyntaxError:
        call = None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise UsageError(
            f"cannot read the head {text!r}: write options as in 'mlp(hidden=64, dropout=0.2)'."
        )
    if call.args:
        raise UsageError(
            f"the head {text!r} has an option without a name, {ast.unparse(call.args[0])}: "
            "write name=value."
        )
    return base, {keyword.arg or "**": _value(text, keyword) for keyword in call.keywords}


def _value(text: str, keyword: ast.keyword) -> Any:
    try:
        return ast.literal_eval(keyword.value)
    except ValueError:
        raise UsageError(
            f"the head {text!r} has an option that is no plain value, "
            f"{ast.unparse(keyword)}: give a number, a text, True, False, None, "
            "or a list or dict of these. In Python a head may be given as an object instead."
        ) from None


def _imported(place: str, options: dict[str, Any]) -> Any:
    """Return the classifier at ``"module:Class"``; ours as they are, others in a `ForeignHead`."""
    found = _class_at(place)
    head = _made(found, place, options)
    if any(heads[name] is found for name in heads):
        return head
    from sklearn.base import is_classifier

    if not (hasattr(head, "fit") and is_classifier(head)):
        raise UsageError(f"{place} is not a classifier in the manner of scikit-learn.")
    if not hasattr(head, "predict_proba"):
        way = (
            f"write {place}(probability=True)"
            if "probability" in head.get_params(deep=False)
            else "wrap it in scikit-learn's CalibratedClassifierCV, in Python"
        )
        raise UsageError(f"{place} gives no probabilities: {way}.")
    from .foreign import ForeignHead

    return ForeignHead(head)


def _class_at(place: str) -> type[Any]:
    module, _, name = place.partition(":")
    try:
        loaded = import_module(module)
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot import {module!r} for the head {place!r}: {error}.") from None
    found = getattr(loaded, name, None)
    if found is None:
        classes = [key for key, value in vars(loaded).items() if inspect.isclass(value)]
        raise UsageError(f"the module {module!r} has no class {name!r}.{_meant(name, classes)}")
    if not inspect.isclass(found):
        raise UsageError(f"{place} is a {type(found).__name__}, not a class.")
    return found


def _made(cls: type[Any], called: str, options: dict[str, Any]) -> Any:
    """Return an instance of a class with parameters that it has."""
    try:
        head = cls()
    except TypeError as error:
        raise UsageError(f"{called} cannot be made without arguments: {error}.") from None
    if not hasattr(head, "get_params"):
        raise UsageError(f"{called} is not a classifier in the manner of scikit-learn.")
    known = head.get_params(deep=False)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageError(
            f"{called} has no parameter {unknown[0]!r}.{_meant(unknown[0], known)} "
            f"It has: {', '.join(sorted(known))}."
        )
    return head.set_params(**options)


def _meant(name: str, known: Any) -> str:
    folded = {entry.lower(): entry for entry in known}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""


def _place_of(cls: type[Any]) -> str:
    """Return ``"module:Class"``, by the nearest module without an underscore that has the class."""
    parts = cls.__module__.split(".")
    for length in range(1, len(parts) + 1):
        module = ".".join(parts[:length])
        private = any(part.startswith("_") for part in parts[:length])
        if not private and getattr(import_module(module), cls.__name__, None) is cls:
            return f"{module}:{cls.__name__}"
    return f"{cls.__module__}:{cls.__qualname__}"


def _same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    return type(value) is type(default) and bool(value == default)


def _literal(base: str, name: str, value: Any) -> str:
    value = value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value
    text = "1e999" if value == float("inf") else repr(value)
    try:
        same = bool(ast.literal_eval(text) == value)
    except (ValueError, SyntaxError):
        same = False
    if not same:
        raise UsageError(
            f"{base} cannot be written as text: its parameter {name} is a {type(value).__name__}."
        )
    return text
