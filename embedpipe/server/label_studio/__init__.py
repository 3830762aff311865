"""An ML backend of Label Studio: predictions and an order of its tasks, from a labelling session.

The contract is that of Label Studio 1.23: ``/health``, ``/setup``, ``/predict``, ``/train``,
``/webhook`` and ``/versions``.
"""

from __future__ import annotations

from .backend import BackendOptions, LabelStudioBackend
from .client import Client

__all__ = ["BackendOptions", "Client", "LabelStudioBackend"]
