"""Trained models: a backbone and a head as one object, from a model file or an export."""

from .export import Export, export_model
from .loading import load_model
from .model import ImageInput, ImagePredictions, Model
from .model_file import ModelFile, metadata_of

__all__ = [
    "Export",
    "ImageInput",
    "ImagePredictions",
    "Model",
    "ModelFile",
    "export_model",
    "load_model",
    "metadata_of",
]
