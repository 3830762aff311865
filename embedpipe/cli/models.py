"""Commands ``export-model`` and ``serve``."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .._options import DatasetOptions
from .options import ModelFileName
from .session import Session

if TYPE_CHECKING:
    from ..models import Export

__all__ = ["export_model", "serve"]


def export_model(
    session: Session,
    model: ModelFileName,
    output: Annotated[
        Path,
        typer.Option(help="New folder for the exported model", show_default=False),
    ],
    form: Annotated[
        str, typer.Option("--format", "-f", help="onnx, openvino or torchscript")
    ] = "onnx",
    samples: Annotated[
        str | None,
        typer.Option(
            help="Folder, archive or dataset of sample images: the export must predict them like "
            "the model [default: made images]",
            show_default=False,
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Backbone of the model, if it is not stored in the model file",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights of the backbone, if their file was moved after the training",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a model as a folder that runs without embedpipe.

    The folder has the model file (backbone and head, from pixels to probabilities), labels.txt,
    model.json and predict.py, a short script. Before the folder is complete, predict.py predicts
    sample images: its classes must equal those of the model, and its probabilities must differ by
    at most 0.001.
    """
    from ..models import export_model as write_export

    dataset = None if samples is None else session.load(DatasetOptions(samples))
    done = write_export(
        model, output, format=form, samples=dataset, backbone=backbone, weights=weights
    )
    session.finish({**asdict(done), "output": str(done.output)}, _text(done))


def serve(
    session: Session,
    model: Annotated[
        Path,
        typer.Option(
            help="Folder written by `export-model`, or model file written by `train`",
            show_default=False,
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than 127.0.0.1 need a token")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0: any free port", min=0, max=65535)] = 8766,
    token: Annotated[
        str | None,
        typer.Option(
            help="Token that requests must contain; the variable EMBEDPIPE_TOKEN hides it from "
            "other users [default: none on 127.0.0.1, else a new one, which is printed]",
            envvar="EMBEDPIPE_TOKEN",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    max_requests: Annotated[
        int,
        typer.Option(help="Maximum requests in progress; others receive status 503", min=1),
    ] = 256,
    max_megabytes: Annotated[
        int, typer.Option(help="Maximum megabytes of a request's body", min=1, max=1000)
    ] = 40,
    batch_size: Annotated[
        int, typer.Option(help="Maximum images that are predicted together", min=1)
    ] = 32,
    timeout: Annotated[
        float, typer.Option(help="Seconds that a client has to send a request", min=0.1)
    ] = 30.0,
) -> None:
    """Serve the predictions of a model over HTTP.

    Prints the address and serves until Ctrl-C or SIGTERM; then the current requests are finished.
    POST /predict takes an image, or a form with image files. GET /health, GET /openapi.json and the
    page /docs describe the service.
    """
    from ..models import load_model
    from ..server import Limits, ModelServer

    limits = Limits(max_requests, max_megabytes * 1_000_000, batch_size, timeout)
    loaded = load_model(model)
    server = ModelServer(loaded, host=host, port=port, token=token, limits=limits)
    with (
        contextlib.suppress(KeyboardInterrupt),  # Ctrl-C is the normal end
        contextlib.closing(server),
    ):
        printed = [server.url] if token or not server.token else [server.url, server.token]
        facts = {"url": server.url, "token": None if token else server.token}
        session.finish(facts, "\n".join(printed), now=True)
        sys.stdout.flush()  # for programs that wait for the address
        session.remark(f"Try {server.url}/docs. Press Ctrl-C to end.")
        server.run()


def _text(done: Export) -> str:
    text = (
        f"{done.output}: {done.format}, {done.bytes / 1e6:.1f} MB; equal classes on {done.images} "
        f"images, largest difference of a probability {done.max_difference:.1g}"
    )
    if done.max_difference_in_precision is None:
        return text
    return (
        f"{text}\nthe model was trained on {done.precision} vectors, the export is fp32: other "
        f"classes on {done.other_classes_in_precision} of {done.images} images, largest difference "
        f"of a probability {done.max_difference_in_precision:.1g}"
    )
