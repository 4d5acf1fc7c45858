"""Good messages of CMP to damage: every body, under a secret or a signature."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from enroll.registration import MAXIMUM_USES
from protocols.cmp.encode import directory_name
from protocols.cmp.macs import derive_key, is_pbmac1
from protocols.cmp.messages import CA_CERTS, BodyType, PKIHeader
from protocols.cmp.nonces import Possession, SenderNonces, Turn
from protocols.cmp.protection import Protection, Signer
from tests.support.cmp import a_header, integer, pbm, pbmac1
from tests.support.cmp_keys import keyless
from tests.support.crmf import a_cert_request, a_crm, a_private_key_message, vouched
from tests.support.csr import Key, a_csr, a_key, a_name, sequence, tlv
from tests.support.desk import obtain
from tests.support.enrollment import Held, by_code
from tests.support.installation import Installation

KEYS = ("p-256", "rsa-2048")
NEW_KEY = 1
"""The number of the keys that are asked for; those held are the first of their kind."""

_MADE = "p-256,ed25519"
_ID_IT = bytes.fromhex("06082b0601050507040a")[:-1]
_OLD_CERT_ID = "1.3.6.1.5.5.7.5.1.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A good message before it is protected, where it goes, and the key that is asked for.

    `turn` is that of the answer which it follows, if it follows one.
    """

    kind: BodyType
    content: bytes
    protection: Protection
    header: PKIHeader
    extra_certs: tuple[bytes, ...] = ()
    path: str = ""
    key: Key | None = None
    turn: Turn | None = None
    bears: bool = False
    """Whether its sender is a station that may hand on the messages of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """What may be shown: codes by device, and certificates of devices by the kind of key."""

    codes: Mapping[str, str] = field(repr=False)
    held: Mapping[str, Held]
    given_up: Held
    """A certificate that its device asks to revoke."""
    station: Signer
    """A registration authority: who signs for it."""


def callers_of(installation: Installation) -> Callers:
    """Register devices that prove themselves by a code, and some that hold a certificate."""
    for name in ("bootstrap", "operational"):
        installation.run("profile", "set", name, "re_enrollment=allow", "allow_same_key=true")
        # Of RSA a key takes 150 ms and more, whatever the request: that is held by rates, not here.
        keys = ("est.server_key_generation=allowed", f"est.key_generation_algorithms={_MADE}")
        installation.run("profile", "set", name, *keys, "cmp.kem_protection=true")
    installation.run("profile", "add", "strict", "--copy", "bootstrap", "--set", "cmp.strict=true")
    codes, held = {}, {}
    for number, kind in enumerate(KEYS, 1):
        name = f"pump-{number}"
        words = ("device", "add", name, "--uses", str(MAXIMUM_USES))
        codes[name] = installation.json(*words)["code"]
        held[kind] = obtain(installation, replace(by_code(name, codes[name]), key=a_key(kind)))
    code = installation.json("device", "add", "pump-9")["code"]
    key = a_key("p-256", 9)
    given_up = obtain(installation, replace(by_code("pump-9", code), key=key))
    station = _appointed(installation)
    return Callers(codes=codes, held=held, given_up=given_up, station=station)


def _appointed(installation: Installation) -> Signer:
    """Make a station that may sign for devices, in a profile of its own."""
    key, folder = a_key("p-256", 10), installation.home
    request, out = folder / "station.csr", folder / "station.pem"
    request.write_bytes(a_csr(key, subject=a_name("station")))
    installation.run("trust", "appoint", "station", "--csr", str(request), "--out", str(out))
    options = ("--set", "initial_credentials=ra", "--set", "renewal_credentials=own_certificate")
    installation.run("profile", "add", "station", "--copy", "bootstrap", *options)
    signer, *above = x509.load_pem_x509_certificates(out.read_bytes())
    return Signer.holding(signer, key, chain=above)


def seeds_of(callers: Callers) -> tuple[Seed, ...]:
    """Make them all."""
    seeds = []
    for name, code in callers.codes.items():
        for algorithm in (pbm(), pbmac1()):
            by_secret = _by_secret(name, derive_key(algorithm, code.encode()))
            seeds += _requests(by_secret, name)
            seeds += _followups(by_secret)
    for kind, held in callers.held.items():
        by_signature = _by_signature(held)
        seeds += _requests(by_signature, _name_of(held))
        seeds += _followups(by_signature)
        seeds.append(_update(by_signature, held, kind))
    seeds.append(_revocation(_by_signature(callers.given_up), callers.given_up))
    seeds += _for_others(_signed_by(callers.station), "pump-1")
    return tuple(seeds)


def _for_others(by: Seed, name: str) -> list[Seed]:
    """Ask as a station does for a device: with its proof, and by the station's word."""
    key = a_key("p-256", NEW_KEY)
    proven = sequence(a_crm(key, number=0, subject=a_name(name)))
    request = a_cert_request(key, number=0, subject=a_name(name))
    asked = replace(by, kind=BodyType.CR, path="p/station", bears=True, key=key)
    return [replace(asked, content=proven), replace(asked, content=sequence(vouched(request)))]


def _by_secret(name: str, protection: Protection) -> Seed:
    header = a_header(sender_kid=name.encode(), implicit_confirm=True)
    return Seed(kind=BodyType.IR, content=b"", protection=protection, header=header)


