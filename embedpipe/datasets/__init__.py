"""Items (id, label, split, bucket) and their bytes: folders, archives, manifests, named datasets.

A dataset is a tuple of items and a source of their bytes. To add a named one, write a file like
``clothing.py``, a card like ``data/clothing.yaml``, and import it in the list below.
"""

from . import cifar10, clothing, digits, torchvision_named  # noqa: F401  # they register themselves
from .cards import DatasetCard
from .dataset import Dataset
from .item import Item, Stamp
from .load import load_dataset
from .registry import datasets
from .source import Source

__all__ = ["Dataset", "DatasetCard", "Item", "Source", "Stamp", "datasets", "load_dataset"]
