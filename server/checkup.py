"""`enroll check`: everything that can be looked at without serving."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ca.succession import NEXT, AuthorityKind, AuthorityRecord, AuthorityState, Phase
from enroll.failures import EnrollmentError
from enroll.options import ServerKeyGeneration
from enroll.policy.key_generation import STRENGTHS
from enroll.policy.requirements import untold_keys
from enroll.profiles import PolicySnapshot, ProtocolName
from registry.tables import certificates
from server.authorities import open_key, read_authorities, read_certificate, read_succession
from server.clock import SystemClock
from server.config.load import Config, ConfigurationError, load_config
from server.home import Home, HomeError, read_passphrase, read_private
from server.identity import check_tls_certificate
from server.service_certificates import KINDS, is_by
from server.times import print_duration, rfc3339
from server.webhooks import unusable_webhooks
from server.wiring import Office, open_office, open_secrets

SOON = timedelta(days=90)
WEAKEST_CIPHER = 128
"""The bits of the weakest cipher that device listeners take (`server.http.tls`)."""
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
        return [_wrong("configuration", " ".join(str(error).split()))]
    now = SystemClock().now()
    return [
        _good("configuration", str(home.configuration)),
        *_keys(home, config),
        *asyncio.run(_registry(home, config)),
        *_authorities(home, now),
        _tls(home, config, now),
        *_services(home, now),
    ]


def _keys(home: Home, config: Config) -> Iterator[Finding]:
    """Open every key, and see that those of CAs belong to their certificates."""
    pairs: list[tuple[Path, Path | None]] = [(home.audit_key, None)]
    services = [home.service_key(each.name) for each in KINDS]
    pairs += [(path, None) for path in services if path.exists()]
    try:
        for each in read_succession(home).known:
            path = home.ca_key(each.name)
            if path.exists() or _issues(each):
                pairs.append((path, home.ca_certificate(each.name)))
            elif each.state is not AuthorityState.RETIRED:
                yield _warning(
                    f"{each.name} key", "not on this machine: its CRL is not renewed here"
                )
        open_secrets(home)
        passphrase = read_passphrase(home.resolve(config.keys.passphrase_file))
        for path, certificate in pairs:
            key = open_key(path, passphrase)
            if certificate and read_certificate(certificate).public_key() != key.public_key():
                yield _wrong("keys", f"{path}: is not the key of {certificate}")
                return
    except HomeError as error:
        yield _wrong("keys", str(error))
    else:
        yield _good("keys", "every key opens")


async def _registry(home: Home, config: Config) -> list[Finding]:
    """Look at what only the database knows."""
    try:
        office = open_office(home, config, stream="cli")
    except (HomeError, EnrollmentError) as error:
        return [_wrong("database", str(error))]
    try:
        policy = await office.policy()
        words = f"{len(policy.enrollment_profiles)} profiles, policy version {policy.version}"
        return [
            _good("database", words),
            *_attributes(policy),
            _clock(office),
            *_key_generation(policy),
            *_legacy(policy),
            *_webhooks(home, config, policy),
            *[each async for each in _crls(office)],
        ]
    except EnrollmentError as error:
        return [_wrong("database", error.detail)]
    finally:
        await office.close()


def _key_generation(policy: PolicySnapshot) -> Iterator[Finding]:
    """Look for keys that not every cipher of ours may carry (RFC 7030 §4.4, est-K6)."""
    for profile in policy.enrollment_profiles.values():
        if profile.est.server_key_generation is not ServerKeyGeneration.ALLOWED:
            continue
        strong = [
            each.value
            for each in profile.est.key_generation_algorithms
            if STRENGTHS[each] > WEAKEST_CIPHER
        ]
        name = f"key generation {profile.slug}"
        if strong:
            words = f"{', '.join(strong)}: refused to clients that know AES-128 alone"
            yield _warning(name, words)
        else:
            yield _good(name, "every cipher is strong enough for the keys")


def _attributes(policy: PolicySnapshot) -> Iterator[Finding]:
    """Look for demands on requests that no device is told of (est-A6)."""
    for profile in policy.enrollment_profiles.values():
        template = policy.certificate_profiles[(profile.tenant_id, profile.certificate_profile)]
        untold = untold_keys(profile, template)
        if untold is not None:
            yield _warning(
                "csrattrs",
                f"{untold}, and its /csrattrs does not say so: allow keys of one type only, and "
                "set est.csr_attributes=both",
            )


def _legacy(policy: PolicySnapshot) -> Iterator[Finding]:
    """Name the profiles that take what RFC 8894 §2.9 forbids, so that nobody forgets them."""
    for slug, profile in sorted(policy.enrollment_profiles.items()):
        if profile.scep.legacy and ProtocolName.SCEP in profile.protocols:
            yield _warning(
                f"profile {slug}",
                "scep.legacy is set: SHA-1, 3DES and single DES are taken; use another profile "
                "for every device that knows better",
            )


def _webhooks(home: Home, config: Config, policy: PolicySnapshot) -> Iterator[Finding]:
    """Look for webhooks that are named and not there, or there and not to be used."""
    faults = list(unusable_webhooks(home, config.webhooks, policy))
    for each in faults:
        yield _warning("webhooks", each)
    if config.webhooks and not faults:
        yield _good("webhooks", ", ".join(sorted(config.webhooks)))


def _clock(office: Office) -> Finding:
    """Compare the clock with the last certificate: time must not have gone back (K1)."""
    now = office.clock.now()
    with office.registry.engine.connect() as connection:
        last = connection.execute(sa.select(sa.func.max(certificates.c.issued_at))).scalar()
    if last is not None and datetime.fromisoformat(last) > now + CLOCK_TOLERANCE:
        return _wrong(
            "clock", f"it is {rfc3339(now)} here, but a certificate was issued at {last}: set it"
        )
    return _good("clock", rfc3339(now))


async def _crls(office: Office) -> AsyncIterator[Finding]:
    """Look at the newest lists; those of an issuer whose key is here renew themselves."""
    now = office.clock.now()
    try:
        known = read_succession(office.home).known
    except HomeError:
        return  # The look at the keys has told of it.
    for each in known:
        issuer, here = each.name, office.home.ca_key(each.name).exists()
        if each.state is AuthorityState.RETIRED and not here:
            continue  # Its key was taken away when nobody needed its lists any more.
        async with office.registry.unit_of_work() as uow:
            latest = await uow.crls.latest(issuer)
        name = f"CRL {issuer}"
        if latest is None:
            yield _warning(name, "none yet: the server makes one when it starts")
            continue
        remedy = "start the server" if here else f"put keys/{issuer}.key back and start the server"
        detail = (
            f"number {latest.number}, {print_duration(now - latest.this_update)} old, "
            f"until {rfc3339(latest.next_update)}"
        )
        if latest.next_update <= now:
            yield _wrong(name, f"out of date: {detail}; {remedy}, which renews it")
        elif not here and latest.next_update - now < SOON:
            yield _warning(name, f"{detail}; {remedy}, which renews it")
        else:
            yield _good(name, detail)


def _authorities(home: Home, now: datetime) -> Iterator[Finding]:
    try:
        succession = read_succession(home)
    except HomeError as error:
        yield _wrong("rollover", str(error))
        return
    if succession.phase is not Phase.SETTLED:
        yield _warning("rollover", f"{succession.phase}; next, {NEXT[succession.phase]}")
    for name in [each.name for each in succession.known if _matters(each)]:
        try:
            certificate = read_certificate(home.ca_certificate(name))
        except HomeError as error:
            yield _wrong(f"CA {name}", str(error))
            continue
        left = certificate.not_valid_after_utc - now
        detail = f"until {rfc3339(certificate.not_valid_after_utc)}"
        if left <= timedelta(0) or now < certificate.not_valid_before_utc:
            yield _wrong(f"CA {name}", f"not valid now: {detail}")
        elif left < SOON:
            yield _warning(f"CA {name}", f"expires soon: {detail}")
        else:
            yield _good(f"CA {name}", detail)


def _tls(home: Home, config: Config, now: datetime) -> Finding:
    """Look at the certificate that devices are shown (est-T18): the operator's, or ours."""
    ours = not config.tls.certificate_file
    path = home.tls_certificate if ours else home.resolve(config.tls.certificate_file)
    if ours and not path.exists():
        return _good("TLS", "the server makes a certificate when it starts")
    try:
        pem = path.read_bytes()
        certificate = read_certificate(path)
        if not ours:
            _check_operators_key(home, config, certificate)
        check_tls_certificate(certificate, now, config.server.hosts)
    except (OSError, HomeError) as error:
        if ours:
            return _warning("TLS", f"{error}; the server makes another when it starts")
        return _wrong("TLS", str(error))
    detail = f"until {rfc3339(certificate.not_valid_after_utc)}"
    try:
        authorities = read_authorities(home)
    except HomeError as error:
        return _wrong("TLS", str(error))
    if ours and not is_by(certificate, authorities.issuing.certificate):
        words = "of a CA that issues no more; the server makes another when it starts"
        return _warning("TLS", f"{detail}, {words}")
    roots = [each.certificate for each in authorities.roots]
    return _chain(pem, roots, detail, ours=ours)


