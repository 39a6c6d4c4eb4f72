"""PostgreSQL of the system's packages on a free port of loopback, with a database as CloudNativePG makes it."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import free_port

Command = list[str | Path]
SECONDS = 60
ACCOUNT = "postgres"
"""The system's account of the package; PostgreSQL refuses root."""


@dataclass(frozen=True)
class Database:
    """A database and its owner, who is no superuser."""

    programs: Path
    port: int
    name: str
    owner: str
    password: str
    superuser_password: str

    @property
    def variables(self) -> dict[str, str]:
        """What a client of libpq reads from its environment, as the owner."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGDATABASE": self.name,
            "PGUSER": self.owner,
            "PGPASSWORD": self.password,
        }

    def url(self, scheme: str) -> str:
        """Its address, with the owner's password."""
        return f"{scheme}://{self.owner}:{self.password}@127.0.0.1:{self.port}/{self.name}"

    def dump(self, file: Path) -> None:
        """Write everything into a file, as the owner."""
        self._run("pg_dump", "--format=custom", f"--file={file}", variables=self.variables)

    def drop(self) -> None:
        """Remove the database."""
        self.order(f"DROP DATABASE {self.name}")

    def make(self) -> None:
        """Make it, empty."""
        self.order(f"CREATE DATABASE {self.name} OWNER {self.owner}")

    def restore(self, file: Path) -> None:
        """Fill the empty database from a dump, as the owner."""
        self._run("pg_restore", "--exit-on-error", f"--dbname={self.name}", str(file), variables=self.variables)

    def ask(self, statement: str) -> str:
        """What the owner is answered, without the end of the line."""
        return self._run("psql", "-At", f"--command={statement}", variables=self.variables).strip()

    def order(self, statement: str) -> None:
        """Run a statement as the superuser, from another database."""
        superuser = {"PGUSER": ACCOUNT, "PGPASSWORD": self.superuser_password, "PGDATABASE": "postgres"}
        self._run("psql", f"--command={statement}", variables=self.variables | superuser)

    def _run(self, program: str, *arguments: str, variables: dict[str, str]) -> str:
        done = subprocess.run(
            [self.programs / program, *arguments],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"
        return done.stdout


@contextlib.contextmanager
def postgres(name: str, owner: str) -> Iterator[Database]:
    """A server with an empty database and its owner, who must give a password; stopped and removed afterwards."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian and Ubuntu: apt-get install postgresql)")
    password, superuser_password = secrets.token_hex(16), secrets.token_hex(16)
    made = Database(found[-1].parent, free_port(), name, owner, password, superuser_password)
    # pytest's own folders are closed to other accounts
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    try:
        (folder / "password").write_text(superuser_password)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, ACCOUNT)
        data = folder / "data"
        with (folder / "log").open("wb") as log:
            initialize: Command = [made.programs / "initdb", "-D", data, "-U", ACCOUNT, "-A", "scram-sha-256"]
            initialize += [f"--pwfile={folder / 'password'}", "--no-sync"]
            subprocess.run(_other_account(initialize), stdout=log, stderr=log, check=True)
            command: Command = [made.programs / "postgres", "-D", data, "-p", str(made.port), "-c", "fsync=off"]
            command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
            process = subprocess.Popen(_other_account(command), stdout=log, stderr=log)
        try:
            _wait(made, process, folder / "log")
            made.order(f"CREATE ROLE {owner} LOGIN PASSWORD '{password}'")
            made.make()
            yield made
        finally:
            # ends the clients' sessions
            process.send_signal(signal.SIGINT)
            process.wait(timeout=SECONDS)
    finally:
        shutil.rmtree(folder)


def _other_account(command: Command) -> Command:
    """The command, as another account where this one is root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups", *command]


def _wait(made: Database, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + SECONDS
    ready: Command = [made.programs / "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={made.port}"]
    while subprocess.run(ready, check=False).returncode != 0:
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.1)
