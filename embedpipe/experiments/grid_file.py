"""Grid files: YAML files that describe an experiment."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._options import (
    DatasetOptions,
    EmbedOptions,
    ExperimentFields,
    ImbalanceOptions,
    OracleOptions,
)
from ..embedding import embed
from ..errors import UnknownNameError, UsageError
from .problems import ImbalancedEmbeddings, TargetFactory

if TYPE_CHECKING:
    from .._workspace import Workspace
    from ..embedding import Embeddings

__all__ = ["DatasetEntry", "GridOptions", "Opener", "read_grid"]

EXPERIMENT = [each.name for each in fields(ExperimentFields)]
LISTS = ("strategies", "initials", "heads", "modes")
KNOWN = ("datasets", "dataset", "backbones", "backbone", "embed", *EXPERIMENT)
OLD_KEYS = {"upper_bound": "upper_baseline"}


@dataclass(frozen=True)
class DatasetEntry(DatasetOptions, ImbalanceOptions):
    """A dataset of a grid, with options to make it imbalanced."""

    name: str | None = None
    """Name in the results; by default the dataset's own name."""

    def version(self, embeddings: Embeddings) -> Embeddings | ImbalancedEmbeddings:
        """Return the embeddings, with the options of an imbalanced dataset if there are any."""
        if self.long_tailed is None and not self.rare:
            return embeddings
        return ImbalancedEmbeddings(embeddings, self.long_tailed, tuple(self.rare.items()))


Opener = Callable[[DatasetEntry, str], "Embeddings"]
"""Function from a dataset and a backbone to embeddings."""


@dataclass(frozen=True)
class GridOptions:
    """An experiment with its datasets and backbones, from a grid file or `embedpipe compare`."""

    datasets: Sequence[DatasetEntry]
    experiment: ExperimentFields = field(default_factory=ExperimentFields)
    embed: EmbedOptions = field(default_factory=EmbedOptions)
    backbones: Sequence[str] = ()
    """Backbones for every dataset; if empty, the backbone of `embed`."""
    given: Collection[str] = ()
    """The keys that are present in the file."""

    def problems(self, opener: Opener) -> dict[tuple[str, str], Embeddings | ImbalancedEmbeddings]:
        """Return the problems of the grid, by dataset and backbone."""
        found: dict[tuple[str, str], Embeddings | ImbalancedEmbeddings] = {}
        for entry in self.datasets:
            for backbone in self.backbones or [self.embed.backbone]:
                embeddings = opener(entry, backbone)
                name = entry.name or embeddings.dataset.name
                key = name, str(embeddings.spec.backbone["architecture"])
                if key in found:
                    raise UsageError(
                        f"two datasets have the name {name!r} (backbone {key[1]!r}): give one of "
                        "them another `name`."
                    )
                found[key] = entry.version(embeddings)
        return found

    def target(self, opener: Opener) -> TargetFactory | None:
        """Return a function from the embeddings of a dataset to the target; None without one."""
        given = self.experiment.target
        if given is None:
            return None

        def target_of(embeddings: Embeddings) -> Any:
            if any(item.split == given for item in embeddings.items):
                return given
            options = embeddings.options or self.embed
            return opener(DatasetEntry(given), options.backbone)

        return target_of

    def opener(self, workspace: Workspace) -> Opener:
        """Return a function that loads and embeds a dataset without progress output."""
        from ..datasets import load_dataset

        def opened(entry: DatasetEntry, backbone: str) -> Embeddings:
            dataset = load_dataset(
                entry.dataset,
                source=entry.source,
                download=entry.download,
                directory=workspace.downloads,
                within=entry.within,
                folder_labels=entry.folder_labels,
                every=entry.every,
            )
            options = replace(self.embed, backbone=backbone)
            return embed(dataset, workspace=workspace, options=options)

        return opened


def read_grid(path: str | Path) -> GridOptions:
    """Read a grid file; relative paths start at the folder of the file.

    The file may have these keys:

    - ``dataset`` or ``datasets``: names, paths, or mappings with the fields of `DatasetEntry`,
    - ``backbone`` or ``backbones``: names,
    - ``embed``: a mapping with the fields of `EmbedOptions` except ``backbone``,
    - ``labelling``: a mapping with the fields of `OracleOptions`,
    - the other options of `Experiment`.
    """
    import yaml

    path = Path(path)
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(given, dict):
        raise UsageError(f"{path} must hold keys and values, such as `dataset: digits`.")
    for old in OLD_KEYS.keys() & given.keys():
        new = OLD_KEYS[old]
        warnings.warn(f"{path}: `{old}` is now `{new}`.", DeprecationWarning, stacklevel=2)
        given[new] = given.pop(old)
    _check_keys(given, KNOWN, "key of a grid", path)
    datasets = _one_or_several(given, "dataset", "datasets", path)
    if not datasets:
        raise UsageError(f"{path} has no dataset: give `dataset` or `datasets`.")
    options = {name: given[name] for name in EXPERIMENT if name in given}
    options |= {name: _listed(options[name]) for name in LISTS if name in options}
    if "target" in options and (path.parent / str(options["target"])).exists():
        options["target"] = str(path.parent / str(options["target"]))
    if "labelling" in given:
        options["labelling"] = _options_from(OracleOptions, given["labelling"], "labelling", path)
    embedding = _mapping(given.get("embed", {}), "embed", path)
    known = [each.name for each in fields(EmbedOptions) if each.name != "backbone"]
    _check_keys(embedding, known, "option of `embed`", path)
    if "vectors" in embedding:
        embedding = {**embedding, "vectors": str(path.parent / str(embedding["vectors"]))}
    backbones = _one_or_several(given, "backbone", "backbones", path)
    return GridOptions(
        datasets=tuple(_entry(each, path) for each in datasets),
        experiment=ExperimentFields(**options),
        embed=EmbedOptions(**embedding),
        backbones=tuple(map(str, backbones)),
        given=frozenset(given),
    )


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
    options: DatasetEntry = _options_from(DatasetEntry, entry, "a dataset", path)
    return options


def _beside(dataset: str, path: Path) -> str:
    from ..datasets import datasets

    return dataset if dataset in datasets else str(path.parent / dataset)


def _options_from(kind: Any, given: Any, what: str, path: Path) -> Any:
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
            raise UnknownNameError(what, str(name), known, f"The key is in {path}.")


def _one_or_several(given: Mapping[str, Any], one: str, several: str, path: Path) -> list[Any]:
    if one in given and several in given:
        raise UsageError(f"{path} has both `{one}` and `{several}`: give one of them.")
    return _listed(given.get(several, given.get(one, [])))


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [given]
