"""nginx and haproxy from Debian, configured as docs/operations.md says."""

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.installation import Running
from tests.support.waiting import within

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
STARTING_SECONDS = 20
_TLS_LINES = re.compile(r"\n +proxy_ssl_[^\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy that runs: where it listens, and the files that it was given."""

    address: str
    folder: Path

    def in_front_of(self, server: Running) -> Running:
        """Give the server as it is seen through the proxy."""
        return Running(
            process=server.process,
            https=self.address,
            http=server.http,
            management=server.management,
            log=server.log,
        )


def sample(language: str) -> str:
    """Give the configuration that the documentation shows."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    return str(found)


@contextmanager
def nginx(folder: Path, server: str, unix: Path | None = None) -> Iterator[Proxy]:
    """Run nginx in front of a server, or of its unix socket."""
    port = _free_port()
    text = _located(sample("nginx"), folder, server, port, "listen ")
    if unix is not None:
        text = _TLS_LINES.sub("", text).replace("https://enroll", f"http://unix:{unix}")
    places = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(text.replace("http {\n", f"http {{\naccess_log off;\n{places}", 1))
    more = f"daemon off; user root; pid {folder / 'nginx.pid'}; error_log stderr warn;"
    words = ["nginx", "-p", str(folder), "-c", str(configuration), "-g", more]
    with _running(words, folder, port) as proxy:
        yield proxy


@contextmanager
def haproxy(folder: Path, server: str, unix: Path | None = None) -> Iterator[Proxy]:
    """Run haproxy in front of a server, or of its unix socket."""
    port = _free_port()
    text = _located(sample("haproxy"), folder, server, port, "bind ")
    if unix is not None:
        head, line, _ = text.partition("    server enroll ")
        text = f"{head}{line}unix@{unix}\n"
    configuration = folder / "haproxy.cfg"
    configuration.write_text(text)
    with _running(["haproxy", "-db", "-f", str(configuration)], folder, port) as proxy:
        yield proxy


PROXIES: Mapping[str, Callable[..., AbstractContextManager[Proxy]]] = {
    "nginx": nginx,
    "haproxy": haproxy,
}


def _located(text: str, folder: Path, server: str, port: int, listening: str) -> str:
    """Put a test's places and addresses in place of the sample's."""
    own = {"listen ": "listen 443", "bind ": "bind :443"}[listening]
    assert own in text
    text = text.replace(own, f"{listening}127.0.0.1:{port}")
    return text.replace("/etc/enroll-proxy", str(folder)).replace("127.0.0.1:8443", server)


@contextmanager
def _running(words: list[str], folder: Path, port: int) -> Iterator[Proxy]:
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    log = folder / f"{words[0]}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, cwd=folder
        )
    try:
        assert within(STARTING_SECONDS, lambda: process.poll() is not None or _accepts(port))
        assert process.poll() is None, log.read_text()
        yield Proxy(address=f"127.0.0.1:{port}", folder=folder)
    finally:
        process.terminate()
        try:
            process.wait(STARTING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
