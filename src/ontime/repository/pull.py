"""Fetch outputs from the DVC remote, check every byte by its MD5, and only then put them into the checkout.

In: the MD5s in the checkout's `dvc.lock` and `.dvc` files. Out: the objects in DVC's cache and the outputs in the
checkout; or one line that names the object, with the checkout as it was. Whoever can write to the remote decides
neither which bytes are used nor where they are written.

All reading from the remote goes through here, because DVC uses the listing of a folder without checking it. Objects
that the cache has already are hashed like those that are fetched. The run cache is not fetched, because its entries say
what a stage makes without any hash in git.
"""

import os
import tempfile
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

import click

from ontime.common.errors import OntimeError, one_line
from ontime.common.files import is_cache_object
from ontime.repository.dvc import cache_folder, show
from ontime.repository.git import git
from ontime.repository.lock_file import LOCK, Stages, check_entries, outputs, read_lock, tracked
from ontime.repository.objects import LISTING, check_inside, check_md5, check_path, md5_of, read_listing
from ontime.repository.remote import opened_remote

DOWNLOADS = 16
SHARED_SETTINGS = ("url", "endpointurl", "region", "use_ssl", "account_name", "projectname")
"""What another machine needs to know to find the remote; it has credentials of its own."""
OBJECT_MODE = 0o444
"""As DVC protects an object."""


@click.command(name="pull")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
def command(targets: tuple[str, ...]) -> None:
    """Fetch, check and check out outputs: all, or those of the TARGETs (paths, stages, .dvc files)."""
    count, fetched = pull(targets)
    click.echo(f"{count} outputs checked, {fetched} objects fetched")


def pull(targets: Collection[str] = ()) -> tuple[int, int]:
    """Bring outputs into the checkout.

    Args:
        targets: paths of outputs, names of stages, or `.dvc` files; otherwise every output.

    Returns:
        The number of outputs, and of objects that the cache lacked.

    Raises:
        OntimeError: a target is unknown, an object is absent or not what its MD5 says, or DVC keeps a changed file.
    """
    needed = chosen(named_outputs(read_lock() if LOCK.exists() else {}), targets)
    _check(needed)
    for path in needed:
        check_inside(path, Path.cwd())
    fetched = fetch(needed)
    if needed:
        forget_listings()
        show("checkout", "--quiet", *needed)
    return len(needed), fetched


def named_outputs(stages: Stages) -> dict[str, dict[str, str]]:
    """MD5 of each output by its path, by stage and by `.dvc` file; without those that git keeps."""
    files = {name for name in git("ls-files", "-z").split("\0") if name}
    kept = files | {str(folder) for name in files for folder in PurePosixPath(name).parents}
    for name, stage in stages.items():
        check_entries(stage["outs"], f"{LOCK}: {name}")
    named = {name: outputs({name: stage}) for name, stage in stages.items()}
    named |= {name: tracked(Path(name)) for name in sorted(files) if name.endswith(".dvc") and Path(name).exists()}
    return {name: {path: md5 for path, md5 in made.items() if path not in kept} for name, made in named.items()}


def all_outputs(stages: Stages) -> dict[str, str]:
    """MD5 of each of them by its path."""
    return chosen(named_outputs(stages), ())


def chosen(named: Mapping[str, Mapping[str, str]], targets: Collection[str]) -> dict[str, str]:
    """The outputs that targets name; all of them without any target."""
    known = {path: md5 for made in named.values() for path, md5 in made.items()}
    found = {} if targets else known
    for target in targets:
        path = target.removesuffix("/")
        groups = [made for name, made in named.items() if target in (name, name.partition("@")[0])]
        if path in known:
            groups.append({path: known[path]})
        if not groups:
            raise OntimeError(f"{target}: neither an output nor a stage in {LOCK}, nor a .dvc file in git")
        for made in groups:
            found |= made
    return found


def fetch(needed: Mapping[str, str]) -> int:
    """Put objects that DVC's cache lacks, or has with other bytes, into it, each checked by its MD5.

    Args:
        needed: MD5 of each output by its path.

    Returns:
        The number of objects that the cache lacked.

    Raises:
        OntimeError: an object is absent or not what its MD5 says, or a listing may not be used; none of the objects
            fetched together with it is kept.
    """
    cache = cache_folder()
    _check(needed)
    with ExitStack() as stack:
        remote = _Remote(stack)
        listings = _bring(_listings(needed), cache, remote)
        return listings + _bring({md5: path for path, md5 in wanted_files(needed, cache).items()}, cache, remote)


def fetch_listings(needed: Mapping[str, str]) -> None:
    """The same for the listings of folders alone, before DVC reads them; one that is nowhere stays absent."""
    cache = cache_folder()
    _check(needed)
    with ExitStack() as stack:
        _bring(_listings(needed), cache, _Remote(stack), may_be_absent=True)
    present = {path: md5 for path, md5 in needed.items() if md5.endswith(LISTING) and object_path(cache, md5).exists()}
    wanted_files(present, cache)


def fetched_files(needed: Mapping[str, str]) -> dict[str, Path]:
    """Fetch outputs; the checked object of each file, by the file's path in the checkout."""
    fetch(needed)
    cache = cache_folder()
    return {path: object_path(cache, md5) for path, md5 in wanted_files(needed, cache).items()}


def remote_settings() -> dict[str, Any]:
    """Where DVC's default remote is, as DVC's configuration names it, for `bring`; without credentials.

    Raises:
        OntimeError: there is no DVC repository or no default remote.
    """
    from dvc.fs import get_fs_config
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            found = get_fs_config(repo.config, name=repo.cloud.get_remote(command="pull").name)
    except Exception as error:  # whatever a wrong setting raises
        raise OntimeError(f"DVC remote: {one_line(error)}") from None
    return {name: found[name] for name in SHARED_SETTINGS if name in found}


