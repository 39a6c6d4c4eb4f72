"""Repositories to release from, made without running a graph, and a registry to push images to."""

import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.model_deployment.inference.manifest import Feature, File, Manifest
from ontime.release.commands import command
from ontime.release.commit_checks import folder_md5
from ontime.release.image import DOCKERFILE
from ontime.release.image_configuration import configuration_of
from ontime.release.release_file import Release, path_of, render
from tests.checkouts import TOP, git
from tests.servers import free_port, http_server

NAME = "flight-delay"
IMAGE = "registry.example/team/ontime"
RELEASE = Release(
    version="v1.2.0", commit="0123456789" * 4, model_sha256="ab" * 32, image=IMAGE, digest=f"sha256:{'cd' * 32}"
)
"""An example."""
STAGES = ("staging", "production")
LINKS = ["release file", "tag", "commit", "dvc.lock", "model", "manifest"]
IMAGE_LINKS = ["image", "configuration", "model layer", "signature"]
"""What `ontime verify release` traces, in order."""
GRAPH = f"""\
artifacts:
  {NAME}:
    path: models/champion
    type: model
stages:
  export:
    cmd: export
    deps: [code.txt]
    outs: [models/champion]
"""
START_SECONDS = 30


def digest_of(text: str) -> str:
    """A digest that no image has."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def isolated(home: Path) -> dict[str, str]:
    """Variables with which git and DVC see no settings but a repository's own."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "DVC_NO_ANALYTICS": "1",
    }


@dataclass(frozen=True)
class Repository:
    """A checkout on main, the bare repository that it pushes to, and a folder as its DVC remote."""

    checkout: Path
    origin: Path
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """The champion's files by commit."""

    def git(self, *arguments: str) -> str:
        """Run git in the checkout, without the end of the last line."""
        return git(self.checkout, *arguments).removesuffix("\n")

    def clone(self, target: Path) -> "Repository":
        """Another checkout of the same origin, with the same DVC cache."""
        git(target.parent, "clone", "--quiet", str(self.origin), str(target))
        identify(target)
        shutil.copytree(self.checkout / ".dvc" / "cache", target / ".dvc" / "cache")
        return Repository(target, self.origin, self.files)

    def make_model(self, text: str, pushed: bool = True) -> str:
        """Change the code, make a model of it as `dvc repro` and `dvc push` would, commit; the commit."""
        (self.checkout / "code.txt").write_text(text)
        files = champion(text)
        lock(self.checkout, files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"Model of {text}")
        commit = self.git("rev-parse", "HEAD")
        self.files[commit] = files
        if pushed:
            self.git("push", "--quiet", "origin", "HEAD:main")
        return commit

    def publish(self, stage: str, version: str, commit: str | None = None, **changes: str) -> Release:
        """Commit a release file to main and push it, without asking anybody."""
        commit = commit or self.git("rev-parse", f"{NAME}@{version}^{{commit}}")
        found = json.loads(self.files[commit]["manifest.json"])["files"]["model.onnx"]["sha256"]
        facts = {"image": IMAGE, "digest": digest_of(version), "model_sha256": found, **changes}
        release = Release(version=version, commit=commit, **facts)
        (self.checkout / path_of(stage)).write_text(render(release))
        self.git("commit", "--quiet", "--all", "--message", f"{stage} {version}")
        self.git("push", "--quiet", "origin", "HEAD:main")
        return release

    def tag(self, tag: str, commit: str = "HEAD", seconds: int | None = None) -> None:
        """An annotated tag, made by hand, at a time or after every other one."""
        if seconds is None:
            times = self.git("for-each-ref", "--format=%(taggerdate:unix)", "refs/tags").split()
            seconds = max([int(time.time()), *(int(one) + 1 for one in times)])
        subprocess.run(
            ["git", "tag", "--annotate", "--message=by hand", tag, f"{commit}^{{}}"],
            cwd=self.checkout,
            env={**os.environ, "GIT_COMMITTER_DATE": f"@{seconds} +0000"},
            check=True,
        )

    def state(self) -> dict[str, str]:
        """Everything that a refused command must leave as it was: refs of both repositories and changed files."""
        refs = "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags", "refs/ontime"
        return {
            "checkout": self.git(*refs),
            "origin": git(self.origin, *refs),
            "files": self.git("status", "--porcelain"),
        }


