"""Items (id, label, split, bucket) and their bytes: folders, archives, manifests, named datasets.

A dataset is a tuple of items and a source of their bytes; `load_dataset` returns the dataset of a
path or of a registered name. To add a name, register a function that takes a `Request`, or a class
whose objects are iterable. The function or object yields pairs: an `Item`, and the item's bytes or
the path of its file::

    from pathlib import Path

    from embedpipe.datasets import Item, register

    @register("scans", card={"title": "Scans", "licence": "CC0-1.0", "classes": ["cat", "dog"]})
    def scans(request):
        \"\"\"Scans of our photo albums, two classes.\"\"\"
        for path in Path(request.source or "~/scans").expanduser().glob("*/*.png"):
            label = path.parent.name
            yield Item(f"{label}/{path.name}", label=label, split="train"), path

The `card` is optional: a `DatasetCard`, a mapping of its fields, or the path of a YAML file. Its
counts and classes are checked when the dataset is loaded. A dataset that is published as a folder
or an archive of image files needs one line of code. It is downloaded from the address in its card::

    @register("shoes", card=Path(__file__).with_name("shoes.yaml"))
    def shoes(request):
        \"\"\"Photos of shoes in 5 classes.\"\"\"
        return load_images(request)

For full control, return a `Dataset` with your own `Source`.
"""

from . import clear, library_datasets  # noqa: F401  # these modules register datasets
from .cards import DatasetCard
from .clear import load_clear_tree
from .clear_features import ClearFeatures, load_clear_features
from .corruptions import corrupted
from .dataset import Dataset, Item
from .load import load_dataset
from .published import load_images
from .registry import Request, datasets
from .source import Source, Stamp

register = datasets.register

__all__ = [
    "ClearFeatures",
    "Dataset",
    "DatasetCard",
    "Item",
    "Request",
    "Source",
    "Stamp",
    "corrupted",
    "datasets",
    "load_clear_features",
    "load_clear_tree",
    "load_dataset",
    "load_images",
    "register",
]
