"""Many registered devices, each with a code, and their requests: made fast, and kept."""

import asyncio
import hashlib
import os
import tempfile
from base64 import b64encode, encodebytes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from benchmarks.driving import BenchmarkFailed
from benchmarks.load import pack, unpack
from enroll.credentials import new_one_time_code
from enroll.device import new_id
from enroll.registration import CodeTerms, NewDevice
from registry.tables import certificates, codes, device_identities, devices
from server.clock import SystemClock
from server.config.load import load_config
from server.home import Home
from server.initialize import Wishes, initialize
from server.wiring import Office, open_office

BLOCK = 1_000
"""How many requests are made and kept together."""
TEMPLATE = "the device that all others are copies of"
_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """Where homes keep their registry: `create` gives a URL, or None for a file in the home.

    `cpu` tells the CPU seconds that a database server has used so far, beside our own.
    """

    name: str
    create: Callable[[], str | None]
    cpu: Callable[[], float]


SQLITE = Databases(name="sqlite", create=lambda: None, cpu=lambda: 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One device of the fleet: all that it is follows from its number."""

    number: int

    @property
    def name(self) -> str:
        return f"pump-{self.number:07}"

    @property
    def serial_number(self) -> str:
        return f"SN{self.number:09}"

    @property
    def code(self) -> str:
        return new_one_time_code(_octets("code", self.number))


def make_home(path: Path, databases: Databases = SQLITE) -> Home:
    """Make an installation as `enroll init` does."""
    home = Home(path)
    wishes = Wishes(name="Benchmark", hosts=("127.0.0.1",), database=databases.create())
    asyncio.run(initialize(home, wishes))
    return home


def populate(home: Home, first: int, last: int) -> None:
    """Register devices by copying the rows of one that was registered in the usual way."""
    asyncio.run(_populate(home, first, last))


def check_issued(home: Home, wanted: int) -> None:
    """Demand so many certificates of devices: HTTP says 200 to a refusal too."""
    url = load_config(home.configuration).database.url.get_secret_value()
    engine = sa.create_engine(home.database_url(url))
    query = sa.select(sa.func.count()).where(certificates.c.device_id.is_not(None))
    with engine.connect() as reading:
        found = int(reading.execute(query).scalar_one())
    engine.dispose()
    if found != wanted:
        raise BenchmarkFailed(f"{found} certificates were issued for {wanted} requests")


async def _populate(home: Home, first: int, last: int) -> None:
    office = open_office(home, load_config(home.configuration), stream="benchmark")
    try:
        template = await _template(office)
        with office.registry.engine.connect() as connection:
            rows = [
                [dict(row) for row in connection.execute(query).mappings()]
                for query in (
                    sa.select(each).where(each.c.device_id == template)
                    for each in (devices, device_identities, codes)
                )
            ]
            for start in range(first, last, _ROWS):
                members = [Member(number=each) for each in range(start, min(last, start + _ROWS))]
                _insert(connection, office, rows, members)
    finally:
        await office.close()


async def _template(office: Office) -> str:
    async with office.registry.unit_of_work() as uow:
        policy = await uow.policy.snapshot()
        (tenant_id,) = policy.tenants
        there = await uow.devices.by_reference(tenant_id, "template")
    if there is not None:
        return there.device_id
    new = NewDevice(name="template", serial_number="TEMPLATE-1", description=TEMPLATE)
    terms = CodeTerms(lifetime=timedelta(days=30))
    device, _ = await office.registration.register(new, code=terms, actor="benchmark")
    return device.device_id


def _insert(
    connection: sa.Connection,
    office: Office,
    rows: Sequence[Sequence[dict[str, Any]]],
    members: Sequence[Member],
) -> None:
    ((device,), (identity,), (code,)) = rows
    now = SystemClock().now()
    new_devices, new_identities, new_codes = [], [], []
    for each in members:
        key = {"device_id": new_id(now, _octets("device", each.number))}
        code_id = new_id(now, _octets("code id", each.number))
        new_devices.append({**device, **key, "name": each.name})
        new_identities.append({**identity, **key, "value": each.serial_number})
        wrapped = code["wrapped"] and office.secrets.wrap(code_id, each.code)
        secret = {"digest": office.secrets.digest(each.code), "wrapped": wrapped}
        new_codes.append({**code, **key, "code_id": code_id, **secret})
    sqlite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql("BEGIN IMMEDIATE" if sqlite else "BEGIN")
    connection.execute(devices.insert(), new_devices)
    connection.execute(device_identities.insert(), new_identities)
    connection.execute(codes.insert(), new_codes)
    connection.exec_driver_sql("COMMIT")


def certification_requests(first: int, last: int) -> Iterator[bytes]:
    """Give the members' PKCS#10 requests, DER, each with a key of its own."""
    for block in range(first // BLOCK, (last + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        made = _block(block)
        yield from made[max(0, first - start) : last - start]


def est_request(member: Member, csr: bytes) -> bytes:
    """Write a simpleenroll as curl sends it, the code by Basic."""
    basic = b64encode(f"{member.name}:{member.code}".encode())
    return _post(
        b"/.well-known/est/simpleenroll",
        b"application/pkcs10",
        encodebytes(csr),
        b"Authorization: Basic " + basic + b"\r\n",
    )


def cfssl_request(csr: bytes) -> bytes:
    """Write a call of cfssl's `sign`."""
    lines = encodebytes(csr).replace(b"\n", b"\\n")
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\\n" + lines + b"-----END CERTIFICATE REQUEST-----"
    body = b'{"certificate_request":"' + pem + b'\\n"}'
    return _post(b"/api/v1/cfssl/sign", b"application/json", body)


def est_requests(first: int, last: int) -> Path:
    """Give a packed file of the members' requests over EST."""
    return _kept("est", first, last)


def spread_est_requests(numbers: range) -> Path:
    """Give a packed file of the requests of members far apart."""
    path = cache() / f"est-{numbers.start}-{numbers.stop}-{numbers.step}.bin"
    if not path.exists():
        members = [Member(number=number) for number in numbers]
        _write(path, pack([est_request(each, _csr(each)) for each in members]))
    return path


def cfssl_requests(first: int, last: int) -> Path:
    return _kept("cfssl", first, last)


def cache() -> Path:
    """Give the folder in which requests are kept between runs."""
    path = Path(tempfile.gettempdir()) / f"enroll-benchmarks-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _kept(kind: str, first: int, last: int) -> Path:
    path = cache() / f"{kind}-{first}-{last}.bin"
    if not path.exists():
        csrs = certification_requests(first, last)
        numbered = zip(range(first, last), csrs, strict=True)
        if kind == "est":
            made = [est_request(Member(number=number), csr) for number, csr in numbered]
        else:
            made = [cfssl_request(csr) for _, csr in numbered]
        _write(path, pack(made))
    return path


def _block(block: int) -> list[bytes]:
    path = cache() / f"csr-{block}.bin"
    if not path.exists():
        numbers = range(block * BLOCK, (block + 1) * BLOCK)
        _write(path, pack([_csr(Member(number=number)) for number in numbers]))
    return list(unpack(path.read_bytes()))


def _csr(member: Member) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, member.name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _post(path: bytes, media_type: bytes, body: bytes, headers: bytes = b"") -> bytes:
    return (
        b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/7.88.1\r\n"
        b"Accept: */*\r\n" + headers + b"Content-Type: " + media_type + b"\r\n"
        b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )


def _octets(what: str, number: int) -> bytes:
    return hashlib.sha256(f"{what} {number}".encode()).digest()


def _write(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    draft.rename(path)
