"""Who signs the keys that are made for devices: the key generation certificate in use."""

from cryptography.hazmat.primitives.serialization import Encoding

from enroll.failures import AuthorityUnavailable
from protocols.cms.identifiers import subject_key_identifier
from protocols.cms.key_packages import KeyPackageSigner
from protocols.cms.signed_data import Signer
from server.home import HomeError
from server.service_certificates import ServiceCertificate


def key_package_signer(kept: ServiceCertificate) -> KeyPackageSigner:
    """Give it, named as RFC 9483 §4.1.6 has it.

    Raises AuthorityUnavailable where no certificate is valid now.
    """
    try:
        identity = kept.current()
    except HomeError as error:
        raise AuthorityUnavailable(str(error), retry_after=60) from error
    chain = (identity.certificate, *identity.chain)
    return KeyPackageSigner(
        signer=Signer.holding(
            identity.certificate,
            identity.key,
            key_identifier=subject_key_identifier(identity.certificate),
        ),
        certificates=tuple(each.public_bytes(Encoding.DER) for each in chain),
    )
