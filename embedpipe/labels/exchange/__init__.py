"""The built-in label formats and their base class.

`embedpipe.labels` shows how to add a format.
"""

from __future__ import annotations

from ..._deprecated import old_names
from .cvat import CvatFormat
from .entries import Entry, Labelled
from .folder_formats import FiftyOneFormat, ImageFolderFormat
from .format import Format, OpenImage, ReadOptions, WriteOptions, formats
from .huggingface import HuggingFaceFormat
from .label_studio import (
    LabelStudioFormat,
    labelling_config,
    local_files_url,
    serving_instructions,
)
from .lightly import LightlyFormat, read_lightly_embeddings
from .lightly_predictions import LightlyPredictionsFormat
from .reading import Reading, new_events
from .table_formats import CsvFormat, JsonLinesFormat, ParquetFormat

__all__ = [
    "CsvFormat",
    "CvatFormat",
    "Entry",
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
    "ReadOptions",
    "Reading",
    "WriteOptions",
    "formats",
    "labelling_config",
    "local_files_url",
    "new_events",
    "read_lightly_embeddings",
    "serving_instructions",
]

__getattr__ = old_names(
    __name__,
    {
        "news": "embedpipe.labels.exchange:new_events",
        "serving": "embedpipe.labels.exchange:serving_instructions",
    },
)
