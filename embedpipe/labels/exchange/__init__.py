"""Labels in the formats of other programs: what they say is read whole, or not at all.

Every format takes and gives `Labelled` items keyed by their relative paths. To add one, write a
file with a subclass of `Format` under ``@register`` and import it below.
"""

from __future__ import annotations

from .base import Format, OpenImage, formats, register
from .csv_table import CsvFormat
from .cvat import CvatFormat
from .entries import Reading
from .fiftyone import FiftyOneFormat
from .huggingface import HuggingFaceFormat
from .imagefolder import ImageFolderFormat
from .jsonl import JsonLinesFormat
from .label_studio import LabelStudioFormat, labelling_config, local_files_url, serving
from .labelled import Labelled
from .lightly import LightlyFormat, read_lightly_embeddings
from .lightly_predictions import LightlyPredictionsFormat
from .news import news
from .parquet import ParquetFormat

__all__ = [
    "CsvFormat",
    "CvatFormat",
    "FiftyOneFormat",
    "Format",
    "HuggingFaceFormat",
    "ImageFolderFormat",
    "JsonLinesFormat",
    "LabelStudioFormat",
    "Labelled",
    "LightlyFormat",
    "LightlyPredictionsFormat",
    "OpenImage",
    "ParquetFormat",
    "Reading",
    "formats",
    "labelling_config",
    "local_files_url",
    "news",
    "read_lightly_embeddings",
    "register",
    "serving",
]