def _by_signature(held: Held) -> Seed:
    return _signed_by(Signer.holding(held.certificate, held.key))


def _signed_by(signer: Signer) -> Seed:
    sender = directory_name(signer.certificate.subject.public_bytes())
    return Seed(
        kind=BodyType.CR,
        content=b"",
        protection=signer,
        header=a_header(sender=sender, sender_kid=signer.key_identifier, implicit_confirm=True),
        extra_certs=signer.extra_certs,
    )


def _requests(by: Seed, name: str) -> list[Seed]:
    """Ask for certificates, for information, and for what is served to nobody."""
    key = a_key("p-256", NEW_KEY)
    request = sequence(a_crm(key, number=0, subject=a_name(name)))
    explicit = replace(by.header, implicit_confirm=False)
    asked = replace(by, kind=BodyType.IR, content=request, key=key)
    p10cr = replace(by, kind=BodyType.P10CR, content=a_csr(key, subject=a_name(name)), key=key)
    nested = sequence(sequence(sequence(b"\x02\x01\x02"), tlv(0xA0, request)))
    return [
        *(replace(asked, path=path) for path in ("", "p/bootstrap", "p/strict", "initialization")),
        replace(asked, header=explicit),
        *(replace(asked, header=_in_pvno_3(by), content=each) for each in _unproven(key, name)),
        replace(asked, kind=BodyType.CR),
        replace(asked, kind=BodyType.CR, path="p/operational"),
        *(replace(p10cr, path=path) for path in ("", "p/bootstrap/pkcs10")),
        *(replace(by, kind=BodyType.GENM, content=each) for each in _questions()),
        replace(by, kind=BodyType.NESTED, content=nested),
        replace(by, kind=BodyType.IR, content=keyless(name)),
        replace(by, kind=BodyType.ERROR, content=sequence(sequence(integer(2)))),
        *(replace(by, kind=kind, content=request) for kind in (BodyType.KRR, BodyType.CCR)),
        replace(by, kind=BodyType.POPDECR, content=sequence(integer(5))),
        replace(by, kind=BodyType.PKICONF, content=b"\x05\x00"),
    ]


def _unproven(key: Key, name: str) -> list[bytes]:
    """Ask for certificates whose keys are to be proven by decryption."""
    request = a_cert_request(key, number=0, subject=a_name(name))
    return [
        sequence(a_private_key_message(request, "keyAgreement", content=each))
        for each in ("encrCert", "challengeResp")
    ]


def _in_pvno_3(by: Seed) -> PKIHeader:
    return replace(by.header, pvno=3)


def _questions() -> list[bytes]:
    """Ask for each InfoType that there is, alone, and for several at once."""
    types = [_ID_IT + bytes((number,)) for number in range(1, 25)]
    alone = [sequence(sequence(each)) for each in types]
    return [*alone, sequence(), sequence(*(sequence(each) for each in types)), sequence(CA_CERTS)]


def _followups(by: Seed) -> list[Seed]:
    """Confirm and poll for what was never asked, with nonces that are ours."""
    by_mac = not isinstance(by.protection, Signer)
    given = Turn(
        answer=BodyType.IP,
        cert_req_id=0,
        by_mac=by_mac,
        by_pbmac1=by_mac and is_pbmac1(by.protection.algorithm),
    )
    status = sequence(tlv(0x04, bytes(32)), integer(0))
    confirmed = replace(by, kind=BodyType.CERT_CONF, content=sequence(status), turn=given)
    polled = sequence(sequence(integer(0)))
    return [
        confirmed,
        replace(confirmed, content=sequence()),
        replace(by, kind=BodyType.POLL_REQ, content=polled, turn=replace(given, waiting=True)),
        replace(
            by,
            kind=BodyType.POPDECR,
            content=sequence(integer(5)),
            turn=replace(given, possession=Possession.CHALLENGED),
        ),
    ]


def _update(by: Seed, held: Held, kind: str) -> Seed:
    key = a_key(kind, NEW_KEY)
    issuer = tlv(0xA4, held.certificate.issuer.public_bytes())
    control = (_OLD_CERT_ID, sequence(issuer, integer(held.certificate.serial_number)))
    subject = held.certificate.subject
    request = a_crm(key, number=0, subject=subject, controls=(control,))
    return replace(by, kind=BodyType.KUR, content=sequence(request), key=key)


def _revocation(by: Seed, held: Held) -> Seed:
    number = integer(held.certificate.serial_number)
    issuer = tlv(0xA3, held.certificate.issuer.public_bytes())
    details = sequence(sequence(b"\x81" + number[1:], issuer))
    return replace(by, kind=BodyType.RR, content=sequence(details))


def follow(seed: Seed, nonces: SenderNonces | None) -> PKIHeader:
    """Give the header with the recipNonce that it needs, where our nonces can be made."""
    if seed.turn is None or nonces is None:
        return seed.header
    before = replace(seed.header, sender_nonce=bytes(16))
    return replace(seed.header, recip_nonce=nonces.make(before, seed.turn))


def _name_of(held: Held) -> str:
    (name,) = held.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(name.value)


def fingerprint(held: Held) -> bytes:
    """Give the certHash of a certificate."""
    return held.certificate.fingerprint(hashes.SHA256())