def bring(files: Mapping[str, str], folder: Path, settings: Mapping[str, Any]) -> dict[str, Path]:
    """Fetch objects on a machine without checkout, into a folder laid out as DVC's cache; every byte is checked.

    Args:
        files: MD5 of each file by its path, which is only told.
        folder: made where it is missing; several processes may bring objects into it at once.
        settings: where the remote is, as `remote_settings` tells it.

    Returns:
        The checked object of each file, by the file's path.

    Raises:
        OntimeError: an object is absent or not what its MD5 says.
    """
    for path, md5 in files.items():
        check_md5(md5, path)
    with ExitStack() as stack:
        _bring({md5: path for path, md5 in files.items()}, folder, _Remote(stack, settings))
    return {path: object_path(folder, md5) for path, md5 in files.items()}


def listed_files_of(path: str, md5: str) -> dict[str, str]:
    """MD5 of each file of a folder by its path there; empty if its listing is in neither cache nor remote."""
    try:
        fetch_listings({path: md5})
        return read_listing(object_path(cache_folder(), md5).read_bytes(), f"output {path}")
    except (OntimeError, OSError):
        return {}


def _check(needed: Mapping[str, str]) -> None:
    for path, md5 in needed.items():
        check_path(path, "output")
        check_md5(md5, f"output {path}")


def _listings(needed: Mapping[str, str]) -> dict[str, str]:
    return {md5: path for path, md5 in needed.items() if md5.endswith(LISTING)}


def wanted_files(needed: Mapping[str, str], cache: Path) -> dict[str, str]:
    """MD5 of each file of outputs by its path; the listings must be in the cache."""
    files: dict[str, str] = {}
    for path, md5 in needed.items():
        if md5.endswith(LISTING):
            listing = read_listing(object_path(cache, md5).read_bytes(), f"output {path}")
            files |= {f"{path}/{name}": one for name, one in listing.items()}
        else:
            files[path] = md5
    return files


def object_path(cache: Path, md5: str) -> Path:
    """Where the cache has an object."""
    return cache / md5[:2] / md5[2:]


class _Remote:
    """DVC's remote, opened when the first object is fetched; that of the checkout unless settings say where it is."""

    def __init__(self, stack: ExitStack, settings: Mapping[str, Any] | None = None) -> None:
        self._stack = stack
        self._settings = settings
        self._opened: Any = None

    def get(self, md5: str, target: Path) -> None:
        """Write the remote's object of that name to a file, whatever its bytes are."""
        self._opened.fs.get_file(self._opened.oid_to_path(md5), str(target))

    def open(self) -> None:
        """Open the remote."""
        if self._opened is not None:
            return
        if self._settings is None:
            self._opened = self._stack.enter_context(opened_remote("pull"))
            return
        try:
            self._opened = _remote_at(self._settings)
        except Exception as error:  # whatever a wrong setting raises
            raise OntimeError(f"DVC remote: {one_line(error)}") from None


def _remote_at(settings: Mapping[str, Any]) -> Any:
    from dvc.data_cloud import Remote
    from dvc.fs import get_cloud_fs

    kind, options, path = get_cloud_fs(None, **settings)
    return Remote("remote", path, kind(**options), **options).odb


def _bring(wanted: Mapping[str, str], cache: Path, remote: _Remote, may_be_absent: bool = False) -> int:
    """Fetch what the cache lacks; `wanted` has the path of each object's output or file, by its MD5."""
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        lacking = [md5 for md5, good in zip(wanted, pool.map(_cached(cache), wanted), strict=True) if not good]
        if not lacking:
            return 0
        remote.open()
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".ontime-pull-", dir=cache) as top:

            def got(md5: str) -> Path | None:
                return _get(remote, Path(top) / md5, wanted[md5], may_be_absent)

            try:
                # all are checked before one is kept
                fetched = [path for path in pool.map(got, lacking) if path]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            for path in fetched:
                path.chmod(OBJECT_MODE)
                kept = object_path(cache, path.name)
                kept.parent.mkdir(exist_ok=True)
                path.replace(kept)
    return len(fetched)


def _cached(cache: Path) -> Callable[[str], bool]:
    def cached(md5: str) -> bool:
        """Whether the cache has the object; one with other bytes is removed."""
        path = object_path(cache, md5)
        if not os.path.lexists(path):
            return False
        if path.is_file() and is_cache_object(path):
            return True
        path.unlink()
        return False

    return cached


def _get(remote: _Remote, target: Path, path: str, may_be_absent: bool) -> Path | None:
    md5 = target.name
    try:
        remote.get(md5, target)
    except FileNotFoundError:
        if may_be_absent:
            return None
        raise OntimeError(
            f"output {path}: object {md5}: neither in DVC's cache nor in its remote; `dvc push` where it was made"
        ) from None
    except Exception as error:  # whatever the storage's own library raises
        raise OntimeError(f"output {path}: object {md5}: not fetched: {one_line(error)}") from None
    found = md5_of(target)
    if found != md5.removesuffix(LISTING):
        raise OntimeError(
            f"output {path}: object {md5}: the remote has other bytes by that name (MD5 {found}), so nothing was "
            "written; put its earlier version back (deployment/configurations/iam/README.md)"
        )
    return target


def forget_listings() -> None:
    """Drop DVC's own index of folders' files, which it fills from listings without checking them."""
    from dvc.repo import Repo

    with Repo() as repo:
        repo.drop_data_index()
