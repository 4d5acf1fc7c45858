"""MACs under a shared secret: PasswordBasedMac (RFC 9810 §5.1.3.1) and PBMAC1 (RFC 8018 §7.1)."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols import der
from protocols.public_keys import unsupported

# RFC 9045 §4 gives the fewest iterations and the shortest salt. The most are ours: an unproven
# caller chooses them, and they are judged before anything is derived. A round is what an iteration
# takes for a block of the key, by a hash of 32-bit words; by one of 64-bit words it is two. A
# message is tried with six secrets at most, and costs no more than 50 ms on an old processor.
PBM_ITERATIONS = range(100, 10_000 + 1)
PBKDF2_ITERATIONS = range(100, 15_000 + 1)
PBM_ROUNDS = PBM_ITERATIONS[-1]
PBKDF2_ROUNDS = PBKDF2_ITERATIONS[-1]
SALT_OCTETS = range(8, 64 + 1)
KEY_OCTETS = range(16, 64 + 1)

_NULL = b"\x05\x00"
_PASSWORD_BASED_MAC = bytes.fromhex("06092a864886f67d07420d")
_PBMAC1 = bytes.fromhex("06092a864886f70d01050e")
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
KEM_BASED_MAC = bytes.fromhex("06092a864886f67d074210")
# MACs that are not served here, and are MACs all the same: with Diffie-Hellman and KEM (RFC 9810
# §5.1.3.2 and §5.1.3.4), HMAC, KMAC and AES-GMAC alone (RFC 9481 §6.2).
_OTHER_MACS = frozenset(
    bytes.fromhex(oid)
    for oid in (
        "06092a864886f67d07421e",
        "06092a864886f67d074210",
        "06082b06010505080102",
        *(f"06082a864886f70d02{last:02x}" for last in range(7, 12)),
        *(f"060960864801650304{last}" for last in ("0213", "0214", "0109", "011d", "0131")),
        *(f"06096086480165030402{last:02x}" for last in range(13, 17)),
    )
)
_OWFS: Mapping[bytes, str] = {
    bytes.fromhex("06052b0e03021a"): "sha1",
    bytes.fromhex("0609608648016503040204"): "sha224",
    bytes.fromhex("0609608648016503040201"): "sha256",
    bytes.fromhex("0609608648016503040202"): "sha384",
    bytes.fromhex("0609608648016503040203"): "sha512",
}
_OF_LONG_WORDS = frozenset({"sha384", "sha512"})
_HMACS: Mapping[bytes, str] = {
    bytes.fromhex("06082b06010505080102"): "sha1",
    bytes.fromhex("06082a864886f70d0207"): "sha1",
    bytes.fromhex("06082a864886f70d0208"): "sha224",
    bytes.fromhex("06082a864886f70d0209"): "sha256",
    bytes.fromhex("06082a864886f70d020a"): "sha384",
    bytes.fromhex("06082a864886f70d020b"): "sha512",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordBasedMAC:
    """RFC 9810 §5.1.3.1 PBMParameter; both functions by their names in hashlib."""

    salt: bytes
    owf: str
    iterations: int
    mac: str

    @property
    def rounds(self) -> int:
        return self.iterations * _rounds_of(self.owf)

    def derive(self, secret: bytes) -> bytes:
        owf = getattr(hashlib, self.owf)
        key = secret + self.salt
        for _ in range(self.iterations):
            key = owf(key).digest()
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class PBMAC1:
    """RFC 8018 §A.5 PBMAC1-params with PBKDF2; both functions by their names in hashlib."""

    salt: bytes
    iterations: int
    key_octets: int
    prf: str
    mac: str

    @property
    def rounds(self) -> int:
        blocks = -(-self.key_octets // hashlib.new(self.prf).digest_size)
        return self.iterations * blocks * _rounds_of(self.prf)

    def derive(self, secret: bytes) -> bytes:
        return hashlib.pbkdf2_hmac(self.prf, secret, self.salt, self.iterations, self.key_octets)


def _rounds_of(function: str) -> int:
    return 2 if function in _OF_LONG_WORDS else 1


MACAlgorithm = PasswordBasedMAC | PBMAC1


@dataclass(frozen=True, slots=True, kw_only=True)
class MACKey:
    """A key that was derived from a secret, and the AlgorithmIdentifier that says how."""

    algorithm: bytes
    mac: str
    key: bytes = field(repr=False)

    def protect(self, octets: bytes) -> bytes:
        return hmac.digest(self.key, octets, self.mac)

    def verifies(self, octets: bytes, protection: bytes) -> bool:
        return hmac.compare_digest(self.protect(octets), protection)


def names_a_mac(algorithm: bytes) -> bool:
    """Tell whether an AlgorithmIdentifier is that of a MAC, served here or not."""
    oid = _parts(algorithm)[0].whole
    return oid in {_PASSWORD_BASED_MAC, _PBMAC1} or oid in _OTHER_MACS


def is_pbmac1(algorithm: bytes) -> bool:
    """Tell whether an AlgorithmIdentifier is that of PBMAC1."""
    return _parts(algorithm)[0].whole == _PBMAC1


def derive_key(algorithm: bytes, secret: bytes) -> MACKey:
    """Derive the key that an AlgorithmIdentifier asks for, within the bounds.

    Raises UNSUPPORTED_ALGORITHM, Malformed, before anything is derived.
    """
    how = read_mac_algorithm(algorithm)
    return MACKey(algorithm=algorithm, mac=how.mac, key=how.derive(secret))


def read_mac_algorithm(algorithm: bytes) -> MACAlgorithm:
    """Read the AlgorithmIdentifier of a MAC. Raises UNSUPPORTED_ALGORITHM, Malformed."""
    oid, *parameters = _parts(algorithm)
    if oid.whole not in {_PASSWORD_BASED_MAC, _PBMAC1}:
        raise _unsupported("the MAC is neither PasswordBasedMac nor PBMAC1")
    if [each.tag for each in parameters] != [der.SEQUENCE]:
        raise Malformed("the parameters of the MAC cannot be read", finding="mac_parameters")
    fields = der.split(parameters[0].content)
    by_pbm = oid.whole == _PASSWORD_BASED_MAC
    how = _read_pbm(fields) if by_pbm else _read_pbmac1(fields)
    most = PBM_ROUNDS if by_pbm else PBKDF2_ROUNDS
    if how.rounds > most:
        raise _unsupported(
            f"the key of the MAC takes {how.rounds} rounds of a hash, and may take {most}"
        )
    return how


def _read_pbm(fields: list[der.Element]) -> PasswordBasedMAC:
    if [each.tag for each in fields] != [
        der.OCTET_STRING,
        der.SEQUENCE,
        der.INTEGER,
        der.SEQUENCE,
    ]:
        raise Malformed(
            "the parameters of PasswordBasedMac cannot be read", finding="mac_parameters"
        )
    salt, owf, count, mac = fields
    return PasswordBasedMAC(
        salt=_salt(salt),
        owf=_function(owf, _OWFS, "one-way function"),
        iterations=_bounded(count, PBM_ITERATIONS, "iterations"),
        mac=_function(mac, _HMACS, "MAC"),
    )


def _read_pbmac1(fields: list[der.Element]) -> PBMAC1:
    if [each.tag for each in fields] != [der.SEQUENCE, der.SEQUENCE]:
        raise Malformed("the parameters of PBMAC1 cannot be read", finding="mac_parameters")
    derivation, scheme = fields
    mac = _function(scheme, _HMACS, "MAC")
    oid, *parameters = _parts(derivation.whole)
    if oid.whole == _PBES2:
        raise EnrollmentError(
            FailureReason.UNSUPPORTED_ALGORITHM,
            "PBMAC1 names PBES2, an encryption, where id-PBKDF2 belongs",
            finding="pbes2_in_pbmac1",
            field="protectionAlg",
        )
    if oid.whole != _PBKDF2 or [each.tag for each in parameters] != [der.SEQUENCE]:
        raise _unsupported("the key of PBMAC1 is not derived by PBKDF2")
    return _read_pbkdf2(der.split(parameters[0].content), mac)


def _read_pbkdf2(fields: list[der.Element], mac: str) -> PBMAC1:
    """Read RFC 8018 §A.2 PBKDF2-params; without a length the key is as long as the hash."""
    if [each.tag for each in fields[:2]] != [der.OCTET_STRING, der.INTEGER]:
        raise Malformed("the parameters of PBKDF2 cannot be read", finding="mac_parameters")
    salt, count, *rest = fields
    length = rest.pop(0) if rest and rest[0].tag == der.INTEGER else None
    if [each.tag for each in rest] not in ([], [der.SEQUENCE]):
        raise Malformed("the parameters of PBKDF2 cannot be read", finding="mac_parameters")
    return PBMAC1(
        salt=_salt(salt),
        iterations=_bounded(count, PBKDF2_ITERATIONS, "iterations"),
        key_octets=(
            _bounded(length, KEY_OCTETS, "octets of key")
            if length is not None
            else hashlib.new(mac).digest_size
        ),
        prf=_function(rest[0], _HMACS, "function of PBKDF2") if rest else "sha1",
        mac=mac,
    )


def read_hmac(element: der.Element) -> str:
    """Name an HMAC as hashlib names its hash. Raises UNSUPPORTED_ALGORITHM."""
    return _function(element, _HMACS, "MAC")


def _salt(element: der.Element) -> bytes:
    if len(element.content) not in SALT_OCTETS:
        raise _unsupported(
            f"the salt of the MAC must have {SALT_OCTETS[0]} to {SALT_OCTETS[-1]} octets"
        )
    return element.content


def _bounded(number: der.Element, allowed: range, what: str) -> int:
    found = int.from_bytes(number.content, signed=True)
    if found not in allowed:
        raise _unsupported(f"the MAC may have {allowed[0]} to {allowed[-1]} {what}")
    return found


def _function(element: der.Element, known: Mapping[bytes, str], what: str) -> str:
    """Find a function by its AlgorithmIdentifier; parameters may be absent or NULL (RFC 9045)."""
    oid, *parameters = _parts(element.whole)
    found = known.get(oid.whole)
    if found is None or b"".join([each.whole for each in parameters]) not in {b"", _NULL}:
        raise _unsupported(f"the {what} of the MAC is not in the list")
    return found


def _parts(algorithm: bytes) -> list[der.Element]:
    (outer,) = der.split(algorithm)
    parts = der.split(outer.content)
    if not parts or parts[0].tag != der.OBJECT_IDENTIFIER:
        raise Malformed("an algorithm is no AlgorithmIdentifier")
    return parts


def _unsupported(detail: str) -> EnrollmentError:
    return unsupported("protectionAlg", detail)
