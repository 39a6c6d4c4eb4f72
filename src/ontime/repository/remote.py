"""The DVC remote: what sets its address, and what opens it.

An address is `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `azure://CONTAINER/PREFIX`. DVC's own clients of Google and
Azure repeat a request for minutes when the server is down or the credentials are refused. So both are tried once
before anything is asked of them.
"""

import logging
import os
import re
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from ontime.common.errors import OntimeError, one_line
from ontime.repository.dvc import GOOGLE_SETTINGS, opened_repository

REMOTE = "models"
"""Its name in `.dvc/config` where there is none yet."""
PACKAGES = {"s3": "dvc-s3", "gs": "dvc-gs", "azure": "dvc-azure"}
"""What DVC needs for an address of each kind."""
ADDRESS = re.compile(r"(?P<kind>s3|gs|azure)://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[\w.=-]+)*/?")
ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
OBJECTS = "files/md5"
"""Folder of the objects in a cache and a remote."""
ANSWER_SECONDS = 10


def set_remote(address: str, account: str | None = None, dry_run: bool = False) -> str:
    """Point the checkout's DVC remote at an address, in `.dvc/config`.

    Options of the remote stay if the new address is of the same kind; of another kind they would mean nothing.

    Args:
        account: the storage account, for Azure.
        dry_run: check it, and write nothing.

    Returns:
        The remote's name.

    Raises:
        OntimeError: the address or the account is none, DVC lacks the package for it, or `.dvc/config.local` has
            options for the present kind. Nothing is written.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    found = ADDRESS.fullmatch(address)
    if not found:
        raise OntimeError(
            f"--remote {address}: not the address of a store; give s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or "
            "azure://CONTAINER/PREFIX"
        )
    kind = found["kind"]
    if (kind == "azure") != bool(account) or (account and not ACCOUNT.fullmatch(account)):
        raise OntimeError("--account: the name of the storage account, which azure:// needs and no other address has")
    _check_package(kind)
    try:
        with Repo() as repo:
            name = str(repo.config["core"].get("remote") or REMOTE)
            known = repo.config.load_one("repo").get("remote", {}).get(name, {})
            same = urlsplit(known.get("url", "")).scheme == kind
            local = sorted(repo.config.load_one("local").get("remote", {}).get(name, {}))
            if local and not same:
                raise OntimeError(
                    f".dvc/config.local: sets {', '.join(local)} of the remote {name}, for {known.get('url')}; "
                    "remove that first (after `make s3`: `ontime s3 --off`)"
                )
            if dry_run:
                return name
            options = {**(known if same else {"verify": "true"}), "url": address.rstrip("/")}
            with repo.config.edit("repo") as config:
                config["remote"][name] = {**options, **({"account_name": account} if account else {})}
                config["core"]["remote"] = name
    except DvcException as error:
        raise OntimeError(f"DVC remote: {one_line(error)}") from None
    return name


def remote_address() -> str:
    """The address of the remote that the project's commands set; empty if there is none.

    Raises:
        OntimeError: the current folder is no DVC repository, or one with wrong settings.
    """
    with opened_repository() as repo:
        return str(repo.config["remote"].get(REMOTE, {}).get("url", ""))


def set_local_options(**options: str | None) -> None:
    """Set options of this remote in `.dvc/config.local`, and remove those whose value is None.

    Raises:
        OntimeError: the current folder is no DVC repository, or one with wrong settings.
    """
    with opened_repository() as repo, repo.config.edit("local") as config:
        kept = {name: value for name, value in config["remote"].pop(REMOTE, {}).items() if name not in options}
        if kept := kept | {name: value for name, value in options.items() if value is not None}:
            config["remote"][REMOTE] = kept


@contextmanager
def opened_remote(command: str) -> Iterator[Any]:
    """DVC's default remote, as the objects of a store; closed with the block.

    Args:
        command: push or pull.

    Raises:
        OntimeError: there is none, DVC lacks the package for it, its server does not answer, or it gives no access.
    """
    for name, value in GOOGLE_SETTINGS.items():
        os.environ.setdefault(name, value)
    # it prints a traceback of each error beside raising it
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    from dvc.repo import Repo

    with Repo() as repo:
        try:
            name = repo.config["core"].get("remote")
            kind = urlsplit(repo.config["remote"].get(name, {}).get("url", "")).scheme
            if kind in PACKAGES:
                _check_package(kind)
            remote = repo.cloud.get_remote_odb(command=command)
            if kind in _ANSWERS:
                _ANSWERS[kind](remote.fs.fs)
        except OntimeError:
            raise
        except Exception as error:  # whatever a wrong setting raises
            raise OntimeError(f"DVC remote: {one_line(error)}") from None
        yield remote


@contextmanager
def remote_folder() -> Iterator[tuple[Any, str, str] | None]:
    """The remote as a folder, for what lists and removes objects; what uses their bytes goes through `pull`.

    Returns:
        Its file system of fsspec, its folder there, and its address; None if there is no remote.
    """
    with opened_repository() as repo:
        name = repo.config["core"].get("remote")
    if not name:
        yield None
        return
    with opened_remote("push") as remote:
        folder = str(remote.path).removesuffix(f"/{OBJECTS}")
        yield remote.fs.fs, folder, f"DVC remote {remote.fs.unstrip_protocol(folder)}"


def object_name(path: str) -> str:
    """The MD5 of an object by its path below the remote or the cache; what is no object keeps its path."""
    return path.removeprefix(f"{OBJECTS}/").replace("/", "") if path.startswith(f"{OBJECTS}/") else path


def check_remote() -> None:
    """Refuse a remote that cannot be opened."""
    with opened_remote("pull"):
        pass


def _check_package(kind: str) -> None:
    package = PACKAGES[kind]
    if find_spec(package.replace("-", "_")) is None:
        raise OntimeError(f"{kind}://: needs the package {package}, which this environment lacks; run `make setup`")


def _google_answers(filesystem: Any) -> None:
    _check_server(filesystem.base)
    try:
        filesystem.credentials.maybe_refresh()
    except Exception as error:  # of several packages; what refused them is the cause
        raise OntimeError(f"DVC remote: Google gives no access: {one_line(error.__cause__ or error)}") from None


def _azure_answers(filesystem: Any) -> None:
    _check_server(filesystem.service_client.url)


_ANSWERS = {"gs": _google_answers, "azure": _azure_answers}


def _check_server(address: str) -> None:
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443)
    # a proxy finds the host by itself
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(f"{host}:{port}"):
        return
    try:
        socket.create_connection((host, port), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise OntimeError(f"DVC remote: {host}:{port} cannot be reached: {one_line(error)}") from None
