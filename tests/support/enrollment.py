"""A whole site in one process: registry, authority and pipeline, with people and devices at work.

Time stands still, randomness repeats, and every certificate is really signed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.ceremony import ISSUING, Ceremony
from ca.issuers import Issuer, IssuerSet
from ca.local import LocalAuthority
from enroll.administration import Administration
from enroll.approvals import Approvals
from enroll.certificates import CertificateRecord
from enroll.confirmations import Confirmations
from enroll.credentials import Credential, HTTPBasic, TLSClientCertificate
from enroll.device import Device
from enroll.events import Attempt, EnrollmentEvent
from enroll.lifecycle import Lifecycle
from enroll.options import ChallengePasswordRule, ESTOptions
from enroll.orders import Order
from enroll.pipeline import Pipeline
from enroll.ports import CertificateAuthority, KeyGenerator, Registry, UnitOfWork
from enroll.profiles import PolicySnapshot, ProtocolName
from enroll.registration import CodeTerms, NewDevice, Registration
from enroll.request import CertificateRequest, EnrollmentRequest, Operation, RequestOrigin
from enroll.result import EnrollmentResult, Issued, Pending, Rejected
from enroll.trials import SecretTrier
from protocols import pkcs10
from registry.code_vault import RegistrySecrets
from registry.memory import MemoryRegistry
from server.key_generation import ThreadedKeyGenerator
from server.trials import ThreadedSecretTrier
from tests.support.builders import PASSCODE_REFERENCE, TENANT, a_policy, stage_policy
from tests.support.csr import (
    CHALLENGE_PASSWORD,
    CHANGE_SUBJECT_NAME,
    ECDSA_SHA256,
    RSA_SHA256,
    Key,
    a_csr,
    a_key,
    a_name,
    attribute,
    raw_csr,
    sequence,
    tlv,
)
from tests.support.fakes import START, FixedClock, ScriptedDecisionMaker, SeededRandomness
from tests.support.registries import look, store

OPERATOR = "cli:operator"
PEER = "192.0.2.7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A certificate in a device's hand, with its private key."""

    der: bytes
    key: Key

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.der)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a device wants and what it shows, before any protocol words it.

    `reference` and `code` travel together; `held` is shown with proof of its key, and
    `challenge_password` stands in the request.
    """

    operation: Operation
    key: Key
    profile: str | None = None
    subject: x509.Name = field(default_factory=a_name)
    names: Sequence[x509.GeneralName] = ()
    key_usage: x509.KeyUsage | None = None
    purposes: Sequence[x509.ObjectIdentifier] = ()
    reference: str | None = None
    code: str | None = None
    challenge_password: str | None = None
    held: Held | None = None
    change_subject: x509.Name | None = None
    change_names: Sequence[x509.GeneralName] = ()

    @property
    def csr(self) -> bytes:
        """The wish as PKCS#10, DER, signed anew each time."""
        change = []
        if self.change_subject is not None:
            change.append(self.change_subject.public_bytes())
        if self.change_names:
            change.append(x509.SubjectAlternativeName(self.change_names).public_bytes())
        if change:
            wanted = [attribute(CHANGE_SUBJECT_NAME, sequence(*change))]
            if self.challenge_password is not None:
                password = tlv(0x0C, self.challenge_password.encode())
                wanted.append(attribute(CHALLENGE_PASSWORD, password))
            return raw_csr(
                *wanted,
                key=self.key,
                subject=self.subject.public_bytes(),
                algorithm=RSA_SHA256 if isinstance(self.key, rsa.RSAPrivateKey) else ECDSA_SHA256,
            )
        extensions: list[x509.ExtensionType] = []
        if self.key_usage is not None:
            extensions.append(self.key_usage)
        if self.purposes:
            extensions.append(x509.ExtendedKeyUsage(self.purposes))
        return a_csr(
            self.key,
            subject=self.subject,
            names=self.names,
            extensions=extensions,
            challenge_password=self.challenge_password,
        )


