"""Whose repository this is: every place of the tracked files that a team edits, set together.

A place is found by the text around it, so that a value may be set again. What is set at GitHub and in the cluster is no
file, and is not here.
"""

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ontime.common.errors import OntimeError
from ontime.common.files import write_text
from ontime.repository.git import listed_files
from ontime.repository.remote import ADDRESS, set_remote

ROOTS = (".dvc", ".github", "argocd", "deployment", "docs", "pipelines")
IAM = "deployment/configurations/iam"
PLATFORM = "argocd/platform/*.yaml"


@dataclass(frozen=True)
class Option:
    """An option of `ontime init`: what a value must look like, one that does, and what it is."""

    form: str
    example: str
    help: str


OPTIONS = {
    "repository": Option(
        r"[A-Za-z0-9](?:-?[A-Za-z0-9])*/[\w-][\w.-]*", "team/model", "OWNER/NAME of this repository on GitHub."
    ),
    "registry": Option(
        r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d+)?", "registry.example", "Host of the registry of the images."
    ),
    "domain": Option(
        r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+", "team.example", "Domain of Argo CD's page and of the mail."
    ),
    "buckets": Option(
        r"[a-z0-9][a-z0-9-]{1,40}", "team-model", "How the names of the buckets beside the DVC remote's begin."
    ),
    "aws_account": Option(r"\d{12}", "111122223333", "Number of the account of AWS."),
    "region": Option(r"[a-z]{2}(?:-[a-z]+)+-\d", "eu-west-1", "Region of AWS."),
    "google_project": Option(r"\d{6,19}", "123456789012", "Number of the project of Google Cloud."),
    "azure_subscription": Option(
        r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "00000000-0000-0000-0000-000000000000",
        "Id of the subscription of Azure.",
    ),
    "release_app": Option(r"[1-9]\d*", "1234567", "Id of the GitHub App that opens the pull requests of releases."),
}


@dataclass(frozen=True)
class Place:
    """Where a value stands: files by a pattern of their paths, and what is around the group `value`.

    In `around`, `{repository}` is the present name of the repository.
    """

    name: str
    files: str
    around: str


