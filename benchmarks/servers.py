"""Servers under measurement: ours and those of others, each with its own pid and on one core."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from benchmarks.driving import BenchmarkFailed
from benchmarks.measure import cpu_of
from server.home import Home

SECONDS_TO_START = 60.0
_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off; ssl_session_cache off;
    ssl_verify_client optional_no_ca;
    location /page {{ return 200 "a page"; }}
  }}
}}
"""


class CounterpartMissing(Exception):  # noqa: N818 - says what is the matter
    """A program of others is not installed; the message names it and its package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running server. `addresses` are by listener, as its ready file names them."""

    process: subprocess.Popen[bytes]
    addresses: dict[str, str]
    seconds_to_ready: float = 0.0

    def cpu(self) -> float:
        return cpu_of(self.process.pid)

    def port(self, listener: str) -> int:
        return int(self.addresses[listener].rpartition(":")[2])


def use_server_core() -> None:
    """Keep this process, and the servers that it starts, off the load generator's core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@contextmanager
def enroll(home: Home, *options: str, module: str = "server.cli") -> Iterator[Served]:
    """Serve a home until the block ends: on a unix socket, and on free ports of the loopback."""
    ready = home.path / "ready.json"
    ready.unlink(missing_ok=True)
    unix = home.path / "est.socket"
    loopback = "127.0.0.1:0"
    command = [sys.executable, "-m", module, "--home", str(home.path), "serve"]
    command += ["--https", loopback, "--http", loopback, "--management", loopback]
    command += ["--unix", str(unix), "--ready-file", str(ready), *options]
    begin = time.perf_counter()
    with _started(command, home.path / "server.log") as process:
        _wait(process, ready.exists, home.path / "server.log")
        found = json.loads(ready.read_text())
        addresses = {each: found[each] for each in ("https", "http", "management")}
        yield Served(
            process=process,
            addresses={**addresses, "unix": str(unix)},
            seconds_to_ready=time.perf_counter() - begin,
        )


@contextmanager
def floor(folder: Path) -> Iterator[Served]:
    """Serve what no server in Python can do without (`benchmarks.floor_server`)."""
    folder.mkdir(parents=True, exist_ok=True)
    unix = folder / "floor.socket"
    command = [sys.executable, "-m", "benchmarks.floor_server", str(unix), str(folder / "floor.db")]
    with _started(command, folder / "floor.log") as process:
        _wait(process, unix.exists, folder / "floor.log")
        yield Served(process=process, addresses={"unix": str(unix)})


@contextmanager
def cfssl(folder: Path) -> Iterator[Served]:
    """Serve cfssl's `sign` with a P-256 CA, certificates like ours. Raises CounterpartMissing."""
    program = _program("cfssl", "golang-cfssl")
    folder.mkdir(parents=True, exist_ok=True)
    _make_cfssl_authority(program, folder)
    port = free_port()
    command = [program, "serve", "-address", "127.0.0.1", "-port", str(port)]
    command += ["-ca", "ca.pem", "-ca-key", "ca-key.pem", "-config", "config.json"]
    with _started(command, folder / "cfssl.log", folder) as process:
        _wait(process, lambda: _answers(port), folder / "cfssl.log")
        yield Served(process=process, addresses={"http": f"127.0.0.1:{port}"})


@contextmanager
def scepserver(folder: Path, challenge: str) -> Iterator[Served]:
    """Serve SCEP by micromdm's server with an RSA-2048 CA. Raises CounterpartMissing."""
    program = _program("scepserver", "scep")
    folder.mkdir(parents=True, exist_ok=True)
    make = [program, "ca", "-init", "-depot", "depot", "-organization", "Peer"]
    subprocess.run(
        [*make, "-key-password", "", "-keySize", "2048"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    port = free_port()
    command = [program, "-depot", "depot", "-port", str(port)]
    command += ["-challenge", challenge, "-allowrenew", "0"]
    with _started(command, folder / "scepserver.log", folder) as process:
        _wait(process, lambda: _answers(port), folder / "scepserver.log")
        yield Served(process=process, addresses={"http": f"127.0.0.1:{port}"})


def issued_by_scepserver(folder: Path) -> int:
    """Count what it issued: it answers 200 to what it failed at, too."""
    return len((folder / "depot" / "index.txt").read_text().splitlines())


@contextmanager
def cmp_mock(folder: Path, secret: str) -> Iterator[Served]:
    """Serve CMP by openssl's mock, which listens on all addresses. Raises CounterpartMissing."""
    program = _program("openssl", "openssl")
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    leaf = authority.issue_cert("mock.example", key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    leaf.cert_chain_pems[0].write_to_path(folder / "leaf.pem")
    leaf.private_key_pem.write_to_path(folder / "leaf.key")
    port = free_port()
    command = [program, "cmp", "-port", str(port), "-srv_ref", "mock"]
    command += ["-srv_secret", f"pass:{secret}", "-srv_cert", "leaf.pem", "-srv_key", "leaf.key"]
    command += ["-srv_trusted", "ca.pem", "-rsp_cert", "leaf.pem", "-rsp_extracerts", "ca.pem"]
    command += ["-grant_implicitconf", "-verbosity", "2"]
    with _started(command, folder / "mock.log", folder) as process:
        _wait(process, lambda: _answers(port), folder / "mock.log")
        yield Served(process=process, addresses={"http": f"127.0.0.1:{port}"})


@contextmanager
def nginx(folder: Path) -> Iterator[Served]:
    """Serve a static page over TLS that asks for a certificate. Raises CounterpartMissing."""
    program = _program("nginx", "nginx-light")
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issuing = authority.create_child_ca(key_type=trustme.KeyType.ECDSA)
    leaf = issuing.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    leaf.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    port = free_port()
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port))
    command = [program, "-p", str(folder), "-c", "nginx.conf", "-e", str(folder / "error.log")]
    with _started(command, folder / "nginx.log", folder) as process:
        _wait(process, lambda: _answers(port), folder / "error.log")
        yield Served(process=process, addresses={"https": f"127.0.0.1:{port}"})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _make_cfssl_authority(program: str, folder: Path) -> None:
    request = {"CN": "Benchmark CA", "key": {"algo": "ecdsa", "size": 256}}
    default = {
        "expiry": "8760h",
        "usages": ["digital signature", "client auth"],
        "crl_url": "http://localhost:8080/crl/issuing.crl",
        "issuer_urls": ["http://localhost:8080/ca/issuing.crt"],
    }
    (folder / "config.json").write_text(json.dumps({"signing": {"default": default}}))
    made = subprocess.run(
        [program, "gencert", "-loglevel", "5", "-initca", "-"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(made.stdout)
    (folder / "ca.pem").write_text(found["cert"])
    (folder / "ca-key.pem").write_text(found["key"])


def _program(name: str, package: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise CounterpartMissing(f"there is no {name} here; apt-get install {package}")
    return found


@contextmanager
def _started(
    command: list[str], log: Path, folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder or Path(__file__).parent.parent,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkFailed(f"a server did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