class Site:
    """Everything that enrolls, and the people around it; made by `open_site`."""

    def __init__(
        self,
        *,
        registry: Registry | None = None,
        authority: CertificateAuthority | None = None,
        clock: FixedClock | None = None,
        key_generator: KeyGenerator | None = None,
    ) -> None:
        self.clock = clock or FixedClock()
        self.randomness = SeededRandomness()
        self.vault = RegistrySecrets(bytes(32))
        self.registry = registry or MemoryRegistry()
        self.authority = authority or an_authority(self.clock)
        self.registration = Registration(self.registry, self.vault, self.clock, self.randomness)
        self.lifecycle = Lifecycle(self.registry, self.registration, self.clock)
        self.administration = Administration(self.registry, self.clock)
        self.approvals = Approvals(self.registry, self.clock)
        self.confirmations = Confirmations(self.registry, self.clock)
        self.key_generator = key_generator or ThreadedKeyGenerator(waiting=0, per_hour=0)
        self.decision_maker = ScriptedDecisionMaker()
        self.secret_trier: SecretTrier = ThreadedSecretTrier()
        self.pipeline = self.new_pipeline()
        self._numbers = count(1)

    def new_pipeline(self, authority: CertificateAuthority | None = None) -> Pipeline:
        """Make another pipeline on the same registry, as after a restart."""
        return Pipeline(
            registry=self.registry,
            authority=authority or self.authority,
            vault=self.vault,
            clock=self.clock,
            randomness=self.randomness,
            key_generator=self.key_generator,
            decision_maker=self.decision_maker,
            secret_trier=self.secret_trier,
        )

    async def register(self, name: str = "pump-1", **details: object) -> Device:
        """Register a device without a code."""
        new = replace(NewDevice(name=name), **details)  # type: ignore[arg-type]  # a test's words
        device, _ = await self.registration.register(new, code=None, actor=OPERATOR)
        return device

    async def code(self, name: str = "pump-1", *, uses: int = 1) -> str:
        """Make a one-time code for a device."""
        device = await self.device(name)
        terms = CodeTerms(uses=uses)
        _, made = await self.registration.make_code(device.device_id, terms, actor=OPERATOR)
        return made.clear

    async def enroll(self, name: str = "pump-1", **details: object) -> Held:
        """Register a device and let it enroll by code."""
        await self.register(name, **details)
        return await self.obtain(by_code(name, await self.code(name)))

    async def provision(self, name: str = "pump-1") -> tuple[Held, Held]:
        """Take a device all the way; give its bootstrap and its operational certificate."""
        bootstrap = await self.enroll(name)
        return bootstrap, await self.obtain(by_certificate(bootstrap, subject=a_name(name)))

    async def send(self, ask: Ask, *, pipeline: Pipeline | None = None) -> EnrollmentResult:
        """Have the pipeline decide."""
        return await (pipeline or self.pipeline).handle(self.request(ask))

    async def obtain(self, ask: Ask) -> Held:
        """Have the pipeline issue."""
        result = await self.send(ask)
        assert isinstance(result, Issued), result
        return Held(der=result.record.der, key=ask.key)

    async def wait(self, ask: Ask) -> Order:
        """Have the pipeline hold it, and give the order that it waits for."""
        result = await self.send(ask)
        assert isinstance(result, Pending), result
        order_id = result.order_id
        order = await look(self.registry, lambda uow: uow.orders.by_id(order_id))
        assert order is not None
        return order

    async def be_refused(self, ask: Ask) -> Rejected:
        result = await self.send(ask)
        assert isinstance(result, Rejected), result
        return result

    def request(self, ask: Ask) -> EnrollmentRequest:
        return a_request(
            ask,
            certificate_request=pkcs10.decode(ask.csr),
            origin=self.origin(ask),
        )

    def origin(self, ask: Ask) -> RequestOrigin:
        return RequestOrigin(
            correlation_id=f"{next(self._numbers):016x}",
            protocol=ProtocolName.EST,
            operation=ask.operation.value,
            profile=ask.profile,
            peer_address=PEER,
            received_at=self.clock.now(),
        )

    async def device(self, name: str = "pump-1") -> Device:
        device = await look(self.registry, lambda uow: uow.devices.by_reference(TENANT, name))
        assert device is not None, f"there is no device {name}"
        return device

    async def certificates(self, name: str = "pump-1") -> Sequence[CertificateRecord]:
        """Give all that a device ever got, newest first: nothing, where there is no such device."""
        device = await look(self.registry, lambda uow: uow.devices.by_reference(TENANT, name))
        if device is None:
            return ()
        return await look(self.registry, lambda uow: uow.certificates.of_device(device.device_id))

    async def record_of(self, held: Held) -> CertificateRecord:
        found = [
            each
            for each in await look(self.registry, lambda uow: uow.certificates.list())
            if each.der == held.der
        ]
        return found[0]

    async def events(self, name: str = "pump-1") -> Sequence[EnrollmentEvent]:
        device = await self.device(name)
        return await look(self.registry, lambda uow: uow.events.of_device(device.device_id))

    async def attempts(self) -> Sequence[Attempt]:
        """Give every attempt, newest first."""
        return await look(self.registry, lambda uow: uow.attempts.list())

    async def orders(self, *, pending_only: bool = False) -> Sequence[Order]:
        """Give every order, newest first."""
        return await look(self.registry, lambda uow: uow.orders.list(pending_only=pending_only))

    async def policy(self) -> PolicySnapshot:
        return await look(self.registry, lambda uow: uow.policy.snapshot())

    async def change_policy(self, **profiles: dict[str, object]) -> None:
        """Change fields of enrollment profiles, by slug, whatever a checker would say."""
        known = (await self.policy()).enrollment_profiles

        def stage(uow: UnitOfWork) -> None:
            for slug, changes in profiles.items():
                changed = replace(known[slug], **changes)  # type: ignore[arg-type]  # a test's words
                uow.policy.put_enrollment_profile(changed)

        await store(self.registry, stage)