PLACES = (
    # the first place of a value says what it is now
    Place("repository", "argocd/bootstrap.yaml", r"github\.com/(?P<value>[\w.-]+/[\w.-]+)\.git"),
    Place(
        "repository",
        "*",
        r"(?:github\.com/|repos?[:/]|--repo |--signer-workflow |repository == '|--repository )"
        r"(?P<value>{repository})(?![\w-])",
    ),
    Place("owner", ".github/CODEOWNERS", r"\s@(?P<value>[\w-]+)/"),
    Place("registry", ".github/workflows/*", r"vars\.REGISTRY \|\| '(?P<value>[^']+)'"),
    Place("registry", "docs/*.md", r"`REGISTRY`, if it is not `(?P<value>[^`]+)`"),
    Place("image", "argocd/platform/airflow.yaml", r"repository: (?P<value>\S+)-pipelines"),
    Place("image", "docs/operations.md", r"reference: (?P<value>\S+)@sha256"),
    Place("image", "deployment/configurations/*/README.md", r"SERVICE=(?P<value>\S+)@sha256"),
    Place("image", "deployment/configurations/*/README.md", r"(?:--tag|newName:) (?P<value>\S+)-saved-model"),
    Place("domain", "argocd/settings/argocd.yaml", r"https://argocd\.(?P<value>[\w.-]+)"),
    Place("domain", "argocd/platform/kube_prometheus_stack.yaml", r"smtp\.(?P<value>[\w.-]+):"),
    Place("domain", "argocd/platform/kube_prometheus_stack.yaml", r"[\w.-]+@(?P<value>[\w.-]+)"),
    Place("domain", f"{IAM}/google/bucket-policy.json", r"group:[\w.-]+@(?P<value>[\w.-]+)"),
    Place("domain", "docs/operations.md", r"https://login\.(?P<value>[\w.-]+)"),
    Place("bucket", f"{IAM}/bucket-policy.json", r"arn:aws:s3:::(?P<value>[^/\"*]+)"),
    Place("bucket", f"{IAM}/*.json", r"arn:aws:s3:::(?P<value>{bucket})(?=[/\"])"),
    Place("bucket", f"{IAM}/google/*.json", r"/buckets/(?P<value>[^/]+)/"),
    Place(
        "bucket",
        f"{IAM}/*.md",
        r"(?:bucket, `|://|--(?:bucket|name|container-name) |--copy-source \")(?P<value>{bucket})(?=[`/\s])",
    ),
    Place("prefix", f"{IAM}/*.json", r"arn:aws:s3:::{bucket}/(?P<value>[^*\"]+)/\*"),
    Place("prefix", f"{IAM}/*.json", r"\"(?P<value>{prefix})(?=/\*\"|\")"),
    Place("prefix", f"{IAM}/google/*.json", r"/objects/(?P<value>[^\"\\]+)/"),
    Place("prefix", f"{IAM}/*.md", r"(?:below `|(?:key|prefix|key is) [\"`]?|{bucket}/)(?P<value>{prefix})(?=/|`| )"),
    Place("storage_account", f"{IAM}/azure/README.md", r"--account (?P<value>[a-z0-9]+)"),
    Place(
        "storage_account", f"{IAM}/azure/README.md", r"(?:-account|-name|create --name) (?P<value>{storage_account})\b"
    ),
    Place("buckets", "argocd/platform/mlflow.yaml", r"bucket: (?P<value>[a-z0-9-]+)-mlflow"),
    Place("buckets", PLATFORM, r"(?:bucket: |s3://)(?P<value>{buckets})-(?:mlflow|databases|predictions)"),
    Place("buckets", "docs/*.md", r"(?:bucket: |s3://)(?P<value>{buckets})-(?:mlflow|databases)"),
    Place("buckets", f"{IAM}/*", r"(?:`|s3:::|s3://)(?P<value>{buckets})-predictions"),
    Place("aws_account", f"{IAM}/bucket-policy.json", r"arn:aws:iam::(?P<value>\d{12}):"),
    Place("aws_account", f"{IAM}/*.json", r"arn:aws:iam::(?P<value>\d{12}):"),
    Place("aws_account", PLATFORM, r"arn:aws:iam::(?P<value>\d{12}):"),
    Place("region", "argocd/platform/mlflow.yaml", r"\bregion: (?P<value>[\w-]+)"),
    Place("region", PLATFORM, r"\bregion: (?P<value>[\w-]+)"),
    Place("region", "docs/operations.md", r"\bregion: (?P<value>[\w-]+)"),
    Place("region", ".dvc/config", r"\bregion = (?P<value>[\w-]+)"),
    Place("region", ".github/*", r"vars\.AWS_REGION \|\| '(?P<value>[^']+)'"),
    Place("region", ".github/actions/setup/action.yml", r"default: (?P<value>{region})"),
    Place("region", f"{IAM}/README.md", r"`AWS_REGION` where it is not (?P<value>[\w-]*\w)"),
    Place("google_project", f"{IAM}/google/*", r"projects/(?P<value>\d+)/locations"),
    Place("azure_subscription", f"{IAM}/azure/*-role.json", r"/subscriptions/(?P<value>[0-9a-f-]+)/"),
    Place("release_app", ".github/rulesets/*", r"\"actor_id\": (?P<value>\d+), \"actor_type\": \"Integration\""),
)


@dataclass(frozen=True)
class Change:
    """A file's new text, and how often each value there is replaced by which."""

    text: str
    replaced: dict[tuple[str, str], int]