def make_repository(top: Path) -> Repository:
    """A repository with one model on main, nothing registered, nothing released."""
    origin, checkout = top / "origin.git", top / "checkout"
    git(top, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    git(top, "init", "--quiet", "--initial-branch=main", str(checkout))
    identify(checkout)
    git(checkout, "remote", "add", "origin", str(origin))
    for name, text in {
        ".dvc/config": f"[core]\n    remote = store\n['remote \"store\"']\n    url = {top / 'store'}\n",
        ".dvc/.gitignore": "/cache\n/tmp\n/config.local\n",
        ".gitignore": "/models/champion\n",
        str(DOCKERFILE): (TOP / DOCKERFILE).read_text(encoding="utf-8"),
        ".gto": f"stages: [{', '.join(STAGES)}]\n",
        "dvc.yaml": GRAPH,
        **{str(path_of(stage)): render(None) for stage in STAGES},
    }.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
    repository = Repository(checkout, origin)
    repository.make_model("first")
    git(checkout, "fetch", "--quiet", "origin")
    return repository


def identify(checkout: Path) -> None:
    """Give a checkout an author."""
    git(checkout, "config", "user.name", "test")
    git(checkout, "config", "user.email", "test@example.invalid")


def refused(repository: Repository, *arguments: str) -> str:
    """The one line with which a command is refused; nothing has changed."""
    before = repository.state()
    with pytest.raises(OntimeError) as error:
        release(*arguments)
    assert repository.state() == before
    assert "\n" not in str(error.value)
    return str(error.value)


def champion(text: str) -> dict[str, bytes]:
    """Files of a champion whose model is the text."""
    files = {"golden.json": b"{}\n", "model.onnx": f"model of {text}".encode(), "vocabulary.json": b"{}\n"}
    manifest = Manifest(
        name=NAME,
        model="gradient_boosting",
        input="features",
        output="probability",
        files={
            name: File(sha256=hashlib.sha256(content).hexdigest(), size=len(content)) for name, content in files.items()
        },
        features=[Feature(name="size", type="number", may_be_missing=False, typical=1.0)],
        threshold=0.5,
        golden_tolerance=1e-5,
        training_data_sha256="0" * 64,
        metrics={},
        packages={},
    )
    files["manifest.json"] = json.dumps(manifest.as_json()).encode()
    return files


def lock(checkout: Path, files: Mapping[str, bytes]) -> None:
    """Write `dvc.lock` for the code as it is and put the champion into DVC's cache and remote."""
    code = (checkout / "code.txt").read_bytes()
    listing = [{"md5": md5(files[name]), "relpath": name} for name in sorted(files)]
    folder = folder_md5(dict(files))
    objects = {md5(content): content for content in files.values()}
    objects[f"{folder}.dir"] = json.dumps(listing, sort_keys=True).encode()
    for top in (checkout / ".dvc" / "cache", checkout.parent / "store"):
        for name, content in objects.items():
            path = top / "files" / "md5" / name[:2] / name[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_bytes(content)
    size = sum(len(content) for content in files.values())
    (checkout / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  export:\n    cmd: export\n    deps:\n"
        f"    - path: code.txt\n      hash: md5\n      md5: {md5(code)}\n      size: {len(code)}\n    outs:\n"
        f"    - path: models/champion\n      hash: md5\n      md5: {folder}.dir\n"
        f"      size: {size}\n      nfiles: {len(files)}\n"
    )


def md5(content: bytes) -> str:
    """MD5 as DVC uses it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@contextmanager
def registry_server(folder: Path) -> Iterator[str]:
    """Host and port of an image registry on loopback: Debian's docker-registry, or else a stand-in for tests."""
    if shutil.which("docker-registry"):
        yield from _docker_registry(folder)
        return
    with http_server(type("Handler", (StandIn,), {"objects": {}})) as host:
        yield host


def _docker_registry(folder: Path) -> Iterator[str]:
    host = f"127.0.0.1:{free_port()}"
    settings = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": host},
    }
    (folder / "registry.yml").write_text(json.dumps(settings))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "registry.yml")], stdout=log, stderr=log, cwd=folder
        )
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                _session().get(f"http://{host}/v2/", timeout=1)
                break
            except requests.RequestException:
                assert process.poll() is None and time.monotonic() < end, (folder / "registry.log").read_text()
                time.sleep(0.05)
        yield host
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


