"""genm: what clients ask to know, and what they are told (RFC 9810 §5.3.19, RFC 9483 §4.3)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from enroll.failures import Malformed
from enroll.request import Inquiry
from enroll.result import Described
from protocols import der
from protocols.cmp.encode import (
    encode_certificates,
    encode_general_response,
    encode_root_update,
    encode_texts,
)
from protocols.cmp.enrollments import Asked
from protocols.cmp.exchanges import key_for
from protocols.cmp.messages import (
    CA_CERTS,
    CA_PROT_ENC_CERT,
    CERT_REQ_TEMPLATE,
    CRL_STATUS_LIST,
    CRLS,
    CURRENT_CRL,
    ENC_KEY_PAIR_TYPES,
    KEY_PAIR_PARAM_REP,
    KEY_PAIR_PARAM_REQ,
    PREFERRED_SYMM_ALG,
    REV_PASSPHRASE,
    ROOT_CA_CERT,
    ROOT_CA_KEY_UPDATE,
    SIGN_KEY_PAIR_TYPES,
    SUPP_LANG_TAGS,
    GenMsgContent,
    InfoTypeAndValue,
)
from protocols.cmp.request_template import (
    encode_request_template,
    encryption_algorithms,
    signing_algorithms,
)
from protocols.cmp.services import Services
from protocols.cmp.support_values import (
    check_root_certificate,
    read_algorithm_name,
    read_crl_statuses,
    read_languages,
)
from protocols.cms.content_ciphers import ContentEncryption
from protocols.wire import Question, WireResponse

LANGUAGE = "en"
_ALWAYS = frozenset({CA_PROT_ENC_CERT, SIGN_KEY_PAIR_TYPES, ENC_KEY_PAIR_TYPES, PREFERRED_SYMM_ALG})
"""What an answer to an empty genm holds in any case (RFC 9810 §D.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What answers are made from: whoever asks is proven, and asks in this profile."""

    described: Described
    services: Services


def open_support(asked: Asked, services: Services, info_type: bytes | None) -> Question:
    """Have the sender proven before a word is said; an address may say what it is for."""
    return Question(
        inquiry=Inquiry(origin=asked.origin, credentials=(asked.sender.credential,)),
        answer=partial(_tell, asked=asked, services=services, info_type=info_type),
        refuse=lambda rejected: asked.reply.error(rejected, key_for(rejected, asked.sender)),
    )


def _tell(
    described: Described, *, asked: Asked, services: Services, info_type: bytes | None
) -> WireResponse:
    """Answer who is proven. Raises EnrollmentError."""
    assert isinstance(asked.body, GenMsgContent)  # noqa: S101 - the caller tells bodies apart
    if described.refused is not None and not described.is_member:
        raise described.refused
    infos = asked.body.infos
    _check_types(infos, info_type)
    if described.profile.cmp.strict:
        _check_only_one(infos)
    body = answer_to(infos, Telling(described=described, services=services))
    return asked.reply.send(body, key=asked.sender.key)


def answer_to(infos: Iterable[InfoTypeAndValue], telling: Telling) -> bytes:
    """Write genp: each question answered in order, and what nobody here knows named at the end.

    Raises EnrollmentError, for all of them if one cannot be.
    """
    asked = tuple(infos)
    if not asked:
        told = [(kind, tell(None, telling)) for kind, tell in _ANSWERS.items() if kind in _UNASKED]
        return encode_general_response(
            each for kind, each in told if kind in _ALWAYS or each.info_value is not None
        )
    unknown = [each.info_type for each in asked if each.info_type not in _ANSWERS]
    known = [each for each in asked if each.info_type in _ANSWERS]
    told_of = [_ANSWERS[each.info_type](each.info_value, telling) for each in known]
    return encode_general_response(told_of, unknown)


def _check_types(infos: tuple[InfoTypeAndValue, ...], info_type: bytes | None) -> None:
    """Demand what the address names (cmp-T5), and each question once. Raises Malformed."""
    asked = [each.info_type for each in infos]
    if info_type is not None and asked != [info_type]:
        raise Malformed(
            "the genm does not ask for what its address names", finding="body_of_another_operation"
        )
    if len(set(asked)) != len(asked):
        raise Malformed("the genm asks for the same thing twice", finding="question_twice")


def _check_only_one(infos: tuple[InfoTypeAndValue, ...]) -> None:
    """Demand one question, and one that has an answer (RFC 9483 §4.3). Raises Malformed."""
    if len(infos) != 1 or infos[0].info_type not in _ANSWERS:
        raise Malformed("a genm asks for one thing that is known", finding="question_count")


_Tell = Callable[[bytes | None, Telling], InfoTypeAndValue]


def _without_value(info_type: bytes, make: Callable[[Telling], bytes | None]) -> _Tell:
    """Answer under the type of the question, which must have no value."""

    def tell(value: bytes | None, telling: Telling) -> InfoTypeAndValue:
        if value is not None:
            raise Malformed("a question has a value that it must not have", finding="info_value")
        return InfoTypeAndValue(info_type=info_type, info_value=make(telling))

    return tell


def _ca_certificates(telling: Telling) -> bytes | None:
    found = telling.services.ca_certificates()
    return encode_certificates(found) if found else None


def _signing_keys(telling: Telling) -> bytes | None:
    return _sequence(signing_algorithms(telling.described.certificate_profile))


def _encryption_keys(telling: Telling) -> bytes | None:
    return _sequence(encryption_algorithms(telling.described.certificate_profile))


def _sequence(found: tuple[bytes, ...]) -> bytes | None:
    return der.encode(der.SEQUENCE, *found) if found else None


def _symmetric_algorithm(telling: Telling) -> bytes:
    """Name the cipher alone: its parameters are a vector, which each message has its own."""
    del telling
    return der.encode(der.SEQUENCE, ContentEncryption.AES_256_CBC.oid)


def _nothing(telling: Telling) -> None:
    """Nothing is encrypted to this CA: there is no certificate for it (RFC 9810 §5.3.19.1)."""
    del telling


def _template(telling: Telling) -> bytes:
    described = telling.described
    return encode_request_template(
        described.requirements, described.certificate_profile.key_algorithms
    )


def _current_crl(telling: Telling) -> bytes | None:
    found = telling.services.current_crl()
    return found.der if found is not None else None


def _root_update(value: bytes | None, telling: Telling) -> InfoTypeAndValue:
    if value is not None:
        check_root_certificate(value)
    found = telling.services.root_update(value)
    return InfoTypeAndValue(
        info_type=ROOT_CA_KEY_UPDATE,
        info_value=(
            encode_root_update(found.new_with_new, found.new_with_old, found.old_with_new)
            if found is not None
            else None
        ),
    )


def _crls(value: bytes | None, telling: Telling) -> InfoTypeAndValue:
    """Give the lists that are newer than those that the client has (RFC 9810 §5.3.19.17)."""
    if value is None:
        raise Malformed("a crlStatusList has no value", finding="info_value")
    found = [
        (status, telling.services.revocation_list(status.source))
        for status in read_crl_statuses(value)
    ]
    newer = dict.fromkeys(
        crl.der
        for status, crl in found
        if crl is not None and (status.this_update is None or crl.this_update > status.this_update)
    )
    return InfoTypeAndValue(
        info_type=CRLS, info_value=encode_certificates(newer) if newer else None
    )


def _language(value: bytes | None, telling: Telling) -> InfoTypeAndValue:
    """Choose the first tag of the one language that is written here (RFC 9810 §5.3.19.13)."""
    del telling
    if value is None:
        raise Malformed("a suppLangTags has no value", finding="info_value")
    offered = read_languages(value)
    chosen = next((each for each in offered if each.lower().split("-")[0] == LANGUAGE), None)
    if chosen is None:
        raise Malformed("none of the languages is written here", finding="language_unknown")
    return InfoTypeAndValue(info_type=SUPP_LANG_TAGS, info_value=encode_texts([chosen]))


def _key_parameters(value: bytes | None, telling: Telling) -> InfoTypeAndValue:
    """Give the parameters to make a key with; none for what is not certified."""
    if value is None:
        raise Malformed("a keyPairParamReq has no value", finding="info_value")
    name = read_algorithm_name(value)
    profile = telling.described.certificate_profile
    certified = (*signing_algorithms(profile), *encryption_algorithms(profile))
    found = next((each for each in certified if _name_in(each) == name), None)
    return InfoTypeAndValue(info_type=KEY_PAIR_PARAM_REP, info_value=found)


def _name_in(identifier: bytes) -> bytes:
    (element,) = der.split(identifier)
    return der.split(element.content)[0].whole


def _passphrase(value: bytes | None, telling: Telling) -> InfoTypeAndValue:
    """Refuse what is not kept: RFC 9810 §B wants an error where it is not confirmed."""
    del value, telling
    raise Malformed("no passphrases are kept here", finding="passphrase_unsupported")


_ANSWERS: Mapping[bytes, _Tell] = {
    CA_PROT_ENC_CERT: _without_value(CA_PROT_ENC_CERT, _nothing),
    SIGN_KEY_PAIR_TYPES: _without_value(SIGN_KEY_PAIR_TYPES, _signing_keys),
    ENC_KEY_PAIR_TYPES: _without_value(ENC_KEY_PAIR_TYPES, _encryption_keys),
    PREFERRED_SYMM_ALG: _without_value(PREFERRED_SYMM_ALG, _symmetric_algorithm),
    CURRENT_CRL: _without_value(CURRENT_CRL, _current_crl),
    CA_CERTS: _without_value(CA_CERTS, _ca_certificates),
    CERT_REQ_TEMPLATE: _without_value(CERT_REQ_TEMPLATE, _template),
    ROOT_CA_CERT: _root_update,
    CRL_STATUS_LIST: _crls,
    SUPP_LANG_TAGS: _language,
    KEY_PAIR_PARAM_REQ: _key_parameters,
    REV_PASSPHRASE: _passphrase,
}
_UNASKED = _ALWAYS | {CURRENT_CRL, CA_CERTS, CERT_REQ_TEMPLATE, ROOT_CA_CERT}
"""What is told to who asks for nothing in particular."""