def team_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of this module, and `--dry-run`."""
    for name, option in reversed(OPTIONS.items()):
        command = click.option(f"--{name.replace('_', '-')}", name, help=option.help)(command)
    return click.option("--dry-run", is_flag=True, help="Of what belongs to the team: show it, and write nothing.")(
        command
    )


def present(top: Path = Path()) -> dict[str, str]:
    """Each value as the checkout in a folder has it now, by name; one whose place is gone is absent."""
    found: dict[str, str] = {}
    files = _files(top)
    for place in PLACES:
        if place.name in found:
            continue
        for name in fnmatch.filter(files, place.files):
            if match := _pattern(place, found).search((top / name).read_text(encoding="utf-8")):
                found[place.name] = match["value"]
                break
    return found


def changes(
    given: Mapping[str, str | None], remote: str | None = None, account: str | None = None, top: Path = Path()
) -> dict[str, Change]:
    """What the files would be with other values.

    Args:
        given: values by the names of `OPTIONS`; None leaves one as it is.
        remote: address of the DVC remote, whose bucket and prefix the documents of access name.
        account: Azure's storage account of the remote.
        top: the checkout's folder.

    Returns:
        The changed files by their paths in the checkout, in order.

    Raises:
        OntimeError: a value has not the form of what it stands for, or no file has a place for it.
    """
    now, wanted = present(top), {name: value for name, value in given.items() if value is not None}
    for name, value in wanted.items():
        option = f"--{name.replace('_', '-')}"
        if not re.fullmatch(OPTIONS[name].form, value):
            raise OntimeError(f"{option} {value}: expected a value such as {OPTIONS[name].example}")
        if name not in now:
            raise OntimeError(f"{option}: no file of this checkout has a place for it")
    wanted |= _following(wanted, now, remote, account)
    files = _files(top)
    texts: dict[str, str] = {}
    replaced: dict[str, dict[tuple[str, str], int]] = {}
    for place in PLACES:
        if place.name not in wanted or place.name not in now:
            continue
        # what was replaced before, in texts that have it already
        around = {**{name: wanted.get(name, value) for name, value in now.items()}, place.name: now[place.name]}
        for name in fnmatch.filter(files, place.files):
            before = texts.get(name) or (top / name).read_text(encoding="utf-8")
            text, counts = _put(before, _pattern(place, around), wanted[place.name])
            if counts:
                texts[name] = text
                for pair, count in counts.items():
                    known = replaced.setdefault(name, {})
                    known[pair] = known.get(pair, 0) + count
    return {name: Change(texts[name], replaced[name]) for name in sorted(texts)}


def own(given: Mapping[str, str | None], remote: str | None, account: str | None, dry_run: bool) -> None:
    """Set values and the DVC remote, and print the places file by file.

    Raises:
        OntimeError: a value or the remote is refused; nothing is written.
    """
    if account and not remote:
        raise OntimeError("--account: only with --remote azure://CONTAINER/PREFIX")
    name = set_remote(remote, account, dry_run=True) if remote else ""
    found = changes(given, remote, account)
    for line in _told(found):
        click.echo(line)
    if remote:
        click.echo(f".dvc/config: the remote {name} is {remote}")
    if dry_run:
        click.echo("nothing was written")
        return
    if remote:
        set_remote(remote, account)
        # it writes a file that has other places
        found = changes(given, remote, account)
    for path, change in found.items():
        write_text(Path(path), change.text)
    click.echo(f"wrote it; commit it{', then `ontime cache --push`' if remote else ''}")


def _following(
    wanted: Mapping[str, str], now: Mapping[str, str], remote: str | None, account: str | None
) -> dict[str, str]:
    """Values that follow from others: the owner, an image's name, the parts of the remote's address."""
    found = {}
    if "repository" in wanted:
        found["owner"] = wanted["repository"].partition("/")[0]
    if {"repository", "registry"} & wanted.keys() and {"repository", "registry"} <= now.keys():
        both = {**now, **wanted}
        found["image"] = f"{both['registry']}/{both['repository']}".lower()
    if remote and (match := ADDRESS.fullmatch(remote)):
        found["bucket"], _, prefix = remote.removeprefix(f"{match['kind']}://").rstrip("/").partition("/")
        if not prefix and "prefix" in now:
            raise OntimeError(
                f"--remote {remote}: give a prefix too, to which {IAM} limits the jobs, as in {remote}/dvc"
            )
        found["prefix"] = prefix
    if account:
        found["storage_account"] = account
    return found


def _files(top: Path) -> list[str]:
    return sorted(name for name in listed_files(top) if Path(name).parts[0] in ROOTS)


def _pattern(place: Place, now: Mapping[str, str]) -> "re.Pattern[str]":
    # what is not known matches nothing
    known = {name: re.escape(value) for name, value in now.items()}
    names = {
        name: known.get(name, r"(?!)")
        for name in ("repository", "bucket", "prefix", "storage_account", "buckets", "region")
    }
    return re.compile(re.sub(r"\{([a-z_]+)\}", lambda match: names[match[1]], place.around))


def _put(text: str, around: "re.Pattern[str]", value: str) -> tuple[str, dict[tuple[str, str], int]]:
    parts, end, counts = [], 0, dict[tuple[str, str], int]()
    for match in around.finditer(text):
        if match["value"] == value:
            continue
        parts += [text[end : match.start("value")], value]
        end = match.end("value")
        counts[match["value"], value] = counts.get((match["value"], value), 0) + 1
    return "".join([*parts, text[end:]]), counts


def _told(found: Mapping[str, Change]) -> Iterator[str]:
    """A line for each file with what is replaced there."""
    for name, change in found.items():
        parts = [
            f"{old} -> {new}" + (f" ({count} places)" if count > 1 else "")
            for (old, new), count in change.replaced.items()
        ]
        yield f"{name}: {'; '.join(parts)}"
