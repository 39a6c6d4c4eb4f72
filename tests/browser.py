"""Chromium driven by the Chrome DevTools protocol through a pipe, and axe-core to check the pages in it."""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import select
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = "chromium"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--remote-debugging-pipe")
SECONDS = 30
LEFT = "Inspected target navigated or closed"
"""What Chromium answers when the page that a script ran in is gone."""
AXE = "axe-core@4.14.1"
AXE_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
CACHE = Path.home() / ".cache" / "ontime" / "axe"
KEYS = {"Tab": 9, "Enter": 13, "Space": 32, "ArrowDown": 40, "ArrowUp": 38, "Backspace": 8}


class NavigatedError(AssertionError):
    """The tab went to another page while a script ran in it."""


class Tab:
    """One tab; what a script in it says about the page, and what a person does to it."""

    def __init__(self, browser: "Browser") -> None:
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a method of the protocol."""
        return self.browser.call(method, self.session, **parameters)

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression as soon as it is true, in whichever page the tab then shows."""
        end = time.monotonic() + SECONDS
        while not (value := self._run_if_stays(script)):
            assert time.monotonic() < end, f"not in {SECONDS} s: {script}\n{self.run('document.body?.innerText')}"
            time.sleep(0.05)
        return value

    def _run_if_stays(self, script: str) -> Any:
        try:
            return self.run(script)
        except NavigatedError:
            return None

    def open(self, address: str, ready: str = "true") -> None:
        """Load a page and wait until it is ready."""
        self.call("Page.navigate", url="about:blank")
        self.wait("location.href === 'about:blank'")
        self.call("Page.navigate", url=address)
        self.wait(f"location.href !== 'about:blank' && document.readyState === 'complete' && Boolean({ready})")

    def text(self, selector: str) -> str:
        """The visible text of an element."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def texts(self, selector: str) -> list[str]:
        """The visible text of each element that matches."""
        found: list[str] = self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.innerText)")
        return found

    def screen(self, width: int, height: int = 800, *features: tuple[str, str]) -> None:
        """Set the size of the screen and what the person prefers, such as ("prefers-color-scheme", "dark")."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features])

    def press(self, key: str, times: int = 1) -> None:
        """Press a key."""
        for _ in range(times):
            text = {"Enter": "\r", "Space": " "}.get(key, "")
            code = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **code)
            self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def write(self, text: str) -> None:
        """Type a text into the element with the focus, key by key."""
        for sign in text:
            self.call("Input.dispatchKeyEvent", type="keyDown", text=sign, key=sign)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=sign)

    def violations(self, axe: str) -> list[str]:
        """What axe-core finds wrong with the page: its rule, and where."""
        self.run(f"{axe}; undefined")
        result = self.run("axe.run(document, {resultTypes: ['violations']})")
        assert result["passes"]
        return [
            f"{one['id']}: {node['target']} {node['html']}" for one in result["violations"] for node in one["nodes"]
        ]


class Browser:
    """A running Chromium; `call` takes a method of the protocol and its parameters."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive = send, receive
        self._number, self._rest = 0, b""

    def call(self, method: str, session: str | None = None, /, **parameters: Any) -> Any:
        """The result of a method."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    failed = NavigatedError if answer["error"]["message"] == LEFT else AssertionError
                    raise failed(f"{method}: {answer['error']}")
                return answer["result"]

    def _next(self) -> Any:
        while b"\0" not in self._rest:
            assert select.select([self._receive], [], [], SECONDS)[0], f"no answer in {SECONDS} s"
            part = os.read(self._receive, 1 << 16)
            assert part, "chromium has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


def _pipe() -> tuple[int, int]:
    """A pipe's ends, with numbers above those that they get in the browser."""
    ends = os.pipe()
    try:
        return fcntl.fcntl(ends[0], fcntl.F_DUPFD_CLOEXEC, 10), fcntl.fcntl(ends[1], fcntl.F_DUPFD_CLOEXEC, 10)
    finally:
        os.close(ends[0])
        os.close(ends[1])


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a profile of its own; the test is skipped where there is none."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not installed (Debian and Ubuntu: apt-get install chromium)")
    to_browser, from_browser = _pipe(), _pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            # the protocol's pipe is file descriptors 3 and 4
            [
                *("bash", "-c", f'exec "$0" "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'),
                *(PROGRAM, *FLAGS, f"--user-data-dir={profile}"),
            ],
            pass_fds=(to_browser[0], from_browser[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        browser = Browser(to_browser[1], from_browser[0])
        try:
            yield browser
            browser.call("Browser.close")
        finally:
            os.close(to_browser[1])
            try:
                process.wait(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(from_browser[0])


def axe() -> str:
    """The script of axe-core from npm, checked by its hash; the test is skipped where npm cannot be reached."""
    script = CACHE / f"{AXE}.js"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not script.is_file():
            script.write_bytes(_fetched())
    return script.read_text(encoding="utf-8")


def _fetched() -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, from which axe-core comes")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [npm, "pack", AXE, "--pack-destination", folder], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"npm cannot fetch {AXE}: {(done.stderr.splitlines() or ['no reason'])[0][:200]}")
        (archive,) = Path(folder).iterdir()
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        assert digest == AXE_SHA512, f"{AXE}: not the content that is pinned"
        with tarfile.open(archive) as content:
            member = content.extractfile("package/axe.min.js")
            assert member
            return member.read()
