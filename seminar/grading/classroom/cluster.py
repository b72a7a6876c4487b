"""The workers of a dask cluster, for a class that outgrows one machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import seminar
from seminar.grading.box.sandbox import why_unavailable
from seminar.grading.classroom.work import close_runners

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["connected"]

_PATIENCE = 10  # s to wait for the scheduler, and for its first worker


@contextmanager
def connected(address: str, *, sandbox: bool) -> Iterator[Client]:
    """Yield a client of a cluster whose workers can all grade; close their sandboxes at the end.

    Args:
        address: Address of the scheduler, such as ``"tcp://10.0.0.5:8786"``.
        sandbox: Whether the workers have to confine files.

    Raises:
        RuntimeError: If ``distributed`` is missing, the scheduler does not answer, it has no
            worker, or one of them cannot grade.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise RuntimeError(
            "the backend dask needs the package distributed; install the extra with "
            'python -m pip install -e ".[grade,dask]"'
        ) from error
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise RuntimeError(
            f"scheduler (={address!r}) must be the address of a running dask scheduler, such as "
            f"tcp://10.0.0.5:8786, got no answer ({str(error) or type(error).__name__}); start one "
            "with dask scheduler"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as error:
            raise RuntimeError(
                f"scheduler (={address!r}) has no worker; start one with dask worker {address}"
            ) from error
        _reject_unfit(client, sandbox=sandbox)
        try:
            yield client
        finally:
            with suppress(OSError):  # the cluster may be gone
                client.run(close_runners)


def versions() -> dict[str, str]:
    """Return the versions on which a result depends."""
    try:
        torch = version("torch").partition("+")[0]
    except PackageNotFoundError:
        torch = "none"
    return {"seminar": seminar.__version__, "torch": torch}


def unfit(wanted: dict[str, str], *, sandbox: bool) -> str:
    """Return why this machine cannot grade for one with these versions, or an empty string."""
    if versions() != wanted:
        return f"its versions are {_shown(versions())}, yours {_shown(wanted)}"
    return why_unavailable() if sandbox else ""


def _shown(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items())


def _reject_unfit(client: Client, *, sandbox: bool) -> None:
    found = client.run(unfit, versions(), sandbox=sandbox, on_error="return")
    for worker, reason in found.items():
        if reason:
            raise RuntimeError(f"the worker {worker} cannot grade: {reason}")
