"""OpenSearch as a process on loopback, of its packages on Maven Central; no security plugin is among them."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ontime.common.files import sha256
from ontime.manifests.tools import CACHE, last_line, one_at_a_time
from tests.servers import START_SECONDS, free_port

HERE = Path(__file__).parent
NODE, PACKAGES = HERE / "OpenSearchNode.java", HERE / "pom.xml"
PAGE_ROWS = 5_000
LOGGING = """<Configuration status="error"><Appenders><Console name="out"><PatternLayout pattern="%d %p %c{1}: %m%n"/>
</Console></Appenders><Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers></Configuration>"""


@one_at_a_time
def packages() -> Path:
    """The folder of its packages, downloaded once; skips the test where Java or Maven is missing."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: it runs or downloads OpenSearch")
    folder = CACHE / f"opensearch-{sha256(PACKAGES)[:16]}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
            done = subprocess.run(
                [
                    "mvn",
                    "-q",
                    "-B",
                    "-f",
                    PACKAGES,
                    "dependency:copy-dependencies",
                    f"-DoutputDirectory={temporary}/all",
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"OpenSearch was not downloaded: {last_line(done)}")
            Path(temporary, "all").rename(folder)
    return folder


@dataclass
class OpenSearch:
    """A node that keeps its indices in a folder, and can be stopped and started again on the same port."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.folder / "config").mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.xml").write_text(LOGGING)
        jvm = ["-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        logging = [f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}"]
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                ["java", *jvm, *logging, "-cp", f"{packages()}/*", NODE, self.folder, str(self.port), str(free_port())],
                stdout=output,
                stderr=output,
                env={**os.environ, "JAVA_TOOL_OPTIONS": ""},
            )
        end = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "output").read_text()[-2000:]
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether every index can be read and written."""
        try:
            return str(self.get("/_cluster/health")["status"]) in ("green", "yellow")
        except OSError:
            return False

    def stop(self) -> None:
        """Stop it as a pod is stopped."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(START_SECONDS)
            finally:
                self.process.kill()
                self.process.wait()

    def get(self, path: str, content: Any = None, method: str | None = None) -> Any:
        """The answer to a request, in JSON.

        Raises:
            AssertionError: it refuses the request.
            OSError: it does not answer.
        """
        body = None if content is None else json.dumps(content).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers, method=method)
        try:
            # on loopback
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 503:
                raise
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from None

    def count(self, index: str) -> int:
        """Number of documents in indices, of which there may be none."""
        self.get(f"/{index}/_refresh", method="POST")
        return int(self.get(f"/{index}/_count")["count"])

    def all(self, index: str) -> Iterator[dict[str, Any]]:
        """Every document."""
        query = {"size": PAGE_ROWS, "query": {"match_all": {}}, "sort": ["_doc"]}
        page = self.get(f"/{index}/_search?scroll=2m", query)
        while page["hits"]["hits"]:
            yield from (hit["_source"] for hit in page["hits"]["hits"])
            page = self.get("/_search/scroll", {"scroll": "2m", "scroll_id": page["_scroll_id"]})


@contextlib.contextmanager
def opensearch(folder: Path) -> Iterator[OpenSearch]:
    """A node, for as long as the block runs."""
    node = OpenSearch(folder, free_port())
    try:
        node.start()
        yield node
    finally:
        node.stop()
