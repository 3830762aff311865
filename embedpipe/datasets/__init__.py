"""Items (id, label, split, bucket) and their bytes: folders, archives, manifests, named datasets.

A dataset is a tuple of items and a source of their bytes. To add a named one, write a file like
``clothing.py``, a card like ``data/clothing.yaml``, and import it in the list below.
"""

from . import cifar10, clear, clothing, digits, torchvision_named  # noqa: F401  # they register
from .cards import DatasetCard
from .clear import load_clear_tree
from .clear_features import ClearFeatures, load_clear_features
from .corruptions import corrupted
from .dataset import Dataset
from .item import Item, Stamp
from .load import load_dataset
from .registry import datasets
from .source import Source

__all__ = [
    "ClearFeatures",
    "Dataset",
    "DatasetCard",
    "Item",
    "Source",
    "Stamp",
    "corrupted",
    "datasets",
    "load_clear_features",
    "load_clear_tree",
    "load_dataset",
]