def _services(home: Home, now: datetime) -> Iterator[Finding]:
    """Look at the server's own certificates of other kinds, which renew themselves."""
    for kind in KINDS:
        path = home.service_certificate(kind.name)
        if kind.ahead:
            continue  # It is there while a CA is about to follow, and may stay.
        if not path.exists():
            yield _good(kind.title, "the server makes a certificate when it starts")
            continue
        try:
            ends = read_certificate(path).not_valid_after_utc
        except HomeError as error:
            yield _warning(kind.title, f"{error}; the server makes another when it starts")
            continue
        if now > ends:
            words = f"expired at {rfc3339(ends)}; the server makes another when it starts"
            yield _warning(kind.title, words)
        else:
            yield _good(kind.title, f"until {rfc3339(ends)}")


def _check_operators_key(home: Home, config: Config, certificate: x509.Certificate) -> None:
    path = home.resolve(config.tls.private_key_file or config.tls.certificate_file)
    try:
        key = load_pem_private_key(read_private(path), None)
    except (ValueError, TypeError) as error:
        raise HomeError(f"{path}: no private key that opens without a passphrase") from error
    if key.public_key() != certificate.public_key():
        raise HomeError(f"{path}: is not the key of the TLS certificate")


def _chain(pem: bytes, roots: Sequence[x509.Certificate], detail: str, *, ours: bool) -> Finding:
    """Check that each certificate of the file is signed by the next, the last by a root of ours."""
    chain = x509.load_pem_x509_certificates(pem)
    if not any(_leads_to(root, chain) for root in roots):
        if ours:
            return _wrong("TLS", f"{detail}, but its chain does not lead to our root")
        return _warning(
            "TLS",
            f"{detail}; its chain does not lead to our root, so devices need another to trust",
        )
    return _good("TLS", detail)


def _leads_to(root: x509.Certificate, chain: Sequence[x509.Certificate]) -> bool:
    path = [*chain, *([] if len(chain) > 1 and chain[-1] == root else [root])]
    try:
        for below, above in itertools.pairwise(path):
            below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _issues(record: AuthorityRecord) -> bool:
    """Tell whether its key has to be here."""
    return record.kind is AuthorityKind.ISSUING and record.state is AuthorityState.ACTIVE


def _matters(record: AuthorityRecord) -> bool:
    return record.state is not AuthorityState.RETIRED


def _maker(result: str) -> Callable[[str, str], Finding]:
    return lambda name, detail: Finding(name=name, result=result, detail=detail)


_good, _warning, _wrong = (_maker(each) for each in (Finding.GOOD, Finding.WARNING, Finding.WRONG))
