"""The labelling page: a local server and the page that it serves.

The server listens on 127.0.0.1 only and refuses requests without its token. A
:class:`~embedpipe.labelling.LabellingSession` stores all labels. docs/reference/labelling-api.md
describes the HTTP interface.
"""

from __future__ import annotations

from .address_file import address_stored, running_address
from .labelling_server import LabellingServer, create_app

__all__ = ["LabellingServer", "address_stored", "create_app", "running_address"]
