"""genm: who is told what, and how each question is answered or refused."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import univ
from pyasn1_modules import rfc2459, rfc5280

from enroll.credentials import SECRETS
from enroll.device import DeviceState
from enroll.group_secrets import GroupSecrets
from enroll.options import CMPOptions
from enroll.profiles import KeyAlgorithm, KeyUsageBit
from protocols.cmp.decode import decode
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import BodyType
from protocols.cmp.protection import mac_holds, verify_signature
from tests.support.builders import (
    PASSCODE_REFERENCE,
    a_certificate_profile,
    a_policy,
    an_enrollment_profile,
)
from tests.support.cmp import pbm
from tests.support.cmp_conversation import (
    CRL_PLACE,
    FAIL_INFO,
    Answered,
    Client,
    a_message_signer,
    a_revocation_list,
    a_root_update,
    by_held,
    by_secret,
)
from tests.support.cmp_conversation import read as read_answer
from tests.support.csr import a_name, sequence, tlv
from tests.support.enrollment import OPERATOR, Held, Site, an_issuer, by_code, open_site
from tests.support.joining import a_group_to_join, a_profile_that_asks_names
from tests.support.passcodes import a_passcode
from tests.support.registration_authorities import A_RA, RA_KEY, a_site, appoint

ID_IT = "1.3.6.1.5.5.7.4"
CA_PROT_ENC_CERT, SIGN_KEYS, ENC_KEYS, SYMMETRIC, CRL, UNSUPPORTED = 1, 2, 3, 4, 6, 7
PARAMETERS_FOR, PARAMETERS, PASSPHRASE, IMPLICIT_CONFIRM, LANGUAGES = 10, 11, 12, 13, 16
CA_CERTS, ROOT_UPDATE, TEMPLATE, ROOT_CERT, CRL_STATUS, CRLS = 17, 18, 19, 20, 22, 23
ANYTHING = tlv(0x05, b"")
EC_NAME = "1.2.840.10045.2.1"
EC = bytes.fromhex("06072a8648ce3d0201")
P_256 = sequence(EC, bytes.fromhex("06082a8648ce3d030107"))
RSA = bytes.fromhex("06092a864886f70d010101")
GOST = bytes.fromhex("06072a850307010101")
OURS = an_issuer().certificate.subject


def ask(number: int, value: bytes = b"") -> bytes:
    """Make an InfoTypeAndValue of id-it."""
    return sequence(bytes.fromhex(f"06082b060105050704{number:02x}"), value)


def by_place(place: str = CRL_PLACE, time: bytes = b"") -> bytes:
    """Make a CRLStatus as the module of RFC 9810 has it: every tag explicit."""
    names = tlv(0xA0, tlv(0x86, place.encode()))
    return sequence(tlv(0xA0, names), time)


def by_issuer(name: x509.Name = OURS, time: bytes = b"") -> bytes:
    names = sequence(tlv(0xA4, name.public_bytes()))
    return sequence(tlv(0xA1, names), time)


def utc(seconds: int = 0) -> bytes:
    time = a_revocation_list().this_update + timedelta(seconds=seconds)
    return tlv(0x17, time.strftime("%y%m%d%H%M%SZ").encode())


async def a_client(site: Site, name: str = "pump-1", profile: str | None = None) -> Client:
    """Register a device, and make a client that knows its code."""
    await site.register(name, serial_number="SN-1")
    return by_secret(site, name, await site.code(name), profile)


async def told(*questions: bytes) -> dict[int, bytes | None]:
    """Ask as a device that shows its code; give the values by the numbers of their types."""
    client = await a_client(await open_site())
    return read(await client.send(BodyType.GENM, sequence(*questions)))


def read(answer: Answered) -> dict[int, bytes | None]:
    assert answer.kind is BodyType.GENP, answer.fail_info
    found = {}
    for each in answer.body:
        prefix, _, number = str(each["infoType"]).rpartition(".")
        assert prefix == ID_IT
        found[int(number)] = bytes(each["infoValue"]) if each["infoValue"].hasValue() else None
    return found


def check_refused(answer: Answered, fail_info: str) -> None:
    assert answer.kind is BodyType.ERROR
    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO[fail_info]})


@pytest.mark.parametrize(
    "number", [CA_PROT_ENC_CERT, SIGN_KEYS, ENC_KEYS, SYMMETRIC, CRL, CA_CERTS, TEMPLATE]
)
async def test_cmp_O7_a_question_that_has_no_value_is_refused_with_one(number: int) -> None:
    client = await a_client(await open_site())

    answer = await client.send(BodyType.GENM, sequence(ask(number, ANYTHING)))

    check_refused(answer, "badRequest")


@pytest.mark.parametrize(
    "questions",
    [b"", ask(CA_CERTS) + ask(CRL), ask(IMPLICIT_CONFIRM), ask(CA_CERTS) + ask(IMPLICIT_CONFIRM)],
)
async def test_cmp_O7_a_strict_profile_answers_one_question_that_it_knows(questions: bytes) -> None:
    site = await open_site()
    held = await site.enroll()
    await site.change_policy(bootstrap={"cmp": CMPOptions(strict=True)})
    client = by_held(site, held)
    client.header = replace(client.header, message_time=site.clock.now())

    refused = await client.send(BodyType.GENM, sequence(questions))
    answered = await client.send(BodyType.GENM, sequence(ask(CA_CERTS)))

    check_refused(refused, "badRequest")
    assert list(read(answered)) == [CA_CERTS]


@pytest.mark.parametrize("number", [PARAMETERS_FOR, LANGUAGES, CRL_STATUS])
async def test_cmp_O7_a_question_that_needs_a_value_is_refused_without(number: int) -> None:
    client = await a_client(await open_site())

    answer = await client.send(BodyType.GENM, sequence(ask(number)))

    check_refused(answer, "badRequest")


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (PARAMETERS_FOR, ANYTHING),
        (LANGUAGES, ANYTHING),
        (LANGUAGES, sequence()),
        (ROOT_CERT, ANYTHING),
        (ROOT_CERT, sequence()),
        (CRL_STATUS, ANYTHING),
        (CRL_STATUS, sequence()),
        (CRL_STATUS, sequence(sequence())),
        (CRL_STATUS, sequence(sequence(ANYTHING))),
        (CRL_STATUS, sequence(sequence(tlv(0xA0, b"")))),
        (CRL_STATUS, sequence(sequence(tlv(0xA1, ANYTHING)))),
        (CRL_STATUS, sequence(by_place(time=ANYTHING))),
        (CRL_STATUS, sequence(by_place(time=tlv(0x17, b"261301000000Z")))),
        (CRL_STATUS, sequence(*[by_place()] * 21)),
    ],
)
async def test_cmp_O7_a_value_of_another_form_is_refused(number: int, value: bytes) -> None:
    client = await a_client(await open_site())

    answer = await client.send(BodyType.GENM, sequence(ask(number, value)))

    check_refused(answer, "badDataFormat")


async def test_cmp_O7_the_same_thing_is_told_once_in_a_message() -> None:
    client = await a_client(await open_site())

    answer = await client.send(BodyType.GENM, sequence(ask(CRL), ask(CRL)))

    check_refused(answer, "badRequest")


async def test_cmp_O7_what_is_refused_is_recorded_and_what_is_told_is_not() -> None:
    site = await open_site()
    client = await a_client(site)

    await client.send(BodyType.GENM, sequence(ask(CA_CERTS)))
    await client.send(BodyType.GENM, sequence(ask(CA_CERTS, ANYTHING)))

    (attempt,) = await site.attempts()
    assert (attempt.operation, attempt.finding) == ("genm", "info_value")


async def test_cmp_O7_a_language_that_is_not_written_here_is_an_error() -> None:
    client = await a_client(await open_site())
    offered = sequence(tlv(0x0C, b"de"), tlv(0x0C, b"enx"))

    answer = await client.send(BodyType.GENM, sequence(ask(LANGUAGES, offered)))

    check_refused(answer, "badRequest")


async def test_cmp_H18_a_passphrase_that_will_not_be_kept_is_an_error() -> None:
    client = await a_client(await open_site())

    answer = await client.send(BodyType.GENM, sequence(ask(PASSPHRASE, ANYTHING)))

    check_refused(answer, "badRequest")


async def test_cmp_H18_a_passphrase_in_a_header_is_an_error_too() -> None:
    client = await a_client(await open_site())
    known = client.protection
    names_a_profile, passphrase = (bytes.fromhex(f"2b060105050704{n}") for n in ("15", "0c"))

    class OverThePassphrase:
        algorithm = known.algorithm

        def protect(self, octets: bytes) -> bytes:
            return known.protect(octets.replace(names_a_profile, passphrase))

    client.protection = OverThePassphrase()
    message = client.message(BodyType.GENM, sequence(ask(CA_CERTS)), cert_profile=("",))

    answer = read_answer(await client.post(message.replace(names_a_profile, passphrase)))

    check_refused(answer, "badRequest")


@pytest.mark.parametrize(
    ("label", "question"),
    [
        ("getcacerts", ask(CRL)),
        ("getrootupdate", ask(ROOT_UPDATE)),
        ("getcertreqtemplate", ask(CA_CERTS)),
        ("getcrls", ask(CRL)),
        ("getcacerts", ask(CA_CERTS) + ask(CRL)),
        ("getcacerts", b""),
    ],
)
async def test_cmp_T5_a_genm_asks_for_what_its_address_names(label: str, question: bytes) -> None:
    client = await a_client(await open_site())
    client.path = label

    answer = await client.send(BodyType.GENM, sequence(question))

    check_refused(answer, "badRequest")


@pytest.mark.parametrize(
    ("label", "question", "number"),
    [
        ("getcacerts", ask(CA_CERTS), CA_CERTS),
        ("getrootupdate", ask(ROOT_CERT), ROOT_UPDATE),
        ("getcertreqtemplate", ask(TEMPLATE), TEMPLATE),
        ("p/bootstrap/getcrls", ask(CRL_STATUS, sequence(by_place())), CRLS),
    ],
)
async def test_cmp_T5_each_question_has_an_address(
    label: str, question: bytes, number: int
) -> None:
    client = await a_client(await open_site())
    client.path = label

    answer = await client.send(BodyType.GENM, sequence(question))

    assert list(read(answer)) == [number]


async def test_cmp_O7_who_proves_nothing_is_told_nothing() -> None:
    site = await open_site()
    await site.register("pump-1")
    await site.code("pump-1")

    answers = [
        await by_secret(site, name, "not-the-code").send(BodyType.GENM, sequence(question))
        for name in ("pump-1", "nobody")
        for question in (ask(CA_CERTS), ask(CA_CERTS, ANYTHING), b"")
    ]

    for each in answers:
        check_refused(each, "badMessageCheck")
        verify_signature(decode(each.octets), a_message_signer().certificate)
    attempts = await site.attempts()
    assert {each.operation for each in attempts} == {"genm"}
    assert len(attempts) == len(answers)


async def test_cmp_O7_a_code_that_was_used_proves_nothing() -> None:
    site = await open_site()
    await site.register("pump-1")
    code = await site.code("pump-1")
    await site.obtain(by_code("pump-1", code))

    answer = await by_secret(site, "pump-1", code).send(BodyType.GENM, sequence(ask(CA_CERTS)))

    check_refused(answer, "badMessageCheck")


async def test_cmp_O7_a_disabled_device_is_told_nothing() -> None:
    site = await open_site()
    held = await site.enroll()
    await site.lifecycle.disable((await site.device()).device_id, "lost", actor=OPERATOR)

    answer = await by_held(site, held).send(BodyType.GENM, sequence(ask(CA_CERTS)))

    check_refused(answer, "notAuthorized")


async def test_cmp_O7_a_secret_that_devices_share_tells_nothing_of_any_device() -> None:
    site = await open_site(a_policy(an_enrollment_profile(initial_credentials=SECRETS)))
    await site.register("pump-1", serial_number="SN-1")
    secrets = GroupSecrets(site.registry, site.vault, site.clock, site.randomness)
    made = await secrets.add((await site.device()).group_id, actor=OPERATOR)
    client = by_secret(site, "pump-1", made.clear)

    answer = await client.send(BodyType.GENM, sequence(ask(CA_CERTS), ask(TEMPLATE)))

    assert list(read(answer)) == [CA_CERTS, TEMPLATE]
    assert mac_holds(decode(answer.octets), derive_key(pbm(), made.clear.encode()))
    assert b"SN-1" not in answer.octets


@pytest.mark.parametrize("own", [True, False])
async def test_cmp_O7_a_registration_authority_is_told_what_is_no_devices(*, own: bool) -> None:
    site = await a_site()
    held = (
        await appoint(site, "station")
        if own
        else Held(der=A_RA.public_bytes(Encoding.DER), key=RA_KEY)
    )

    answer = await by_held(site, held).send(BodyType.GENM, sequence(ask(CA_CERTS), ask(TEMPLATE)))

    assert list(read(answer)) == [CA_CERTS, TEMPLATE]
    assert b"SN-1" not in answer.octets


async def test_cmp_O7_a_device_is_told_its_names_and_a_place_for_those_it_knows() -> None:
    policy = a_policy(
        a_certificate_profile(
            subject=(("CN", "{name}"), ("serialNumber", "{serial}")),
            subject_alternative_names=(("dns", "{name}.example"),),
        )
    )
    client = await a_client(await open_site(policy))

    value = read(await client.send(BodyType.GENM, sequence(ask(TEMPLATE))))[TEMPLATE]

    assert value is not None
    assert b"\x0c\x06pump-1" in value
    assert b"\x82\x0epump-1.example" in value
    assert b"SN-1" in value


async def test_cmp_O7_an_answer_has_the_protection_of_its_question() -> None:
    site = await open_site()
    await site.register("pump-1")
    code = await site.code("pump-1")
    key = derive_key(pbm(), code.encode())
    questions = (sequence(ask(CA_CERTS)), sequence(ask(CA_CERTS, ANYTHING)))

    answers = [
        await by_secret(site, "pump-1", code).send(BodyType.GENM, each) for each in questions
    ]

    assert [each.kind for each in answers] == [BodyType.GENP, BodyType.ERROR]
    assert all(mac_holds(decode(each.octets), key) for each in answers)
    assert (await site.device()).state is DeviceState.ENROLLED
    await site.obtain(by_code("pump-1", code))  # A question does not use the code.


async def test_cmp_O7_who_signs_is_answered_under_our_signature() -> None:
    site = await open_site()
    held = await site.enroll()

    answer = await by_held(site, held).send(BodyType.GENM, sequence(ask(CA_CERTS)))

    assert list(read(answer)) == [CA_CERTS]
    verify_signature(decode(answer.octets), a_message_signer().certificate)


async def test_cmp_O7_the_ca_certificates_are_told() -> None:
    issuer = an_issuer()

    found = await told(ask(CA_CERTS))

    assert found == {CA_CERTS: sequence(issuer.der, *issuer.chain)}


async def test_cmp_H13_what_is_not_known_is_named_beside_what_is_told() -> None:
    foreign = bytes.fromhex("06032a0304")

    found = await told(ask(IMPLICIT_CONFIRM), ask(CA_CERTS), sequence(foreign, ANYTHING))

    assert list(found) == [CA_CERTS, UNSUPPORTED]
    unsupported, rest = decoder.decode(
        found[UNSUPPORTED], asn1Spec=univ.SequenceOf(componentType=univ.ObjectIdentifier())
    )
    assert not rest
    assert [str(each) for each in unsupported] == [f"{ID_IT}.{IMPLICIT_CONFIRM}", "1.2.3.4"]


async def test_cmp_O7_who_asks_for_nothing_is_told_everything() -> None:
    found = await told()

    assert found.keys() == {
        *(CA_PROT_ENC_CERT, SIGN_KEYS, ENC_KEYS, SYMMETRIC),
        *(CRL, CA_CERTS, TEMPLATE, ROOT_UPDATE),
    }
    assert found[CA_PROT_ENC_CERT] is None
    assert found[CRL] == a_revocation_list().der


async def test_cmp_O7_the_keys_that_are_certified_are_named() -> None:
    found = await told(ask(SIGN_KEYS), ask(ENC_KEYS), ask(SYMMETRIC))

    signing, encrypting = (_algorithms(found[each]) for each in (SIGN_KEYS, ENC_KEYS))
    assert len(signing) == 3 + 1 + 2 + 3  # curves, RSA once, EdDSA, ML-DSA
    assert encrypting == [each for each in signing if each[0] in {"1.2.840.113549.1.1.1", EC_NAME}]
    symmetric, _ = decoder.decode(found[SYMMETRIC], asn1Spec=rfc5280.AlgorithmIdentifier())
    assert str(symmetric["algorithm"]) == "2.16.840.1.101.3.4.1.42"


async def test_cmp_O7_keys_that_cannot_sign_are_for_encryption() -> None:
    algorithms = frozenset({KeyAlgorithm.P_256, KeyAlgorithm.X25519, KeyAlgorithm.ML_KEM_768})
    policy = a_policy(a_certificate_profile(key_algorithms=algorithms))
    client = await a_client(await open_site(policy))

    found = read(await client.send(BodyType.GENM, sequence(ask(SIGN_KEYS), ask(ENC_KEYS))))

    signing, encrypting = (_algorithms(found[each]) for each in (SIGN_KEYS, ENC_KEYS))
    assert [name for name, _ in signing] == [EC_NAME]
    assert [name for name, _ in encrypting] == [EC_NAME, "1.3.101.110", "2.16.840.1.101.3.4.4.2"]


async def test_cmp_O7_no_key_is_for_encryption_where_none_may_be() -> None:
    signatures = frozenset({KeyUsageBit.DIGITAL_SIGNATURE})
    policy = a_policy(a_certificate_profile(requestable_key_usage=signatures))
    client = await a_client(await open_site(policy))

    found = read(await client.send(BodyType.GENM, sequence(ask(ENC_KEYS))))

    assert found == {ENC_KEYS: None}


@pytest.mark.parametrize(
    ("name", "expected"),
    [(EC, P_256), (RSA, sequence(RSA, tlv(0x05, b""))), (GOST, None)],
)
async def test_cmp_O7_parameters_for_a_key_are_told_if_it_is_certified(
    name: bytes, expected: bytes | None
) -> None:
    assert await told(ask(PARAMETERS_FOR, name)) == {PARAMETERS: expected}


async def test_cmp_O7_one_of_the_languages_is_chosen() -> None:
    offered = sequence(*[tlv(0x0C, each) for each in (b"de", b"en-GB", b"en")])

    found = await told(ask(LANGUAGES, offered))

    assert found == {LANGUAGES: sequence(tlv(0x0C, b"en-GB"))}


@pytest.mark.parametrize(
    "status", [by_place(), by_issuer(), by_place(time=utc(-1)), by_issuer(time=utc(-1))]
)
async def test_cmp_O7_a_newer_revocation_list_is_given(status: bytes) -> None:
    found = await told(ask(CRL_STATUS, sequence(status)))

    assert found == {CRLS: sequence(a_revocation_list().der)}
    lists, _ = decoder.decode(
        found[CRLS], asn1Spec=univ.SequenceOf(componentType=rfc2459.CertificateList())
    )
    assert len(lists) == 1


@pytest.mark.parametrize(
    "status",
    [
        by_place(time=utc()),
        by_issuer(time=utc(1)),
        by_place("http://127.0.0.1/crl/issuing.crl"),
        by_issuer(a_name("another CA")),
        sequence(tlv(0xA0, tlv(0xA1, b""))),
    ],
)
async def test_cmp_O7_of_other_lists_and_of_none_newer_nothing_is_given(status: bytes) -> None:
    assert await told(ask(CRL_STATUS, sequence(status))) == {CRLS: None}


async def test_cmp_O7_a_list_is_given_once_by_whatever_names() -> None:
    found = await told(ask(CRL_STATUS, sequence(by_place(), by_issuer())))

    assert found == {CRLS: sequence(a_revocation_list().der)}


@pytest.mark.parametrize("root", [b"", a_root_update().old_with_new])
async def test_cmp_O7_the_next_root_is_told_with_its_links(root: bytes) -> None:
    update = a_root_update()

    found = await told(ask(ROOT_CERT, root))

    old, new = tlv(0xA0, update.new_with_old), tlv(0xA1, update.old_with_new)
    assert found == {ROOT_UPDATE: sequence(update.new_with_new, old, new)}


async def test_cmp_O7_a_root_that_nothing_follows_has_no_update() -> None:
    assert await told(ask(ROOT_CERT, a_root_update().new_with_new)) == {ROOT_UPDATE: None}


def _algorithms(value: bytes | None) -> list[tuple[str, bytes]]:
    kind = univ.SequenceOf(componentType=rfc5280.AlgorithmIdentifier())
    found, rest = decoder.decode(value, asn1Spec=kind)
    assert not rest
    assert encoder.encode(found) == value
    return [
        (
            str(each["algorithm"]),
            bytes(each["parameters"]) if each["parameters"].hasValue() else b"",
        )
        for each in found
    ]


async def test_cmp_O7_whoever_has_a_passcode_is_told_what_all_are() -> None:
    site = await open_site(a_policy(a_group_to_join(), a_profile_that_asks_names()))
    made = await a_passcode(site)
    client = by_secret(site, PASSCODE_REFERENCE, made.clear)

    answer = await client.send(BodyType.GENM, sequence(ask(CA_CERTS)))

    assert CA_CERTS in read(answer)
