"""The script ``predict.py`` of an exported folder, which needs no embedpipe."""

from __future__ import annotations

from string import Template
from typing import NamedTuple

__all__ = ["RUNTIMES", "Runtime", "script_for"]


class Runtime(NamedTuple):
    """The parts of the script that differ between the formats."""

    package: str
    """Package on PyPI that runs the model."""
    file: str
    """Name of the model file."""
    load: str
    """Statement that opens the model."""
    run: str
    """Expression of the probabilities of `pixels`."""


RUNTIMES = {
    "onnx": Runtime(
        "onnxruntime",
        "model.onnx",
        'CPU = ["CPUExecutionProvider"]\n'
        'NETWORK = onnxruntime.InferenceSession(FOLDER / "model.onnx", providers=CPU)',
        'NETWORK.run(None, {"pixels": pixels})[0]',
    ),
    "openvino": Runtime(
        "openvino",
        "model.xml",
        'F32 = {"INFERENCE_PRECISION_HINT": "f32"}\n'
        'NETWORK = openvino.Core().compile_model(FOLDER / "model.xml", "CPU", F32)',
        "NETWORK(pixels)[0]",
    ),
    "torchscript": Runtime(
        "torch",
        "model.pt",
        'NETWORK = torch.jit.load(FOLDER / "model.pt").eval()',
        "NETWORK(torch.from_numpy(pixels)).numpy(force=True)",
    ),
}
"""The formats of exports."""

_SCRIPT = Template('''\
"""Predict the classes of images: python predict.py IMAGE...

Needs $package, numpy and pillow. Images with more than 8 bits per channel are refused.
"""
import json
import sys
from pathlib import Path

import numpy as np
import $package
from PIL import Image, ImageOps

FOLDER = Path(__file__).resolve().parent
MODEL = json.loads((FOLDER / "model.json").read_text(encoding="utf-8"))
$load


def pixels_of(path):  # as in embedpipe: upright, alpha over white, resized by Pillow, cropped
    rule = MODEL["preprocessing"]
    resize, size = rule["resize"], rule["size"]
    with Image.open(path) as file:
        if rule["scaled_decode"]:
            file.draft(None, (2 * np.max(resize),) * 2)
        if file.mode in ("I", "F", "LAB") or file.mode.startswith("I;16"):
            raise ValueError(f"{path} has the mode {file.mode}: convert it to 8-bit RGB")
        image = ImageOps.exif_transpose(file)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image, (width, height) = image.convert("RGB"), image.size
    if isinstance(resize, int):  # the shorter side
        short = min(width, height)
        resize = [int(resize * height / short), int(resize * width / short)]
    if image.size != (resize[1], resize[0]):
        method = Image.Resampling[rule["interpolation"].upper()]
        image = image.resize((resize[1], resize[0]), method)
    top, left = round((resize[0] - size[0]) / 2), round((resize[1] - size[1]) / 2)
    return np.asarray(image.crop((left, top, left + size[1], top + size[0])))


def predict(paths):  # the probabilities, an array with a row per image and a column per class
    pixels = np.stack([pixels_of(path) for path in paths])
    return $run


if __name__ == "__main__":
    for path in sys.argv[1:]:
        probabilities = predict([path])[0]
        best = probabilities.argmax()
        print(f"{path}\\t{MODEL['classes'][best]}\\t{probabilities[best]:.4f}")
''')


def script_for(form: str) -> str:
    """Return the script for a format."""
    return _SCRIPT.substitute(RUNTIMES[form]._asdict())
