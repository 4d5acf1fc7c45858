"""`enroll check`: everything that can be looked at without serving."""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import sqlalchemy as sa
from cryptography import x509

from ca.ceremony import ISSUING, ROOT
from enroll.failures import EnrollmentError
from registry.tables import certificates
from server.config.load import Config, ConfigurationError, load_config
from server.home import Home, HomeError
from server.identity import check_tls_certificate
from server.wiring import Works, open_works, read_certificate

SOON = timedelta(days=90)
CLOCK_TOLERANCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    result: str
    detail: str

    GOOD: ClassVar[str] = "ok"
    WARNING: ClassVar[str] = "warning"
    WRONG: ClassVar[str] = "wrong"


def examine(home: Home) -> list[Finding]:
    """Look at everything, going on where one thing is wrong if the next can still be looked at."""
    try:
        config = load_config(home.configuration)
    except ConfigurationError as error:
        return [_wrong("configuration", str(error))]
    findings = [_good("configuration", str(home.configuration))]
    try:
        works = open_works(home, config, stream="cli")
    except (HomeError, EnrollmentError) as error:
        return [*findings, _wrong("keys and database", str(error))]
    findings.append(_good("keys", "every key opens"))
    findings.extend(asyncio.run(_look(works, config)))
    return findings


async def _look(works: Works, config: Config) -> list[Finding]:
    try:
        return await _inside(works, config)
    except EnrollmentError as error:
        return [_wrong("database", error.detail)]
    finally:
        await works.office.close()


async def _inside(works: Works, config: Config) -> list[Finding]:
    now = works.office.clock.now()
    policy = await works.office.policy()
    count = len(policy.enrollment_profiles)
    return [
        _good("database", f"{count} enrollment profiles at policy version {policy.version}"),
        _clock(works, now),
        *_authorities(works, now),
        await _crl(works, now),
        _root_key(works),
        _tls(works, config, now),
    ]


def _clock(works: Works, now: datetime) -> Finding:
    """Compare the clock with the last certificate: time must not have gone back (K1)."""
    with works.office.registry.engine.connect() as connection:
        last = connection.execute(sa.select(sa.func.max(certificates.c.issued_at))).scalar()
    if last is not None and datetime.fromisoformat(last) > now + CLOCK_TOLERANCE:
        return _wrong("clock", f"a certificate was issued at {last}, which is in the future")
    return _good("clock", now.isoformat(timespec="seconds"))


def _authorities(works: Works, now: datetime) -> Iterable[Finding]:
    for name, certificate in (
        (ROOT, works.root),
        (ISSUING, works.issuers[ISSUING].certificate),
    ):
        left = certificate.not_valid_after_utc - now
        detail = f"until {certificate.not_valid_after_utc:%Y-%m-%d}"
        if left <= timedelta(0) or now < certificate.not_valid_before_utc:
            yield _wrong(f"CA {name}", f"not valid now: {detail}")
        elif left < SOON:
            yield _warning(f"CA {name}", f"expires soon: {detail}")
        else:
            yield _good(f"CA {name}", detail)


async def _crl(works: Works, now: datetime) -> Finding:
    async with works.office.registry.unit_of_work() as uow:
        latest = await uow.crls.latest(ISSUING)
    if latest is None:
        return _warning("CRL", "none yet: the server makes one when it starts")
    detail = f"number {latest.number}, until {latest.next_update:%Y-%m-%d %H:%M} UTC"
    if latest.next_update <= now:
        return _warning("CRL", f"out of date: {detail}; the server renews it while it runs")
    return _good("CRL", detail)


def _root_key(works: Works) -> Finding:
    if ROOT in works.issuers:
        return _good("root key", "on this machine; it may be moved away, see docs/operations.md")
    return _warning("root key", "not on this machine: the root's CRL is not renewed here")


def _tls(works: Works, config: Config, now: datetime) -> Finding:
    home = works.office.home
    path = (
        home.resolve(config.tls.certificate_file)
        if config.tls.certificate_file
        else home.tls_certificate
    )
    if not config.tls.certificate_file and not path.exists():
        return _good("TLS", "the server makes a certificate when it starts")
    try:
        certificate = read_certificate(path)
        check_tls_certificate(certificate, now)
    except HomeError as error:
        return _wrong("TLS", str(error))
    return _chain(path.read_bytes(), works, f"until {certificate.not_valid_after_utc:%Y-%m-%d}")


def _chain(pem: bytes, works: Works, detail: str) -> Finding:
    """Check that each certificate of the file is signed by the next, the last by our root."""
    chain = [*x509.load_pem_x509_certificates(pem), works.root]
    try:
        for below, above in itertools.pairwise(chain):
            below.verify_directly_issued_by(above)
    except Exception as error:  # noqa: BLE001 - any fault means that it does not chain
        if works.office.config.tls.certificate_file:
            return _warning("TLS", f"{detail}; it does not chain to our root: {error!r}")
        return _wrong("TLS", f"the chain does not verify: {error!r}")
    return _good("TLS", detail)


def _maker(result: str) -> Callable[[str, str], Finding]:
    return lambda name, detail: Finding(name=name, result=result, detail=detail)


_good, _warning, _wrong = (_maker(each) for each in (Finding.GOOD, Finding.WARNING, Finding.WRONG))
