"""What a model file contains beside the head: the spec and the options of the embeddings."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from .._options import RAY_OPTIONS, EmbedOptions
from ..backbones import Backbone
from ..cache import Spec
from ..embedding import Embeddings
from ..embedding.imports import options_for_model
from ..embedding.parts import spec_of
from ..errors import DamagedFileError, UsageError
from ..heads import load_head
from .exported import DESCRIPTION

__all__ = ["ModelFile", "metadata_of"]

NOT_STORED = (
    *RAY_OPTIONS,
    "precision",
    "runtime",
    "retry_failed",
    "require_cached",
    "vectors",
)
"""Options that a model file does not store: the spec has them, or they do not change vectors."""

STORED = tuple(each.name for each in fields(EmbedOptions) if each.name not in NOT_STORED)

Options = TypeVar("Options", bound=EmbedOptions)


def metadata_of(embeddings: Embeddings, trained_on: Iterable[bytes]) -> dict[str, Any]:
    """Return the metadata of a model file; `trained_on` are the content ids of the labelled items.

    The metadata contain everything that is needed to compute the same vectors of other images.
    """
    options = embeddings.options
    return {
        "spec_id": embeddings.spec.id,
        "spec": embeddings.spec.to_json(),
        "dataset": embeddings.dataset.name,
        "trained_on": sorted(content_id.hex() for content_id in trained_on),
        "embed": None if options is None else _stored(options),
    }


def _stored(options: EmbedOptions) -> dict[str, Any]:
    stored = {name: getattr(options, name) for name in STORED}
    if isinstance(options.backbone, Backbone):
        stored["backbone"] = options.backbone.name
    if options.weights is not None:
        stored["weights"] = str(Path(options.weights).expanduser().absolute())
    return stored


@dataclass(frozen=True)
class ModelFile:
    """A file that `train` wrote: the head, and the embeddings that it was trained on.

    Attributes
    ----------
    path
        Path of the file.
    head
        The fitted head.
    metadata
        The metadata of `metadata_of`.
    """

    path: Path
    head: Any
    metadata: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> ModelFile:
        """Read a model file; see `load_head` for the errors."""
        if (Path(path) / DESCRIPTION).is_file():
            raise UsageError(f"{path} is an exported folder: give the model file of `train`.")
        return cls(Path(path), *load_head(path))

    @property
    def spec(self) -> Spec:
        """The spec of the embeddings that the head was trained on."""
        if "spec" not in self.metadata:
            raise DamagedFileError(
                f"{self.path} contains a head without the spec of its embeddings. Train the model "
                "with `embedpipe train` or `ep.train`."
            )
        return Spec.from_json(self.metadata["spec"])

    @property
    def trained_on(self) -> set[bytes]:
        """The content ids of the labelled items."""
        return {bytes.fromhex(text) for text in self.metadata["trained_on"]}

    def embed_options(self, options: Options, given: Container[str] = ()) -> Options:
        """Return `options` with the backbone, the preprocessing and the precision of the model.

        Options whose names are in `given` are not changed; they must fit the model. A given
        backbone replaces all options of the model.

        Raises
        ------
        UsageError
            If the options lead to vectors of another spec.
        """
        imported = options_for_model(options, self.spec, self.path)
        if imported is not None:  # no image is encoded; the store has the vectors
            return imported
        stored = self.metadata.get("embed") or {}
        if "backbone" not in given:
            kept = {key: stored[key] for key in STORED if key in stored and key not in given}
            options = replace(options, **kept)
        if options.precision == "auto":
            options = replace(options, precision=self.spec.precision)
        self.check_spec(spec_of(options))
        return options

    def check_spec(self, spec: Spec) -> None:
        """Raise an error unless the model was trained on embeddings of this spec."""
        if self.metadata.get("spec_id") != spec.id:
            raise UsageError(
                f"{self.path} was trained with another backbone or precision (spec "
                f"{str(self.metadata.get('spec_id'))[:12]}; these images have {spec.id[:12]}): use "
                "the same --backbone and --precision as for training."
            )
