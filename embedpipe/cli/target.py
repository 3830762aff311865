"""The option ``--target``: a split of the dataset, or another dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._options import DatasetOptions
from .._urls import is_url, public_word
from ..errors import UnknownNameError
from .options import Embed
from .session import Session

if TYPE_CHECKING:
    from ..active import Target
    from ..embedding import Embeddings

__all__ = ["target_facts", "target_of", "transductive", "with_spec_of"]


def target_of(
    session: Session, embeddings: Embeddings, given: str | None, embed_options: Embed
) -> Target | None:
    """Return the target of the option; None without the option.

    A split of the dataset has priority over a folder or a dataset of the same name.
    """
    from ..active import Target
    from ..datasets import datasets

    if given is None:
        return None
    splits = sorted({item.split for item in embeddings.items if item.split})
    if given in splits:
        target = Target.of(given, embeddings)
        origin = f"the split {given}"
    else:
        if given not in datasets and not is_url(given) and not Path(given).exists():
            known = f"its splits are {', '.join(splits)}" if splits else "it has no splits"
            raise UnknownNameError(
                "target",
                given,
                splits,
                fault=f"--target {given}: {embeddings.dataset.name!r} has no such split ({known}), "
                "and there is no folder, archive or dataset of this name.",
            )
        other = session.embed(DatasetOptions(given), with_spec_of(embeddings, embed_options))
        target = Target.of(other, embeddings)
        origin = public_word(given)
    noun = "image" if len(target) == 1 else "images"
    session.remark(f"target: {len(target):,} {noun} of {origin}")
    return target


def with_spec_of(embeddings: Embeddings, embed_options: Embed) -> Embed:
    """Return the options that embed another dataset like `embeddings`."""
    backbone = embed_options.backbone if embeddings.options is None else embeddings.options.backbone
    return replace(embed_options, backbone=backbone, precision=embeddings.spec.precision)


def target_facts(target: Target | None, test_images: int | None = None) -> dict[str, Any]:
    """Return the target for JSON, with the number of its test images; empty without a target."""
    if target is None:
        return {}
    tested = {} if test_images is None else {"test_images": test_images}
    return {"target": {"name": target.name, "items": len(target), **tested}}


def transductive(target: Target | None, test_images: int) -> list[str]:
    """Return the line of a result whose accuracy is measured on images of the target."""
    if target is None or not test_images:
        return []
    return [
        f"transductive accuracy: {test_images:,} of the {len(target):,} target images are test "
        "images. Their labels are not used to choose images."
    ]
