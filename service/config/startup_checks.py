"""What is checked before the service starts, so that a mistake is one line rather than a surprise."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path

from retrieval.errors import NotACollection, SettingsError
from service.config.settings import Settings


def check_directory(directory: Path) -> None:
    """Raise NotACollection unless the directory is there; an empty folder may get its collections later."""
    if not directory.is_dir():
        raise NotACollection(
            f"{directory} is not a directory; make a collection with `attendex index SOURCE --into DIR`"
        )


def check_exposure(settings: Settings) -> None:
    """Raise SettingsError where strangers could reach a service without keys."""
    if settings.insecure or settings.keys or settings.api_key or _is_local(settings.host):
        return
    raise SettingsError(
        f"host {settings.host} lets other machines in, and no key is set. Make one with `attendex keys add KEYS_FILE` "
        "and give --keys KEYS_FILE, or say --insecure"
    )


def set_up_openmp() -> None:
    """One OpenMP thread a search, and none that spins while it waits: callers are what runs in parallel here.

    Read by the OpenMP library when it is loaded, so this stands before the imports of those who load it.  Two spinning
    threads a search cost fifteen times the CPU of one.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
