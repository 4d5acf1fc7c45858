"""What an enrollment profile may say of one protocol alone: the keys `est.…`, `scep.…`, `cmp.…`."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

FULL_CMC = "fullcmc"
"""The operation of EST that `ESTOptions.fullcmc` lets in."""


class ChallengePasswordRule(StrEnum):
    """What EST takes a request's challengePassword for; one rule an endpoint, never a guess.

    BINDING: the channel binding of RFC 7030 §3.5. CODE: a one-time code, as SCEP has it.
    """

    BINDING = "binding"
    CODE = "code"


class LinkingRule(StrEnum):
    """Whether EST links identity and proof of possession (RFC 7030 §3.5).

    REQUIRED: every request holds its connection's channel binding. ACCEPTED: one that holds any
    has to hold that. OFF: a challengePassword is passed over, which RFC 7030 §3.5 forbids: for
    clients behind a proxy that ends their TLS, whose bindings nobody here can compare.
    """

    OFF = "off"
    ACCEPTED = "accepted"
    REQUIRED = "required"


class HTTPScheme(StrEnum):
    """How HTTP carries a one-time code: in the clear (RFC 7617), or hashed (RFC 7616) by what."""

    BASIC = "basic"
    DIGEST_SHA_256 = "digest-sha-256"
    DIGEST_MD5 = "digest-md5"


class ServerKeyGeneration(StrEnum):
    """Whether keys are made for devices (RFC 7030 §4.4); where not, there is no such operation."""

    OFF = "off"
    ALLOWED = "allowed"


class GeneratedKeyAlgorithm(StrEnum):
    """The keys that can be made for devices, named as in a certificate profile."""

    P_256 = "p-256"
    P_384 = "p-384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    P_521 = "p-521"
    ED25519 = "ed25519"
    ED448 = "ed448"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"
    X25519 = "x25519"
    X448 = "x448"
    ML_KEM_768 = "ml-kem-768"
    ML_KEM_1024 = "ml-kem-1024"


class CSRAttributesStyle(StrEnum):
    """How /csrattrs words what a request should hold (RFC 9908 §4).

    LIST: as RFC 7030 has it, for clients that stumble over anything else. BOTH: with the template
    of RFC 9908 §3.4 beside it. NONE: not at all.
    """

    NONE = "none"
    LIST = "list"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class ESTOptions:
    """An enrollment profile under EST.

    `linking_without_ems` takes tls-unique from connections without the extended master secret,
    which old clients have, and which RFC 7627 §5.4 allows after a full handshake only. With
    `enforce_attributes` a request that lacks what /csrattrs asks of it is refused.
    `http_authentication` are the schemes that are taken, the one to be offered first before the
    others. With `quote_digest_algorithm` a challenge has quotes where RFC 7616 §3.3 wants none.
    `fullcmc` serves the operation of that name (RFC 7030 §4.3).

    Where keys are made, the first of `key_generation_algorithms` is made unless the key in the
    request is of another of them. With `key_encryption_required` none leaves but encrypted to a
    key of the device's.
    """

    challenge_password: ChallengePasswordRule = ChallengePasswordRule.BINDING
    linking: LinkingRule = LinkingRule.ACCEPTED
    linking_without_ems: bool = False
    csr_attributes: CSRAttributesStyle = CSRAttributesStyle.BOTH
    enforce_attributes: bool = False
    http_authentication: tuple[HTTPScheme, ...] = (HTTPScheme.BASIC, HTTPScheme.DIGEST_SHA_256)
    quote_digest_algorithm: bool = False
    fullcmc: bool = False
    server_key_generation: ServerKeyGeneration = ServerKeyGeneration.OFF
    key_generation_algorithms: tuple[GeneratedKeyAlgorithm, ...] = (GeneratedKeyAlgorithm.P_256,)
    key_encryption_required: bool = False

    @property
    def takes_digest(self) -> bool:
        return any(each is not HTTPScheme.BASIC for each in self.http_authentication)


@dataclass(frozen=True, slots=True, kw_only=True)
class SCEPOptions:
    """An enrollment profile under SCEP.

    `legacy` takes SHA-1, 3DES and single DES requests, and tells clients of the RA certificate
    alone; `sha1_renewals` takes SHA-1 even where the signature is all that proves the sender. With
    `chain_in_reply` the certificates of the CA come along with the one issued.
    """

    legacy: bool = False
    sha1_renewals: bool = False
    chain_in_reply: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CMPOptions:
    """An enrollment profile under CMP.

    Without `implicit_confirm` every certificate waits for its owner's certConf, also where a client
    asks that it need not send one (RFC 9810 §5.1.1.1).

    `strict` follows RFC 9483 to the letter where RFC 9810 and clients in use leave more open.
    `message_time_window` is how far messageTime may lie from our clock, either way. Without one it
    is not compared, for devices that have no clock; but where `strict` demands it, it is five
    minutes.

    `mac_revocation` takes a revocation under a MAC, which RFC 9483 §4.2 forbids: by a one-time code
    that is not too old yet, spent or not, for the certificates that the code got (RFC 9810 App. B).

    `kem_protection` takes messages under a MAC of a KEM key (RFC 9810 §5.1.3.4), and the one
    unprotected question that goes before them.
    """

    implicit_confirm: bool = True
    strict: bool = False
    kem_protection: bool = False
    message_time_window: timedelta | None = None
    mac_revocation: bool = False
