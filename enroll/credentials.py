"""What a requester shows, and what showing it proved."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from enroll.options import HTTPScheme


class CredentialKind(StrEnum):
    """The sorts of proof that an enrollment profile may accept."""

    ONE_TIME_CODE = "one_time_code"
    OWN_CERTIFICATE = "own_certificate"
    IDEVID = "idevid"
    AUTH_CA = "auth_ca"
    RA = "ra"
    GROUP_SECRET = "group_secret"  # noqa: S105 - a kind, no secret


SECRETS = frozenset({CredentialKind.ONE_TIME_CODE, CredentialKind.GROUP_SECRET})
"""The kinds that come as a secret, by HTTP authentication or in the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPBasic:
    """A user name and a password sent in the clear under TLS (RFC 7617)."""

    username: str
    password: str = field(repr=False)

    @property
    def scheme(self) -> HTTPScheme:
        return HTTPScheme.BASIC


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPDigest:
    """An answer to a challenge, computed from a secret that stays unsaid (RFC 7616 §3.4.1).

    `exchange` is what is hashed after the secret: nonce, counter, client's nonce, quality, and the
    hash of method and address. `is_fresh`: the nonce is ours, recent, and not answered before.
    """

    username: str
    scheme: HTTPScheme
    realm: str
    exchange: str
    response: str = field(repr=False)
    is_fresh: bool

    def is_of(self, secret: str) -> bool:
        """Tell whether the secret gives this very answer."""
        inner = self._hash(f"{self.username}:{self.realm}:{secret}")
        wanted = self._hash(f"{inner}:{self.exchange}")
        return hmac.compare_digest(wanted, self.response)

    def _hash(self, text: str) -> str:
        octets = text.encode("utf-8", "surrogatepass")
        if self.scheme is HTTPScheme.DIGEST_MD5:
            return hashlib.md5(octets, usedforsecurity=False).hexdigest()
        return hashlib.sha256(octets).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSClientCertificate:
    """The chain a client sent in its TLS handshake, its own certificate first.

    The handshake proved possession of the leaf's key. Nothing else in it has been checked.
    """

    chain: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        return self.chain[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengePassword:
    """A secret within the request (RFC 2985 §5.4.1), without a name: the code names the device."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedChallengePassword:
    """A secret within the request whose own subject names the device (est-T14)."""

    names: tuple[str, ...]
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerCertificate:
    """The certificate whose key signed the message, and those that came with it.

    The signature proved possession of the leaf's key. Nothing else in it has been checked.
    """

    chain: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        return self.chain[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnshownCertificate:
    """A signature by a certificate that did not come along, and is kept here if it proves anything.

    `matches` tells of one certificate whether its key gives this signature.
    """

    matches: Callable[[x509.Certificate], bool] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSecretMAC:
    """A MAC over the message under a secret that stays unsaid, and whose secret it is meant to be.

    `matches` tells of one secret whether it gives this MAC. It may raise EnrollmentError for what
    is wrong although the secret is right. With `exact` it is made of the secret as it was shown,
    and not as somebody may have typed it. Where a key is derived for each secret, `rounds` is what
    that takes, in rounds of a hash; what was found stays in `tried`. `references` are the octets
    that the secret may go by, where they are more than the name in UTF-8.
    """

    username: str
    matches: Callable[[str], bool] = field(repr=False)
    exact: bool = field(default=False, repr=False)
    rounds: int = field(default=0, repr=False)
    tried: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)
    references: tuple[bytes, ...] = ()

    def is_of(self, secret: str) -> bool:
        if secret not in self.tried:
            self.tried[secret] = self.matches(secret)
        return self.tried[secret]


ShownCertificate = TLSClientCertificate | SignerCertificate
Secret = HTTPBasic | HTTPDigest | ChallengePassword | NamedChallengePassword | SharedSecretMAC
NamingSecret = HTTPBasic | HTTPDigest | SharedSecretMAC
"""The secrets that come with the name of whose they are meant to be."""

Credential = ShownCertificate | UnshownCertificate | Secret


def proving_certificate(credentials: Iterable[Credential]) -> ShownCertificate | None:
    """Give the certificate that has to prove the caller: who signed comes before who connected."""
    shown = [each for each in credentials if isinstance(each, ShownCertificate)]
    signers = [each for each in shown if isinstance(each, SignerCertificate)]
    return next(iter((*signers, *shown)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimeCode:
    """A per-device secret as the registry keeps it: a keyed digest, never the code.

    `wrapped` holds the code encrypted under a key outside the database, only where a protocol's
    MAC, or HTTP Digest, will need its clear value.
    """

    code_id: str
    device_id: str
    digest: bytes = field(repr=False)
    wrapped: bytes | None = field(default=None, repr=False)
    max_uses: int = 1
    uses: int = 0
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    def is_active(self, now: datetime) -> bool:
        return self.revoked_at is None and self.uses < self.max_uses and now < self.expires_at


def new_one_time_code(octets: bytes) -> str:
    """Make a code of 13 random octets: 20 base32 characters (100 bits) in groups of four."""
    characters = base64.b32encode(octets[:13]).decode("ascii")[:20]
    return "-".join(characters[start : start + 4] for start in range(0, 20, 4))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSecret:
    """A secret that the devices of a group share, as the registry keeps it: both in hex.

    `digest` is keyed; `wrapped` holds the secret encrypted under a key outside the database, for
    protocols whose MAC needs its clear value. It is good from `not_before` until `expires_at`, and
    for `max_uses` certificates. With a `reference`, octets in hex, it is a passcode: it goes by
    that, and the device is the one that the request names; else it goes by the device's name.
    """

    secret_id: str
    digest: str = field(repr=False)
    wrapped: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    reference: str | None = None
    not_before: datetime | None = None
    max_uses: int | None = None

    def is_over(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at

    def is_active(self, now: datetime) -> bool:
        begun = self.not_before is None or now >= self.not_before
        return begun and not self.is_over(now)


def answers_with(answer: "HTTPDigest | SharedSecretMAC", clear: str) -> bool:
    """Tell whether the answer is made of this secret, in all ways in which it may be typed."""
    exact = isinstance(answer, SharedSecretMAC) and answer.exact
    right = [answer.is_of(each) for each in ((clear,) if exact else spellings(clear))]
    return any(right)


def spellings(code: str) -> tuple[str, ...]:
    """Give the ways in which a code may be typed: with its hyphens and without, in either case."""
    bare = code.replace("-", "")
    return (code, bare, code.lower(), bare.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """Who was proven, and by what. `credential_id` names the code, or the certificate's SHA-256."""

    kind: CredentialKind
    device_id: str
    credential_id: str
    authenticated_at: datetime
    code: OneTimeCode | None = None
    group_secret: GroupSecret | None = None

    @property
    def by_reference(self) -> bool:
        """Tell whether the name that came with the secret is the secret's, and no device's."""
        return self.group_secret is not None and self.group_secret.reference is not None
