"""Grids in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..active.oracle import Labelling
from ..active.problem import Problem
from ..embedding import EmbedOptions, embed
from ..errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from .._workspace import Workspace
    from ..embedding import Embeddings
    from .sources import Posing

__all__ = ["DatasetEntry", "GridFile", "Opener", "read_grid"]

OPTIONS = (
    "strategies",
    "initials",
    "heads",
    "modes",
    "seeds",
    "initial_size",
    "batch_size",
    "rounds",
    "baseline",
    "skip",
    "index",
    "upper_bound",
    "name",
)
"""Of `Experiment`, that a file may give as they are."""

KNOWN = ("datasets", "dataset", "backbones", "backbone", "embed", "labelling", *OPTIONS)

LISTS = ("strategies", "initials", "heads", "modes")


@dataclass(frozen=True)
class DatasetEntry:
    """A dataset as a grid file names it.

    Attributes
    ----------
    dataset, source, download, within
        As for `load_dataset`.
    name
        What it is called in the results; by default the dataset's own name.
    long_tailed
        If given, a version of it with this ratio between the largest and the smallest class.
    rare
        For some classes, how many of their items are left to choose from.
    """

    dataset: str
    source: str | None = None
    download: bool = False
    name: str | None = None
    long_tailed: float | None = None
    rare: Mapping[str, int] = field(default_factory=dict)
    within: str | None = None

    def version(self, embeddings: Embeddings, index: str) -> Embeddings | Posing:
        """Return the embeddings, or what thins them out for each seed."""
        if self.long_tailed is None and not self.rare:
            return embeddings
        return partial(_thinned, embeddings, index, self.long_tailed, dict(self.rare))


Opener = Callable[[DatasetEntry, str], "Embeddings"]
"""From a dataset and a backbone to embeddings."""


@dataclass(frozen=True)
class GridFile:
    """What a grid file says.

    Attributes
    ----------
    datasets, backbones
        Each dataset is embedded with each backbone.
    embed
        More options of `EmbedOptions`.
    options
        Of `Experiment`.
    names_backbones
        Whether the file names backbones, rather than leaving the default.
    """

    datasets: tuple[DatasetEntry, ...]
    backbones: tuple[str, ...]
    embed: Mapping[str, Any]
    options: Mapping[str, Any]
    names_backbones: bool = False

    def problems(
        self, opener: Opener, index: str = "exact"
    ) -> dict[tuple[str, str], Embeddings | Posing]:
        """Return what the grid runs on, by dataset and backbone."""
        found: dict[tuple[str, str], Embeddings | Posing] = {}
        for entry in self.datasets:
            for backbone in self.backbones:
                embeddings = opener(entry, backbone)
                name = entry.name or embeddings.dataset.name
                key = name, str(embeddings.spec.backbone["architecture"])
                if key in found:
                    raise UsageError(
                        f"two datasets are both called {name!r} (backbone {key[1]!r}): give one "
                        "of them another `name`."
                    )
                found[key] = entry.version(embeddings, index)
        return found

    def opener(self, workspace: Workspace) -> Opener:
        """Return what loads and embeds a dataset, without telling anyone."""
        from ..datasets import load_dataset

        def opened(entry: DatasetEntry, backbone: str) -> Embeddings:
            dataset = load_dataset(
                entry.dataset,
                source=entry.source,
                download=entry.download,
                directory=workspace.downloads,
                within=entry.within,
            )
            return embed(dataset, workspace=workspace, **{**self.embed, "backbone": backbone})

        return opened


def read_grid(path: str | Path) -> GridFile:
    """Read a grid file.

    Parameters
    ----------
    path
        A YAML file with ``dataset`` or ``datasets`` (names, folders, archives or manifests, or
        mappings with the keys of `DatasetEntry`), ``backbone`` or ``backbones``, ``embed`` (more
        options of `EmbedOptions`), ``labelling`` (options of `Labelling`), and the options of
        `Experiment`. Relative paths start at the file's folder.

    Raises
    ------
    UsageError
        If it cannot be read, or says something that has no meaning.

    Examples
    --------
    >>> lines = ["dataset: digits", "strategies: [margin, 'combine(margin^2, diversity)']"]
    >>> written = (tmp / "grid.yaml").write_text(chr(10).join([*lines, "seeds: 3"]))
    >>> grid = read_grid(tmp / "grid.yaml")
    >>> grid.datasets[0].dataset, grid.options["seeds"]
    ('digits', 3)
    """
    import yaml

    path = Path(path)
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(given, dict):
        raise UsageError(f"{path} must hold keys and values, such as `dataset: digits`.")
    _check_keys(given, KNOWN, "key of a grid", path)
    datasets = _one_or_several(given, "dataset", "datasets", path)
    if not datasets:
        raise UsageError(f"{path} names no dataset: give `dataset` or `datasets`.")
    options = {name: given[name] for name in OPTIONS if name in given}
    options |= {name: _listed(options[name]) for name in LISTS if name in options}
    if "labelling" in given:
        options["labelling"] = _made(Labelling, given["labelling"], "labelling", path)
    more = _mapping(given.get("embed", {}), "embed", path)
    known = [each.name for each in fields(EmbedOptions) if each.name != "backbone"]
    _check_keys(more, known, "option of `embed`", path)
    backbones = _one_or_several(given, "backbone", "backbones", path)
    return GridFile(
        datasets=tuple(_entry(each, path) for each in datasets),
        backbones=tuple(str(each) for each in backbones or [EmbedOptions().backbone]),
        embed=more,
        options=options,
        names_backbones=bool(backbones),
    )


def _thinned(
    embeddings: Embeddings, index: str, ratio: float | None, rare: dict[str, int], seed: int
) -> Problem:
    problem = Problem.of(embeddings, seed, index)
    if ratio is not None:
        problem = problem.long_tailed(ratio, seed)
    for label, count in rare.items():
        problem = problem.rare(label, count, seed)
    return problem


def _entry(given: Any, path: Path) -> DatasetEntry:
    entry = {"dataset": given} if isinstance(given, str) else _mapping(given, "a dataset", path)
    if "dataset" not in entry:
        raise UsageError(f"a dataset in {path} has no `dataset`: give its name or path.")
    entry = {**entry, "dataset": _beside(str(entry["dataset"]), path)}
    source = entry.get("source")
    if isinstance(source, str) and "://" not in source:
        entry["source"] = str(path.parent / source)
    if isinstance(entry.get("within"), str):
        entry["within"] = str(path.parent / entry["within"])
    made: DatasetEntry = _made(DatasetEntry, entry, "a dataset", path)
    return made


def _beside(dataset: str, path: Path) -> str:
    from ..datasets import datasets

    return dataset if dataset in datasets else str(path.parent / dataset)


def _made(kind: Any, given: Any, what: str, path: Path) -> Any:
    options = _mapping(given, what, path)
    _check_keys(options, [each.name for each in fields(kind)], f"option of {what}", path)
    return kind(**options)


def _mapping(given: Any, what: str, path: Path) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise UsageError(f"{what} in {path} is {given!r}: give keys and values.")
    return given


def _check_keys(given: Mapping[str, Any], known: Any, what: str, path: Path) -> None:
    for name in given:
        if name not in known:
            raise UnknownNameError(what, str(name), known, f"It is in {path}.")


def _one_or_several(given: Mapping[str, Any], one: str, several: str, path: Path) -> list[Any]:
    if one in given and several in given:
        raise UsageError(f"{path} has both `{one}` and `{several}`: give one of them.")
    return _listed(given.get(several, given.get(one, [])))


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [given]
