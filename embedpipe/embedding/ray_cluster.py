"""Embedding on a Ray cluster: each worker adds its share of the missing images to the store."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .._files import temporary_path
from ..backbones import Backbone, Preprocess
from ..cache import Store
from ..datasets import Source
from ..errors import CacheError, EmbedpipeError, RunError, UsageError
from .filling import FRAGMENT_ROWS, FillResult, fill
from .scan import Progress

__all__ = ["fill_with_ray"]

GRACE = 30.0
"""Seconds for workers to write finished rows after an interruption."""

CHECK_SECONDS = 120.0
"""Seconds for a node to confirm that it has the workspace and the images."""


def fill_with_ray(
    store: Store,
    backbone: Backbone,
    preprocess: Preprocess,
    source: Source,
    wanted: Mapping[str, bytes],
    *,
    runtime: str = "auto",
    progress: Progress | None = None,
) -> FillResult:
    """Run `fill` on the running Ray cluster, or else on this machine's cores."""
    # The workspace and the images must have the same path on every machine.
    try:
        import ray
    except ModuleNotFoundError:
        raise UsageError("Ray is not installed: `pip install 'embedpipe[ray]'`.") from None
    ids = list(wanted)
    shares = [ids[start : start + FRAGMENT_ROWS] for start in range(0, len(ids), FRAGMENT_ROWS)]
    parts: list[FillResult] = []
    done = 0
    with _cluster(ray), _explained(ray):
        _check_nodes(ray, store, source, ids[0])
        task = ray.remote(max_retries=3)(_fill_share)
        pending = {
            task.remote(
                store, backbone, preprocess, source, {i: wanted[i] for i in share}, runtime
            ): len(share)
            for share in shares
        }
        try:
            while pending:
                (finished,), _ = ray.wait(list(pending), num_returns=1)
                parts.append(ray.get(finished))
                done += pending.pop(finished)
                if progress is not None:
                    progress("embed", done, len(wanted))
        except BaseException:
            for each in pending:
                ray.cancel(each)  # interrupts `fill`, which writes finished rows
            ray.wait(list(pending), num_returns=len(pending), timeout=GRACE)
            raise
    failures = {item_id: each for part in parts for item_id, each in part.failures.items()}
    return FillResult(
        sum(part.embedded for part in parts),
        failures,
        max(part.seconds for part in parts),
        tuple(sorted(remark for part in parts for remark in part.remarks)),
    )


def _fill_share(
    store: Store,
    backbone: Backbone,
    preprocess: Preprocess,
    source: Source,
    wanted: Mapping[str, bytes],
    runtime: str,
) -> FillResult:
    return fill(store, backbone, preprocess, source, wanted, runtime=runtime)


def _check_nodes(ray: Any, store: Store, source: Source, item_id: str) -> None:
    """Raise an error if a node does not have the same workspace or images."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token = secrets.token_hex(16)
    path = temporary_path(store.folder / "seen-by-workers")
    expected = _digest_of(source, item_id)
    look = ray.remote(num_cpus=0, max_retries=0)(_look)
    try:
        path.write_text(token, encoding="ascii")
    except OSError as error:
        raise CacheError(
            f"cannot write to the cache at {store.folder}: {error.strerror or error}."
        ) from error
    try:
        answers = {
            node["NodeID"]: look.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(path, source, item_id)
            for node in ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU")
        }
        for node_id, answer in answers.items():
            try:
                read_token, written, digest = ray.get(answer, timeout=CHECK_SECONDS)
            except ray.exceptions.GetTimeoutError:
                raise RunError(
                    f"the Ray node {_name(ray, node_id)} did not answer within "
                    f"{CHECK_SECONDS:.0f} s: check `ray status`, then run the command again."
                ) from None
            if read_token != token or not _removed(written):
                raise RunError(
                    f"the Ray node {_name(ray, node_id)} has no workspace at "
                    f"{store.folder.parent.parent}: give a --workspace with the same path on every "
                    "node, such as on a shared file system."
                )
            if digest != expected:
                raise RunError(
                    f"the Ray node {_name(ray, node_id)} has another file {item_id!r} in "
                    f"{source.location}, or no such file: the images must have the same path on "
                    "every node."
                )
    finally:
        path.unlink(missing_ok=True)


def _look(path: Path, source: Source, item_id: str) -> tuple[str | None, Path, str | None]:
    """Return the token that a node reads, the path that it writes, and an image's digest."""
    answer = temporary_path(path)
    try:
        token = path.read_text(encoding="ascii")
        answer.write_text(token, encoding="ascii")
    except OSError:
        return None, answer, None
    return token, answer, _digest_of(source, item_id)


def _digest_of(source: Source, item_id: str) -> str | None:
    """Return the digest of an image; None if it cannot be read."""
    try:
        return hashlib.sha256(source.read_one(item_id)).hexdigest()
    except (OSError, EmbedpipeError):
        return None


def _removed(path: Path) -> bool:
    """Remove the file of a worker; return whether it exists here."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _name(ray: Any, node_id: str) -> str:
    names = [node["NodeManagerHostname"] for node in ray.nodes() if node["NodeID"] == node_id]
    return f"{names[0]} ({node_id[:8]})" if names else node_id[:8]


@contextlib.contextmanager
def _explained(ray: Any) -> Iterator[None]:
    """Convert an error of Ray to the worker's own error, or to a RunError of one line."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, EmbedpipeError):
            raise error.cause from None
        raise RunError(
            f"a Ray worker failed ({type(error.cause).__name__}: {_first_line(error.cause)}). "
            "Finished vectors are kept; run the same command again to continue."
        ) from error
    except ray.exceptions.RayError as error:
        raise RunError(
            f"Ray lost workers ({_first_line(error)}). Finished vectors are kept; run the same "
            "command again to continue."
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


@contextlib.contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    """Join the cluster, or start one for this block, without usage statistics."""
    if ray.is_initialized():
        yield
        return
    before = {name: os.environ.get(name) for name in _SETTINGS}
    address = os.environ.get("RAY_ADDRESS")
    os.environ.update(_SETTINGS)
    try:
        with _keep_signal_handler():
            try:
                ray.init(
                    address=address,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level="ERROR",
                )
            except (ConnectionError, TimeoutError, RuntimeError, ValueError, OSError) as error:
                raise RunError(
                    f"Ray cannot be used at {address or 'this machine'} ({_first_line(error)}): "
                    "start a cluster with `ray start --head`, or correct RAY_ADDRESS."
                ) from error
        yield
    finally:
        ray.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Environment variables that disable usage statistics and a warning about accelerators."""


@contextlib.contextmanager
def _keep_signal_handler() -> Iterator[None]:
    """Keep this process's handler of SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