class StandIn(http.server.BaseHTTPRequestHandler):
    """As much of the distribution API as pushing and pulling by digest takes."""

    objects: dict[str, tuple[str, bytes]]

    def do_GET(self) -> None:
        """What was pushed, by its path."""
        kind, content = self.objects.get(self.path, ("", b""))
        status = 200 if kind or self.path == "/v2/" else 404
        self._answer(status, content, {"Content-Type": kind})

    def do_POST(self) -> None:
        """Begin an upload."""
        self._answer(202, b"", {"Location": f"{self.path}one"})

    def do_PUT(self) -> None:
        """Keep a blob or a manifest."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        path = re.sub(r"/uploads/.*|/manifests/.*", "/", self.path)
        kept = (self.headers.get("Content-Type", "application/octet-stream"), content)
        if "/uploads/" in self.path:
            self.objects[path + digest] = kept
        else:
            self.objects[f"{path}manifests/{digest}"] = self.objects[self.path] = kept
        self._answer(201, b"", {"Docker-Content-Digest": digest})

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def push_image(
    host: str,
    name: str,
    files: Mapping[str, bytes],
    arguments: Mapping[str, str],
    change: Callable[[dict[str, Any]], None] | None = None,
) -> str:
    """Push an image with two layers, the files in the last one, and the configuration that the Dockerfile makes.

    Args:
        arguments: of the build.
        change: of the configuration.

    Returns:
        The image's digest.
    """
    own = configuration_of((TOP / DOCKERFILE).read_text(encoding="utf-8"), arguments)
    own["Env"] = [f"{key}={value}" for key, value in own["Env"].items()]
    configuration = {"architecture": "amd64", "os": "linux", "config": own}
    if change is not None:
        change(configuration)
    return push_layers(host, name, configuration, [archive({"etc/runtime": b"runtime"}), archive(files)])


def push_release(checkout: Path, host: str, version: str) -> str:
    """Push an image of a checkout's signed champion as the release workflow would; its digest."""
    folder = checkout / "models" / "champion"
    files = {f"models/champion/{path.name}": path.read_bytes() for path in folder.iterdir()}
    for ending in (".sig", ".pub"):
        files[f"models/champion{ending}"] = folder.with_suffix(ending).read_bytes()
    arguments = {
        "GIT_COMMIT": git(checkout, "rev-parse", "HEAD").strip(),
        "MODEL_VERSION": version.removeprefix("v"),
        "MODEL_SHA256": read_json(folder / "manifest.json")["files"]["model.onnx"]["sha256"],
    }
    return push_image(host, "team/ontime", files, arguments)


def push_layers(host: str, name: str, configuration: Mapping[str, Any], layers: Sequence[bytes]) -> str:
    """Push an image of archives; its digest."""
    diff_ids = [digest_of_bytes(layer) for layer in layers]
    whole = {**configuration, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    parts = [json.dumps(whole).encode(), *(gzip.compress(layer, 1, mtime=0) for layer in layers)]
    kinds = ["container.image.v1+json", *["image.rootfs.diff.tar.gzip"] * len(layers)]
    described = [
        {"mediaType": f"application/vnd.docker.{kind}", "digest": push_blob(host, name, content), "size": len(content)}
        for kind, content in zip(kinds, parts, strict=True)
    ]
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": described[0], "layers": described[1:]}
    return push_manifest(host, name, manifest)


def push_blob(host: str, name: str, content: bytes) -> str:
    """Push bytes; their digest."""
    digest = digest_of_bytes(content)
    with _session() as session:
        begun = session.post(f"http://{host}/v2/{name}/blobs/uploads/")
        address = urljoin(f"http://{host}", begun.headers["Location"])
        session.put(address, params={"digest": digest}, data=content).raise_for_status()
    return digest


def push_manifest(host: str, name: str, manifest: Mapping[str, Any], tag: str = "1") -> str:
    """Push a manifest or an index under a tag; its digest."""
    content = json.dumps(manifest).encode()
    with _session() as session:
        address = f"http://{host}/v2/{name}/manifests/{tag}"
        session.put(address, data=content, headers={"Content-Type": manifest["mediaType"]}).raise_for_status()
    return digest_of_bytes(content)


def digest_of_bytes(content: bytes) -> str:
    """sha256:…"""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def archive(files: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    """An archive of files, or of members as they are."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, held in files.items():
            if isinstance(held, tarfile.TarInfo):
                tar.addfile(held)
                continue
            member = tarfile.TarInfo(name)
            member.size = len(held)
            tar.addfile(member, io.BytesIO(held))
    return content.getvalue()


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def enter(top: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Make a repository, go to its checkout, and see no settings but its own."""
    for name, value in isolated(top / "home").items():
        monkeypatch.setenv(name, value)
    repository = make_repository(top)
    monkeypatch.chdir(repository.checkout)
    return repository


def release(*arguments: str) -> str:
    """Run `ontime release` in this process and folder; what it printed, without the end of the last line.

    The image may be one that no registry has.
    """
    printed = io.StringIO()
    unchecked = ["--no-registry"] if arguments[0] in ("write", "publish") else []
    with redirect_stdout(printed):
        command.main([*arguments, *unchecked], standalone_mode=False)
    return printed.getvalue().removesuffix("\n")
