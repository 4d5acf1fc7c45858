"""Devices that enroll over fresh TLS connections and do not give up, and what they hold."""

import asyncio
import base64
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

PAUSE = 0.05
ANSWER_SECONDS = 30.0
_AGAIN = frozenset({429, 503})


class PromiseError(Exception):
    """The server did what it must never do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it goes over the wire, and the certificate shown in the handshake."""

    path: str
    body: bytes
    key: ec.EllipticCurvePrivateKey
    basic: str | None = None
    shown: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What a device holds: the certificate, and the request that got it."""

    device: str
    asked: Asked
    certificate: x509.Certificate


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Where the server is, and what its devices have received."""

    host: str
    port: int
    root: Path
    folder: Path
    random: Random
    received: list[Received] = field(default_factory=list)
    requests: int = 0
    lost: int = 0
    repeated: int = 0

    async def provision(self, name: str, code: str) -> None:
        """Take one device from its code to its operational certificate, whatever happens."""
        basic = base64.b64encode(f"{name}:{code}".encode()).decode()
        bootstrap = await self._obtain(name, ask("simpleenroll", name, basic=basic))
        shown = self._keep(name, bootstrap)
        await self._obtain(name, ask("operational/simpleenroll", name, shown=shown))

    async def _obtain(self, name: str, asked: Asked) -> Received:
        """Ask until there is an answer; now and then ask again, and compare."""
        received = Received(device=name, asked=asked, certificate=await self.insist(asked))
        self.received.append(received)
        if self.random.random() < 0.25:
            self.repeated += 1
            if await self.insist(asked) != received.certificate:
                raise PromiseError(f"{name}: a repeated request got another certificate")
        return received

    async def insist(self, asked: Asked) -> x509.Certificate:
        """Send one and the same request until it is answered; each time on a new connection."""
        while True:
            self.requests += 1
            try:
                status, body = await asyncio.wait_for(self._send(asked), ANSWER_SECONDS)
            except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError):
                self.lost += 1
                await asyncio.sleep(PAUSE)
                continue
            if status in _AGAIN:
                await asyncio.sleep(PAUSE)
                continue
            if status != 200:
                raise PromiseError(f"{asked.path}: {status} {body!r}")
            (certificate,) = pkcs7.load_der_pkcs7_certificates(base64.b64decode(body))
            if certificate.public_key() != asked.key.public_key():
                raise PromiseError("the certificate is for another key")
            return certificate

    async def _send(self, asked: Asked) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=str(self.root))
        if asked.shown is not None:
            context.load_cert_chain(asked.shown)
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=context)
        try:
            authorization = f"Authorization: Basic {asked.basic}\r\n" if asked.basic else ""
            head = (
                f"POST /.well-known/est/{asked.path} HTTP/1.1\r\nHost: {self.host}\r\n"
                f"Content-Type: application/pkcs10\r\nContent-Length: {len(asked.body)}\r\n"
                f"{authorization}Connection: close\r\n\r\n"
            )
            writer.write(head.encode() + asked.body)
            answer = await reader.readuntil(b"\r\n\r\n")
            lines = answer.decode().split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            return int(lines[0].split()[1]), await reader.readexactly(
                int(fields.get("content-length", "0"))
            )
        finally:
            writer.transport.abort()

    def _keep(self, name: str, received: Received) -> Path:
        path = self.folder / f"{name}.pem"
        path.write_bytes(
            received.certificate.public_bytes(serialization.Encoding.PEM)
            + received.asked.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return path


def ask(path: str, name: str, *, basic: str | None = None, shown: Path | None = None) -> Asked:
    """Make a key and a request for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    body = base64.b64encode(csr.public_bytes(serialization.Encoding.DER))
    return Asked(path=path, body=body, key=key, basic=basic, shown=shown)
