"""Good messages of SCEP to damage: every type, from whoever proves nothing, something, or a key."""

from dataclasses import dataclass, replace
from functools import cached_property

from cryptography import x509

from enroll.registration import MAXIMUM_USES
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.digests import Digest
from protocols.scep.messages import RegistrationAuthority
from tests.support.csr import Key, a_csr, a_key, a_name, sequence, tlv
from tests.support.desk import obtain
from tests.support.enrollment import Held, by_code
from tests.support.installation import Installation
from tests.support.scep import Message, a_pkcs_req, a_renewal

KEYS = ("rsa-2048", "p-256")
NEW_KEY = 1
"""The number of the keys that are asked for; those held are the first of their kind."""


@dataclass(frozen=True, kw_only=True)
class Seed:
    """A good message, where it goes, and the key of the request in it if it is one."""

    message: Message
    path: str = ""
    key: Key | None = None

    @cached_property
    def whole(self) -> bytes:
        return self.message.encode()

    @cached_property
    def envelope(self) -> bytes:
        return self.message.envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """What may be shown: codes and certificates of devices by the kind of key, a group's secret."""

    codes: dict[str, str]
    secret: str
    held: dict[str, Held]


def callers_of(installation: Installation) -> Callers:
    """Register a device for each kind of key, and one that only the group's secret proves."""
    for name in ("bootstrap", "operational"):
        installation.run("profile", "set", name, "re_enrollment=allow", "allow_same_key=true")
    options = ("initial_credentials=one_time_code,group_secret",)
    installation.run("profile", "set", "bootstrap", *options)
    legacy = ("--set", "scep.legacy=true", "--set", "scep.sha1_renewals=true")
    installation.run("profile", "add", "legacy", "--copy", "bootstrap", *legacy)
    installation.run("device", "add", "pump-1")
    codes, held = {}, {}
    for number, kind in enumerate(KEYS, 2):
        name = f"pump-{number}"
        words = ("device", "add", name, "--uses", str(MAXIMUM_USES))
        codes[kind] = installation.json(*words)["code"]
        held[kind] = obtain(installation, replace(by_code(name, codes[kind]), key=a_key(kind)))
    secret = installation.json("group", "secret", "add", "default")["secret"]
    return Callers(codes=codes, secret=secret, held=held)


def seeds_of(callers: Callers, authority: RegistrationAuthority) -> tuple[Seed, ...]:
    """Make them all, sealed to this RA."""
    seeds = [seed for kind in KEYS for seed in _of_kind(callers, kind, authority)]
    first = seeds[0]
    variants: tuple[dict[str, object], ...] = (
        {"content_encryption": ContentEncryption.AES_128_CBC, "oaep": Digest.SHA256},
        {"pss": True, "digest": Digest.SHA512},
        {"content_encryption": ContentEncryption.DES_EDE3_CBC, "digest": Digest.SHA1},
        {"content_encryption": ContentEncryption.DES_CBC},
        {"kind": 3},
        {"kind": 18},
    )
    for each in variants:
        message = replace(first.message, **each)  # type: ignore[arg-type]  # as written above
        seeds += [replace(first, message=message, path=path) for path in ("", "legacy")]
    return tuple(seeds)


def _of_kind(callers: Callers, kind: str, authority: RegistrationAuthority) -> list[Seed]:
    """Make those that are signed with one kind of key, self-signed and by what is held."""
    key, held = a_key(kind, NEW_KEY), callers.held[kind]
    by_itself = a_pkcs_req(key, callers.codes[kind], ra=authority)
    renewal = a_renewal(held, key, ra=authority)
    requests = (
        by_itself,
        replace(by_itself, content=a_csr(key)),
        replace(by_itself, content=a_csr(key, challenge_password="AAAA-AAAA-AAAA-AAAA-AAAA")),
        replace(by_itself, content=a_csr(key, challenge_password=callers.secret)),
        renewal,
        replace(renewal, kind=19),
        replace(by_itself, kind=17),
    )
    lookups = (
        replace(each, kind=number, content=content)
        for each in (by_itself, renewal)
        for number, content in _lookups(held.certificate)
    )
    paths = ("", "bootstrap/pkiclient.exe", "legacy")
    return [
        *(Seed(message=each, path=path, key=key) for each in requests for path in paths),
        Seed(message=renewal, path="operational", key=key),
        *(Seed(message=each) for each in lookups),
    ]


def _lookups(certificate: x509.Certificate) -> tuple[tuple[int, bytes], ...]:
    issuer = certificate.issuer.public_bytes()
    number = certificate.serial_number
    serial = tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1))
    named = sequence(issuer, serial)
    return (
        (20, sequence(issuer, a_name().public_bytes())),
        (21, named),
        (21, sequence(issuer, tlv(0x02, b"\x05"))),
        (22, named),
    )
