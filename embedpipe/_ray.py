"""Joining a Ray cluster without usage statistics, and its errors as errors of one line."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .errors import EmbedpipeError, RunError, UsageError

__all__ = ["explained_errors", "first_line", "joined_cluster", "node_name", "task_here"]

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
"""Environment variables without usage statistics, a warning about accelerators, and messages of Ray
on standard output, such as that of a lost worker. Ray reads the last one when it is imported."""


@contextlib.contextmanager
def joined_cluster(address: str | None) -> Iterator[Any]:
    """Yield the module `ray`, connected to a cluster for this block.

    Without an address or ``RAY_ADDRESS``, this is the cluster that runs on this machine, or else a
    new one on the cores of this machine.
    """
    with _settings():
        try:
            import ray
        except ModuleNotFoundError:
            raise UsageError("Ray is not installed: `pip install 'embedpipe[ray]'`.") from None
        if ray.is_initialized():
            yield ray
            return
        address = address or os.environ.get("RAY_ADDRESS")
        with _kept_signal_handler():
            try:
                ray.init(
                    address=address,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                )
            except (ConnectionError, TimeoutError, RuntimeError, ValueError, OSError) as error:
                raise RunError(
                    f"Ray cannot be used at {address or 'this machine'} ({first_line(error)}): "
                    "start a cluster with `ray start --head`, or correct --address or RAY_ADDRESS."
                ) from error
        try:
            yield ray
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def explained_errors(ray: Any) -> Iterator[None]:
    """Convert an error of Ray to the worker's own error, or to a RunError of one line."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, EmbedpipeError):
            raise error.cause from None
        raise RunError(
            f"a Ray worker failed ({type(error.cause).__name__}: {first_line(error.cause)}). "
            "Finished work is kept; run the same command again to continue."
        ) from error
    except ray.exceptions.RayError as error:
        raise RunError(
            f"Ray lost the cluster ({first_line(error)}). Finished work is kept; run the same "
            "command again to continue."
        ) from error


def task_here(ray: Any, function: Callable[..., Any], **options: Any) -> Any:
    """Return a task on the node of this process, where the workspace and the images are known."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=node, **options)(function)


def node_name() -> str:
    """Return the name of the node of this worker."""
    import ray

    return f"{socket.gethostname()} ({ray.get_runtime_context().get_node_id()[:8]})"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message without its full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


@contextlib.contextmanager
def _kept_signal_handler() -> Iterator[None]:
    """Keep this process's handler of SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
