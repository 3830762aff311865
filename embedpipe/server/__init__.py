"""The labelling page, a local server and the page that it serves; and the service of a model.

The server of the page listens on 127.0.0.1 only and refuses requests without its token. A
:class:`~embedpipe.labelling.LabellingSession` stores all labels. docs/reference/labelling-api.md
describes the HTTP interface.
"""

from __future__ import annotations

from .address_file import address_stored, running_address
from .labelling_server import LabellingServer, create_app
from .model_api import Limits
from .model_server import ModelServer

__all__ = [
    "LabellingServer",
    "Limits",
    "ModelServer",
    "address_stored",
    "create_app",
    "running_address",
]