async def open_site(
    policy: PolicySnapshot | None = None,
    *,
    registry: Registry | None = None,
    authority: CertificateAuthority | None = None,
    clock: FixedClock | None = None,
) -> Site:
    """Open a site with a new installation's policy, or the one given."""
    site = Site(registry=registry, authority=authority, clock=clock)
    await store(site.registry, lambda uow: stage_policy(uow, policy or a_policy()))
    return site


def by_code(name: str, code: str, **wishes: object) -> Ask:
    """Ask for a first certificate, proven by a one-time code."""
    ask = Ask(
        operation=Operation.INITIAL,
        key=a_new_key(),
        subject=a_name(name),
        reference=name,
        code=code,
    )
    return replace(ask, **wishes)  # type: ignore[arg-type]  # a test's words


def by_certificate(held: Held, profile: str | None = "operational", **wishes: object) -> Ask:
    """Ask for a first certificate in another slot, proven by one that is held."""
    ask = Ask(operation=Operation.INITIAL, key=a_new_key(), profile=profile, held=held)
    return replace(ask, **wishes)  # type: ignore[arg-type]  # a test's words


async def with_code_in_request(site: Site, ask: Ask) -> Ask:
    """Word an ask so that its code stands in the request, and let all profiles take it there.

    The subject names the device then; where it names another, the device's name stands before.
    """
    rule: dict[str, object] = {"est": ESTOptions(challenge_password=ChallengePasswordRule.CODE)}
    await site.change_policy(**dict.fromkeys((await site.policy()).enrollment_profiles, rule))
    if ask.code is None:
        return ask
    subject = ask.subject
    if ask.reference not in {PASSCODE_REFERENCE, *(each.value for each in subject)}:
        own = x509.NameAttribute(NameOID.SERIAL_NUMBER, ask.reference or "")
        subject = x509.Name([own, *subject])
    return replace(ask, subject=subject, challenge_password=ask.code, reference=None, code=None)


def renewal(held: Held, **wishes: object) -> Ask:
    """Ask for the successor of a certificate, with a new key and the old names."""
    ask = Ask(
        operation=Operation.RENEWAL,
        key=a_new_key(),
        subject=held.certificate.subject,
        held=held,
    )
    return replace(ask, **wishes)  # type: ignore[arg-type]  # a test's words


def a_request(
    ask: Ask, *, certificate_request: CertificateRequest, origin: RequestOrigin
) -> EnrollmentRequest:
    credentials: list[Credential] = []
    if ask.reference is not None and ask.code is not None:
        credentials.append(HTTPBasic(username=ask.reference, password=ask.code))
    if ask.held is not None:
        credentials.append(TLSClientCertificate(chain=(ask.held.certificate,)))
    return EnrollmentRequest(
        origin=origin,
        operation=ask.operation,
        certificate_request=certificate_request,
        credentials=tuple(credentials),
    )


_new_keys: ContextVar[Iterator[Key] | None] = ContextVar("new_keys", default=None)


def a_new_key() -> Key:
    kept = _new_keys.get()
    return ec.generate_private_key(ec.SECP256R1()) if kept is None else next(kept)


@contextmanager
def new_keys_are_rsa() -> Iterator[None]:
    """Let new keys be RSA, as SCEP needs them: a few are made, and used again in the next case."""
    before = _new_keys.set(a_key("rsa-2048", 200 + number) for number in count())
    try:
        yield
    finally:
        _new_keys.reset(before)


@lru_cache
def an_issuer(name: str = "Test") -> Issuer:
    """Make a root and an issuing CA under it, once for each name."""
    ceremony = Ceremony(name=name, now=START, public_http_url="http://127.0.0.1:8080")
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = ceremony.root(root_key, 1)
    return Issuer(
        name=ISSUING,
        certificate=ceremony.issuing(key, 2, root, root_key),
        key=key,
        chain=(root.public_bytes(Encoding.DER),),
        public_http_url="http://127.0.0.1:8080",
    )


def an_authority(clock: FixedClock, name: str = "Test") -> LocalAuthority:
    issuer = an_issuer(name)
    return LocalAuthority(IssuerSet(issuers={ISSUING: issuer}, roots=issuer.chain), clock)
