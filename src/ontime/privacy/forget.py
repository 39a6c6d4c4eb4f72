"""Forget a person: remove the rows, list older versions for removal when it is due, and prove that nothing is left.

In: the places that `privacy:` in `params.yaml` names. Out: the raw table, log, labels and what monitoring kept without
the rows; a signed record in `data/forgotten` that names nobody; models trained again. `--due` is for a scheduled job.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from ontime.common.errors import OntimeError
from ontime.datasets.content import digest_of, without_secrets
from ontime.model_deployment.inference.signing import PRIVATE_KEY
from ontime.monitoring.prune import pruned
from ontime.monitoring.store import Store
from ontime.privacy.places import CACHE, LOG, REGISTRY, REMOTE, dvc_objects, every_object, tagged_images
from ontime.privacy.record import FOLDER, Digests, Record, forgotten_at, now, read_records, remove_from, write_record
from ontime.privacy.rows import SOURCE, TABLES, Part, content_without, load_source, parts_of, remove_rows
from ontime.privacy.search import Search
from ontime.privacy.settings import NO_PERSONS, Privacy, load_privacy
from ontime.privacy.stored import Stored
from ontime.privacy.subject import read_names, search_for
from ontime.privacy.table_versions import remove_versions, versions_with
from ontime.privacy.tables import write_bytes
from ontime.privacy.trainings import MLFLOW, Trainings
from ontime.privacy.versions import Found, derived_from, needed, released_digests, remove_objects, search_objects
from ontime.release import release_file
from ontime.release.registry_client import Repository
from ontime.repository.dvc import show
from ontime.repository.pinned import pin_table


@click.command(name="forget")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--check", is_flag=True, help="Change nothing; read every object and fail if somebody is left.")
@click.option("--due", is_flag=True, help="Remove what earlier records say is due, and old days of the log.")
@click.option(
    "--key", type=click.Path(path_type=Path), default=PRIVATE_KEY, show_default=True, help="Private key, PEM."
)
@click.option("--run/--no-run", default=True, help="Run the graph afterwards.")
def command(keys: tuple[str, ...], check: bool, due: bool, key: Path, run: bool) -> None:
    """Remove what is held of the persons KEY..., or of those in standard input with `-`."""
    if due == bool(keys) or (check and due):
        raise click.UsageError("name persons, with --check or without, or say --due")
    privacy = load_privacy()
    if privacy.subject is None:
        click.echo(NO_PERSONS)
        return
    if due:
        remove_due(privacy, key)
    elif check:
        prove(privacy, read_names(keys), key)
    else:
        forget(privacy, read_names(keys), key)
        if run:
            show("repro")


def forget(privacy: Privacy, names: frozenset[str], private_key: Path) -> None:
    """Remove the rows, and write the record.

    Raises:
        OntimeError: rows are left that somebody else must remove, after all others were; or a place cannot be read or
            has other rows than before, and nothing was changed.
    """
    digests = Digests(private_key)
    source = load_source(privacy)
    search = search_for(source, names, private_key)
    parts = [part for part in parts_of(privacy, source, search) if part.mask.any()]
    left = [part for part in parts if part.kept_by]
    parts = [part for part in parts if not part.kept_by]
    # before anything is changed
    contents = {part.name: content_without(part) for part in parts if part.place in TABLES}
    found = search_objects(dvc_objects(), search)
    objects, derived = sorted(found.objects), derived_from(found)
    runs = sorted(name for name, is_theirs in runs_of(privacy, search, found) if is_theirs)
    # the present version of a table is an earlier one soon
    versions = versions_with(source.address, privacy, search)
    if not (parts or left or objects or runs or versions):
        click.echo("nothing about them was found; `ontime forget --check` searches every other place too")
        return
    images = [f"{name}@{digest}" for name in privacy.images for digest in sorted(set(tagged_images(name).values()))]
    time = now()
    record = Record(
        what="forgotten",
        time=time.isoformat(),
        rows={
            digests.of(name): sorted(digests.of(name, row) for row in source.row_keys(name)) for name in sorted(names)
        },
        counts=dict(_counted(parts)),
        objects=objects,
        derived=derived,
        versions=versions,
        images=images,
        runs=runs,
        remove_from=remove_from(time, privacy.keep_versions_days).isoformat(),
    )
    # the raw table last, because its rows say which ones of the other places are theirs
    for part in parts:
        if part.place not in TABLES:
            remove_rows(part)
        elif part.place != SOURCE:
            write_bytes(part.name, contents[part.name])
    written = write_record(record, private_key)
    if own := [part for part in parts if part.place == SOURCE]:
        for part in own:
            # a folder's file without rows could not be read
            if part.mask.all() and len(source.files) > 1:
                Path(part.name).unlink()
            else:
                write_bytes(part.name, contents[part.name])
        pin_table(source.address, digest_of(source.address))
    for place, count in _counted(parts).items():
        click.echo(f"{place}: {count} rows removed")
    listed = f"{len(objects)} objects with them, {len(derived)} made from those, {len(images)} images"
    click.echo(f"{listed}{f', {len(runs)} runs in MLflow' if privacy.mlflow else ''}: to be removed")
    click.echo(f"from {record.remove_from} on by `ontime forget --due`; commit, push and release before that")
    click.echo(f"signed record: {written}")
    if left:
        raise OntimeError(
            "\nerror: ".join(
                f"{part.place}: {len(part.found)} rows stay in {without_secrets(part.name)}, {part.kept_by}"
                f"{', then run `ontime refresh` and `dvc repro`' if part.place == SOURCE else ''}"
                for part in left
            )
        )


def runs_of(privacy: Privacy, search: Search, found: Found, before: float | None = None) -> Iterator[tuple[str, bool]]:
    """Each run that MLflow has, and whether it is of the subjects; none where trainings are not recorded."""
    if privacy.mlflow:
        yield from Trainings(privacy.mlflow).theirs(search, found.hashes(), before)


def _counted(parts: list[Part]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for part in parts:
        counts[part.place] += int(part.mask.sum())
    return counts


def prove(privacy: Privacy, names: frozenset[str], private_key: Path) -> None:
    """Read every object of every place.

    Raises:
        OntimeError: somebody is in one, or a place cannot be read.
    """
    search = search_for(load_source(privacy), names, private_key)
    read: Counter[str] = Counter()
    found: Counter[str] = Counter()
    stored = Found()

    def note(place: str, name: str, is_theirs: bool) -> None:
        read[place] += 1
        if is_theirs:
            found[place] += 1
            click.echo(f"found: {place}: {name}")

    for one in every_object(privacy):
        is_object = one.place in (CACHE, REMOTE)
        note(one.place, one.name, stored.add(one, search) if is_object else search.found_in(one.content))
    last = forgotten_at(read_records(private_key), names, private_key)
    for name, is_theirs in runs_of(privacy, search, stored, last):
        note(MLFLOW, f"run {name}", is_theirs)
    for place, count in read.items():
        click.echo(f"{place}: {count} objects read, {found[place]} with them")
    if found:
        raise OntimeError(f"{found.total()} of {read.total()} objects still have something about them")
    click.echo("nothing about them is left")


def remove_due(privacy: Privacy, private_key: Path) -> None:
    """Remove what is due by the records, and days of the log beyond the policy, with their earlier versions.

    Raises:
        OntimeError: something that is due is still needed, or a place refused; the others are cleaned.
    """
    today = datetime.now(UTC).date()
    if privacy.log:
        removed, _ = pruned(privacy.log, today - timedelta(days=privacy.keep_log_days - 1))
        versions = _remove_log_versions(privacy)
        click.echo(f"{LOG}: {len(removed)} files of old days and {versions} earlier versions removed")
    records = read_records(private_key)
    done = {record.of for record in records.values()}
    due = {
        name: record
        for name, record in records.items()
        if record.remove_from and record.remove_from <= today.isoformat() and name not in done
    }
    left: list[str] = []
    refused: list[str] = []
    kept = needed() if due else set()
    for name, record in due.items():
        # what a kept version has in common with an older one was made without them too
        counts, shared = remove_objects([*record.objects, *record.derived], kept)
        still = sorted(set(shared) & set(record.objects))
        images, deployed = _remove_images(record.images)
        left += [*still, *deployed]
        counts |= {REGISTRY: images} if images else {}
        counts |= remove_versions(record.versions)
        try:
            counts |= _remove_runs(privacy, record.runs)
        except OntimeError as error:
            # the other places are cleaned all the same
            refused.append(str(error))
        told = ", ".join(f"{count} of {place}" for place, count in counts.items()) or "nothing"
        click.echo(f"{FOLDER / name}: removed {told}")
        # a scheduled job has no key to sign with; it finds nothing left to remove the next time
        if not still and not deployed and not refused and private_key.exists():
            write_record(
                Record(what="older versions removed", time=now().isoformat(), counts=counts, of=name), private_key
            )
    if left:
        refused.append(
            f"{len(left)} objects or images that are due are still needed, such as {left[0]}: run `dvc repro`, commit, "
            "push and release a model without them first"
        )
    if refused:
        raise OntimeError("\nerror: ".join(dict.fromkeys(refused)))
    click.echo(f"{len(due)} records were due")


def _remove_log_versions(privacy: Privacy) -> int:
    """Remove versions of the log's files that were replaced, once they are as old as the policy says."""
    address = str(privacy.log)
    stored = Stored(*Store(address).place, address)
    first = datetime.now(UTC) - timedelta(privacy.keep_versions_days)
    old = [one for one in stored.objects() if not one.latest and one.time is not None and one.time <= first]
    for one in old:
        stored.remove(one)
    return len(old)


def _remove_runs(privacy: Privacy, runs: list[str]) -> dict[str, int]:
    """Remove runs of MLflow; their number, if there were any."""
    if not runs:
        return {}
    if not privacy.mlflow:
        raise OntimeError("params.yaml: privacy.mlflow: needed to remove runs that are due; name the server")
    count, shown = Trainings(privacy.mlflow).remove(runs)
    if shown:
        click.echo(
            f"{MLFLOW}: `mlflow gc --run-ids {','.join(shown)}` on its server removes what it still shows of them"
        )
    return {MLFLOW: count} if count else {}


def _remove_images(images: list[str]) -> tuple[int, list[str]]:
    """Remove images that no release file names; the number, and those that one names."""
    released = released_digests(release_file.FOLDER)
    deployed = [image for image in images if image.partition("@")[2] in released]
    for image in images:
        if image not in deployed:
            name, _, digest = image.partition("@")
            Repository(name).remove(digest)
    return len(images) - len(deployed), deployed
