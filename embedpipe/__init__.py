"""Embed a folder of images once; then every further step takes seconds on a CPU.

::

    import embedpipe as ep

    dataset = ep.load_dataset("clothing", source="clothing-dataset-small.zip")
    embeddings = ep.embed(dataset)
    picks = ep.select(embeddings, n=200, strategy="coreset")
    loop = ep.ActiveLoop(embeddings, strategy="margin", initial="coreset")
    for record in loop.run(rounds=10, batch_size=50):
        print(record)

To add your own strategy, head, dataset or backbone, use ``register(name)`` of ``ep.strategies``,
``ep.heads``, ``ep.datasets`` or ``ep.backbones``. ``ep.Experiment`` runs grids of active-learning
runs. ``ep.ContinualLoop`` and ``ep.ReplayStudy`` learn from streams.

Names are loaded at first use: importing the package loads neither torch nor faiss.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

from ._deprecated import old_names
from ._versions import own_version

_lazy, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]

_OLD = {
    "PointPicks": "embedpipe.strategies:UniquePicks",
    "Labelling": "embedpipe._options:OracleOptions",
    "head_spelling": "embedpipe._specs:format_spec",
}
_public = old_names(__name__, _OLD, _lazy)


def __getattr__(name: str) -> Any:
    return own_version() if name == "__version__" else _public(name)


def __dir__() -> list[str]:
    return __all__
