"""A real installation: its own home, its own server process, driven by the command line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.command import Ended, command
from tests.support.waiting import within

ENROLL = (sys.executable, "-m", "server.cli")
STARTING_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server process and where it listens, as its ready file says."""

    process: subprocess.Popen[bytes]
    https: str
    http: str
    management: str
    log: Path

    @property
    def est(self) -> str:
        return f"https://{self.https}/.well-known/est"

    def stop(self) -> int:
        """End it as an operator would, and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STARTING_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A home, and the commands on it."""

    home: Path

    @classmethod
    def initialize(cls, home: Path, *options: str) -> "Installation":
        made = cls(home=home)
        made.run("init", "--name", "Test", "--host", "127.0.0.1", *options)
        return made

    @property
    def root(self) -> Path:
        return self.home / "ca" / "root.pem"

    def call(self, *words: str) -> Ended:
        """Run a command in this process, whatever becomes of it."""
        return command("--home", str(self.home), *words)

    def run(self, *words: str) -> str:
        """Run a command that has to succeed, and give what it printed."""
        done = self.call(*words)
        assert done.returncode == 0, f"enroll {' '.join(words)}: {done.stderr}"
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "-o", "json"))

    @contextmanager
    def serve(self, *options: str, env: dict[str, str] | None = None) -> Iterator[Running]:
        """Serve on free ports of the loopback until the block ends."""
        ready = self.home / "ready.json"
        ready.unlink(missing_ok=True)
        log = self.home / "server.log"
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [
                    *ENROLL,
                    "--home",
                    str(self.home),
                    "serve",
                    *_free(options),
                    "--ready-file",
                    ready,
                ],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env={**os.environ, **(env or {})},
            )
        try:
            yield when_ready(process, ready, log)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STARTING_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _free(options: tuple[str, ...]) -> list[str]:
    words = list(options)
    for name in ("--https", "--http", "--management"):
        if name not in words:
            words += [name, "127.0.0.1:0"]
    return words


def when_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> Running:
    """Wait for the ready file: it comes by rename, so it is whole when it is there."""
    within(STARTING_SECONDS, lambda: ready.exists() or process.poll() is not None)
    assert ready.exists(), f"the server did not start: {log.read_text()[-2000:]}"
    found = json.loads(ready.read_text())
    assert found["pid"] == process.pid
    return Running(
        process=process,
        https=found["https"],
        http=found["http"],
        management=found["management"],
        log=log,
    )
