"""G1: what do codec, pipeline and CA add to the cryptography that an enrollment cannot do without?

Octets to octets: `ESTHandler.receive`, `Pipeline.handle`, `respond`; no socket, and a registry of
dictionaries that lets writes fall. Above 2.0 yards the parts are to be looked at one by one, which
the lines below the first begin with.

Run: python -m benchmarks.enroll_in_process [rounds] [requests]
"""

import asyncio
import statistics
import sys
import time
from base64 import b64encode, encodebytes
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding
from multidict import CIMultiDict, CIMultiDictProxy

from benchmarks import fleet
from benchmarks.driving import BenchmarkFailed
from benchmarks.measure import ratio, write, yard
from benchmarks.servers import use_server_core
from benchmarks.shelf import Shelf
from ca.ceremony import Ceremony
from ca.issuers import Issuer, IssuerSet
from ca.keys.software import KeyKind, make_private_key
from ca.local import LocalAuthority
from enroll.pipeline import Pipeline
from enroll.requirements import RequestRequirements
from protocols.est.handler import ESTExchange, ESTHandler
from protocols.wire import WireRequest
from registry.code_vault import MASTER_OCTETS, RegistrySecrets
from server.clock import SystemClock, SystemRandomness
from server.key_generation import ThreadedKeyGenerator
from server.trials import ThreadedSecretTrier
from server.webhooks import Webhooks

GOAL = 2.0
URL = "http://localhost:8080"


class NoLabels:
    """A server without labels under EST."""

    def exists(self, label: str) -> bool:
        del label
        return False

    def profile(self, label: str | None) -> None:
        del label

    def makes_keys(self, label: str | None) -> bool:
        del label
        return False

    def requirements(self, label: str | None) -> RequestRequirements:
        del label
        return RequestRequirements()

    def ca_certificates(self, label: str | None) -> tuple[bytes, ...]:
        del label
        return ()


class Bench:
    """All that answers an enrollment, and the requests of a fleet."""

    def __init__(self, count: int) -> None:
        shelf, secrets = Shelf(), RegistrySecrets(bytes(MASTER_OCTETS))
        members = [fleet.Member(number=number) for number in range(count)]
        for each in members:
            shelf.register(each, secrets)
        self.handler = ESTHandler(NoLabels())
        self.pipeline = Pipeline(
            registry=shelf.registry(),
            authority=an_authority(),
            vault=secrets,
            clock=SystemClock(),
            randomness=SystemRandomness(),
            key_generator=ThreadedKeyGenerator(waiting=0, per_hour=0),
            decision_maker=Webhooks({}, SystemClock()),
            secret_trier=ThreadedSecretTrier(),
        )
        csrs = fleet.certification_requests(0, count)
        self.wires = [_wire(each, csr) for each, csr in zip(members, csrs, strict=True)]

    async def enroll(self, wires: Sequence[WireRequest]) -> float:
        """Answer them; give CPU seconds for one."""
        begin = time.process_time()
        for wire in wires:
            exchange = self.handler.receive(wire)
            if not isinstance(exchange, ESTExchange):
                raise BenchmarkFailed("an enrollment was taken for something else")
            answer = exchange.respond(await self.pipeline.handle(exchange.request))
            if answer.status != 200:
                raise BenchmarkFailed(f"{answer.status}: {answer.body.decode()}")
        return (time.process_time() - begin) / len(wires)

    def decode(self, wires: Sequence[WireRequest]) -> float:
        """Only decode them."""
        begin = time.process_time()
        for wire in wires:
            self.handler.receive(wire)
        return (time.process_time() - begin) / len(wires)


def main(rounds: int = 9, requests: int = 1_000) -> None:
    use_server_core()
    bench = Bench((rounds + 1) * requests)

    async def measure() -> list[tuple[float, float, float]]:
        await bench.enroll(bench.wires[:requests])
        found = []
        for number in range(1, rounds + 1):
            wires = bench.wires[number * requests : (number + 1) * requests]
            before = yard()
            found.append((await bench.enroll(wires), bench.decode(wires), (before + yard()) / 2))
        return found

    found = asyncio.run(measure())
    write(
        "enroll_in_process",
        [
            ratio("G1 in-process enroll, in yards", [all_ / y for all_, _, y in found], GOAL),
            ratio("   of it decoding, in yards", [decoding / y for _, decoding, y in found]),
        ],
        yard_us=statistics.median(y for _, _, y in found) * 1e6,
        cpu_us=statistics.median(all_ for all_, _, _ in found) * 1e6,
    )


def an_authority() -> LocalAuthority:
    """Make a root, an issuing CA of P-256, and the authority over it."""
    clock = SystemClock()
    ceremony = Ceremony(name="Benchmark", now=clock.now(), public_http_url=URL)
    root_key, key = make_private_key(KeyKind.P_384), make_private_key(KeyKind.P_256)
    root = ceremony.root(root_key, 1 << 100)
    certificate = ceremony.issuing(key, 1 << 101, root, root_key)
    above = root.public_bytes(Encoding.DER)
    issuer = Issuer(
        name="issuing", certificate=certificate, key=key, chain=(above,), public_http_url=URL
    )
    return LocalAuthority(IssuerSet(issuers={issuer.name: issuer}, roots=(above,)), clock)


def _wire(member: fleet.Member, csr: bytes) -> WireRequest:
    basic = b64encode(f"{member.name}:{member.code}".encode()).decode()
    headers = {
        "Host": "localhost",
        "User-Agent": "curl/7.88.1",
        "Accept": "*/*",
        "Authorization": f"Basic {basic}",
        "Content-Type": "application/pkcs10",
        "Content-Length": "400",
    }
    return WireRequest(
        method="POST",
        path="simpleenroll",
        query="",
        headers=CIMultiDictProxy(CIMultiDict(headers)),
        body=encodebytes(csr),
        peer_chain=(),
        peer_address="unix",
        correlation_id=f"{member.number:016x}",
        received_at=datetime.now(UTC),
    )


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:3]))
