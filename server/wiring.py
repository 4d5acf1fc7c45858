"""Configuration becomes objects; nothing else builds them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from ca.issuers import Issuer
from ca.local import LocalAuthority
from ca.succession import AuthorityKind, Succession
from enroll.access_keys import AccessKeys
from enroll.administration import Administration
from enroll.approvals import Approvals
from enroll.confirmations import Confirmations
from enroll.decryption_keys import DecryptionKeys
from enroll.group_secrets import GroupSecrets
from enroll.lifecycle import Lifecycle
from enroll.pipeline import Pipeline
from enroll.ports import Clock
from enroll.profiles import PolicySnapshot
from enroll.registration import Registration
from enroll.trust_administration import TrustAdministration
from registry.audit import AuditReport, export_events, verify_events
from registry.checkpoints import CheckpointFile
from registry.code_vault import RegistrySecrets
from registry.engine import open_engine
from registry.unit_of_work import SQLRegistry
from server.authorities import LiveAuthorities, open_key
from server.clock import SystemClock, SystemRandomness
from server.config.load import Config
from server.home import Home, HomeError, read_passphrase, read_private
from server.key_generation import ThreadedKeyGenerator
from server.trials import ThreadedSecretTrier
from server.webhooks import Webhooks, open_webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """The registry and the use cases of people; no CA key is opened for it."""

    home: Home
    config: Config
    registry: SQLRegistry
    registration: Registration
    lifecycle: Lifecycle
    administration: Administration
    trust: TrustAdministration
    approvals: Approvals
    confirmations: Confirmations
    decryption_keys: DecryptionKeys
    access_keys: AccessKeys
    group_secrets: GroupSecrets
    secrets: RegistrySecrets
    clock: Clock

    async def policy(self) -> PolicySnapshot:
        async with self.registry.unit_of_work() as uow:
            return await uow.policy.snapshot()

    async def close(self) -> None:
        """Write what is waiting, sign a checkpoint if anything was written, and let go.

        Raises HomeError if no checkpoint could be signed; what was written is written all the same.
        """
        try:
            await self.registry.drain()
            if self.registry.events_written:
                self.sign_checkpoint()
        finally:
            await self.registry.close()

    def sign_checkpoint(self) -> None:
        """Sign the heads of the audit log's chains. Raises HomeError."""
        checkpoints = open_checkpoints(self.home, self.config)
        try:
            checkpoints.append(self.registry.engine, self.clock.now())
        except (OSError, sa.exc.SQLAlchemyError) as error:
            raise HomeError(f"{self.home.checkpoints}: nothing was signed: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Works:
    """The office, and what it takes to issue."""

    office: Office
    authorities: LiveAuthorities
    authority: LocalAuthority
    pipeline: Pipeline
    webhooks: Webhooks

    async def close(self) -> None:
        """Let go of everything. Raises HomeError, as the office does."""
        await self.webhooks.close()
        await self.office.close()

    @property
    def issuers(self) -> Mapping[str, Issuer]:
        """Give the CAs whose key is here, roots too."""
        return self.authorities.now.issuers

    @property
    def root(self) -> x509.Certificate:
        """Give the root above the CA that issues now."""
        return self.authorities.now.root.certificate

    def ca_certificates(self) -> tuple[bytes, ...]:
        return self.authorities.now.ca_certificates

    def follow_succession(self) -> bool:
        """Issue by the CAs of their record; tell whether that changed. Raises HomeError."""
        if not self.authorities.refresh():
            return False
        self.authority.adopt(self.authorities.now.issuer_set)
        return True


def open_office(home: Home, config: Config, *, stream: str) -> Office:
    """Open the registry. Raises HomeError, RegistryUnavailable."""
    clock, randomness = SystemClock(), SystemRandomness()
    secrets = open_secrets(home)
    registry = SQLRegistry(
        home.database_url(config.database.url.get_secret_value()),
        stream=stream,
        seal_key=secrets.seal_key,
        busy_timeout=config.database.busy_timeout_seconds,
    )
    registration = Registration(registry, secrets, clock, randomness)
    return Office(
        home=home,
        config=config,
        registry=registry,
        registration=registration,
        lifecycle=Lifecycle(registry, registration, clock),
        administration=Administration(registry, clock),
        trust=TrustAdministration(registry, clock),
        approvals=Approvals(registry, clock),
        confirmations=Confirmations(registry, clock),
        decryption_keys=DecryptionKeys(registry, secrets, clock),
        access_keys=AccessKeys(registry, secrets, clock, randomness),
        group_secrets=GroupSecrets(registry, secrets, clock, randomness),
        secrets=secrets,
        clock=clock,
    )


def open_works(home: Home, config: Config, *, stream: str) -> Works:
    """Open everything, the issuing key included. Raises HomeError, RegistryUnavailable."""
    office = open_office(home, config, stream=stream)
    passphrase = read_passphrase(home.resolve(config.keys.passphrase_file))
    authorities = LiveAuthorities(home, passphrase, config.server.public_http_url)
    authority = LocalAuthority(authorities.now.issuer_set, office.clock)
    webhooks = open_webhooks(home, config.webhooks, office.clock)
    pipeline = Pipeline(
        registry=office.registry,
        authority=authority,
        vault=office.secrets,
        clock=office.clock,
        randomness=SystemRandomness(),
        key_generator=ThreadedKeyGenerator(
            waiting=config.limits.keys_waiting, per_hour=config.limits.keys_per_device_and_hour
        ),
        decision_maker=webhooks,
        secret_trier=ThreadedSecretTrier(),
    )
    return Works(
        office=office,
        authorities=authorities,
        authority=authority,
        pipeline=pipeline,
        webhooks=webhooks,
    )


def with_config(works: Works, config: Config) -> Works:
    """Give the same works under another configuration."""
    return replace(works, office=replace(works.office, config=config))


def crl_lifetimes(succession: Succession, config: Config) -> Mapping[str, timedelta]:
    """Tell how long the lists of each CA are good: of all that ever signed, the retired too."""
    lifetimes = {
        AuthorityKind.ISSUING: timedelta(hours=config.crl.lifetime_hours),
        AuthorityKind.ROOT: timedelta(days=config.crl.root_lifetime_days),
    }
    return {each.name: lifetimes[each.kind] for each in succession.known}


def open_secrets(home: Home) -> RegistrySecrets:
    """Read what protects the registry's codes, keys and audit log. Raises HomeError."""
    try:
        return RegistrySecrets(read_private(home.registry_key))
    except ValueError as error:
        raise HomeError(f"{home.registry_key}: the file is damaged: {error}") from error


def open_checkpoints(home: Home, config: Config) -> CheckpointFile:
    """Open the file of signed checkpoints. Raises HomeError."""
    passphrase = read_passphrase(home.resolve(config.keys.passphrase_file))
    key = open_key(home.audit_key, passphrase)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise HomeError(f"{home.audit_key}: expected an Ed25519 key")
    return CheckpointFile(home.checkpoints, key)


def verify_audit(home: Home, config: Config) -> AuditReport:
    """Check the whole audit log. Raises HomeError, RegistryUnavailable."""
    with _audited(home, config) as engine:
        return verify_events(
            engine,
            seal_key=open_secrets(home).seal_key,
            checkpoints=open_checkpoints(home, config),
        )


def export_audit(home: Home, config: Config) -> Iterator[Mapping[str, object]]:
    """Read the whole audit log in the order of its chains. Raises HomeError, …Unavailable."""
    with _audited(home, config) as engine:
        yield from export_events(engine)


@contextmanager
def _audited(home: Home, config: Config) -> Iterator[sa.Engine]:
    """Open the database for what reads all of it."""
    url = home.database_url(config.database.url.get_secret_value())
    engine = open_engine(url, config.database.busy_timeout_seconds)
    try:
        yield engine
    finally:
        engine.dispose()
