"""Any octets are a request for a key or a refusal; and so are the choices that it leaves us."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from protocols.cms.key_agreement import KeyAgreementScheme
from protocols.cms.key_wrap import KeyWrap
from protocols.est.key_delivery import read_delivery
from protocols.pkcs10 import decode_without_key


def fuzz_est_keyless(data: bytes) -> None:
    with suppress(EnrollmentError):
        delivery = read_delivery(decode_without_key(data).attributes)
        if delivery is None:
            return
        for choose in (
            delivery.capabilities.content_encryption,
            delivery.capabilities.oaep_digest,
            lambda: delivery.capabilities.check_wrap(KeyWrap.AES_256),
            lambda: delivery.capabilities.agreement_wrap(KeyAgreementScheme.STD_DH_SHA256_KDF),
        ):
            with suppress(EnrollmentError):
                choose()
