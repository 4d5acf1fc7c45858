"""What our TLS transport costs beside the same app on the standard library's `ssl`.

Run: python -m benchmarks.tls_transport [rounds] [requests]
"""

import asyncio
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from benchmarks.driving import drive
from benchmarks.load import Plan, pack
from benchmarks.measure import Ratio, cpu_of, ratio, write, yard
from benchmarks.servers import use_server_core
from protocols.wire import WireRequest, WireResponse
from server.http.connection import HTTPConnection
from server.http.front import Front
from server.http.limits import ConnectionLimits, Gate
from server.http.listener import Listener
from server.http.routes import Mount, Router
from server.http.tls import ServerCredentials, TLSKey, make_context
from server.observability.logging import configure_logging
from server.observability.metrics import Metrics

CONNECTIONS = 32
FRESH_PART = 10
"""A new connection costs about ten times a request: so many fewer are made."""
ANSWER = bytes(1_200)
REQUEST = (
    b"POST /answer HTTP/1.1\r\nHost: localhost\r\nUser-Agent: benchmark\r\nAccept: */*\r\n"
    b"Content-Type: application/pkcs10\r\nContent-Length: 600\r\n\r\n" + b"A" * 600
)
KEPT_GOAL = 1.25
FRESH_GOAL = 0.7
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One server: which loop, and whose TLS (`none` is a plain socket)."""

    loop: str
    tls: str


def main(rounds: int = 7, requests: int = 4_000) -> None:
    """Drive all variants in rotation and print the ratios."""
    use_server_core()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        _make_pki(folder)
        (folder / "requests").write_bytes(pack([REQUEST]))
        variants = [
            Variant(loop=loop, tls=tls) for loop in LOOPS for tls in ("ours", "ssl", "none")
        ]
        running = {each: stack.enter_context(_served(each, folder)) for each in variants}
        kept: dict[Variant, list[float]] = {each: [] for each in variants}
        fresh: dict[Variant, list[float]] = {each: [] for each in variants}
        for each, (pid, port) in running.items():
            _cpu(each, pid, port, folder, requests=200, fresh=False)
        yards = []
        for _ in range(rounds):
            yards.append(yard())
            for each, (pid, port) in running.items():
                kept[each].append(_cpu(each, pid, port, folder, requests=requests, fresh=False))
            for each, (pid, port) in running.items():
                count = max(20, requests // FRESH_PART)
                fresh[each].append(_cpu(each, pid, port, folder, requests=count, fresh=True))
    write(
        "tls_transport",
        [*_ratios("kept", kept, KEPT_GOAL), *_ratios("fresh", fresh, FRESH_GOAL)],
        yard_us=sorted(yards)[rounds // 2] * 1e6,
        kept_us=_medians(kept),
        fresh_us=_medians(fresh),
    )
    for each in variants:
        name = f"{each.loop}, {each.tls}"
        print(
            f"{name:<16} kept {_medians(kept)[name]:7.0f} us   new {_medians(fresh)[name]:7.0f} us"
        )


def _ratios(kind: str, found: dict[Variant, list[float]], goal: float) -> list[Ratio]:
    return [
        ratio(
            f"{kind}, {loop}: ours / ssl",
            [
                ours / theirs
                for ours, theirs in zip(
                    found[Variant(loop=loop, tls="ours")],
                    found[Variant(loop=loop, tls="ssl")],
                    strict=True,
                )
            ],
            goal if loop == "asyncio" or kind == "fresh" else None,
        )
        for loop in LOOPS
    ]


def _medians(found: dict[Variant, list[float]]) -> dict[str, float]:
    return {
        f"{each.loop}, {each.tls}": sorted(values)[len(values) // 2] * 1e6
        for each, values in found.items()
    }


def _cpu(
    variant: Variant, pid: int, port: int, folder: Path, *, requests: int, fresh: bool
) -> float:
    plan = Plan(
        requests=str(folder / "requests"),
        first=0,
        last=1,
        repeat=requests,
        connections=CONNECTIONS,
        port=port,
        fresh=fresh,
        certificate=None if variant.tls == "none" else str(folder / "client.pem"),
    )
    return drive(plan, lambda: cpu_of(pid)).cpu


@contextmanager
def _served(variant: Variant, folder: Path) -> Iterator[tuple[int, int]]:
    words = [sys.executable, "-m", "benchmarks.tls_transport", "serve"]
    with subprocess.Popen(
        [*words, variant.loop, variant.tls, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 - for the type
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


def serve(loop: str, tls: str, folder: Path) -> None:
    """Serve one fixed answer until killed; print the port."""
    configure_logging("error")
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_serve(tls, folder))


async def _serve(tls: str, folder: Path) -> None:
    mount = Mount(prefix="/answer", endpoint=_answer, name="answer")
    front = Front(listener="https", router=Router((mount,)), metrics=Metrics(), body_seconds=20)
    if tls == "ssl":
        port = await _serve_on_ssl(front, folder)
    else:
        listener = Listener(
            front=front, limits=ConnectionLimits(), gate=Gate(ConnectionLimits()), observer=_Quiet()
        )
        if tls == "ours":
            context = make_context(_credentials(folder), ask_client=True)
            listener.context = lambda: context
        await listener.start_tcp("127.0.0.1", 0)
        port = int(listener.address.rpartition(":")[2])
    print(port, flush=True)
    await asyncio.Event().wait()


async def _serve_on_ssl(front: Front, folder: Path) -> int:
    limits = ConnectionLimits()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(folder / "root.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    server = await asyncio.get_running_loop().create_server(
        lambda: HTTPConnection(front, limits), "127.0.0.1", 0, ssl=context
    )
    return int(server.sockets[0].getsockname()[1])


async def _answer(wire: WireRequest) -> WireResponse:
    del wire
    return WireResponse(status=200, media_type="application/pkcs7-mime", body=ANSWER)


class _Quiet:
    def handshake_failed(self, peer: str, reason: str) -> None:
        print(peer, reason, file=sys.stderr)


def _make_pki(folder: Path) -> None:
    """Make a root, an issuing CA below it, and a certificate of each for server and client."""
    root = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issuing = root.create_child_ca(key_type=trustme.KeyType.ECDSA)
    root.cert_pem.write_to_path(folder / "root.pem")
    for name, wanted in (("server", "localhost"), ("client", "pump-1.example")):
        leaf = issuing.issue_cert(wanted, key_type=trustme.KeyType.ECDSA)
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")


def _credentials(folder: Path) -> ServerCredentials:
    pem = (folder / "server.pem").read_bytes()
    leaf, *above = x509.load_pem_x509_certificates(pem)
    key = load_pem_private_key(pem, None)
    assert isinstance(key, TLSKey)  # noqa: S101 - for the type
    return ServerCredentials(certificate=leaf, chain=above, key=key)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        main(*(int(each) for each in sys.argv[1:3]))
