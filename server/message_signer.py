"""Who signs the answers of CMC: the service certificate for messages, as CMC takes it."""

from cryptography.hazmat.primitives.serialization import Encoding

from protocols.cmc.responder import Responder
from protocols.cms.chains import without_roots
from protocols.cms.signed_data import Signer
from server.home import HomeError
from server.service_certificates import ServiceCertificate, ServiceIdentity


class MessageSigner:
    """Gives a responder that holds the certificate in use; made anew when that changes."""

    def __init__(self, certificate: ServiceCertificate) -> None:
        self._certificate = certificate
        self._made: tuple[ServiceIdentity, Responder] | None = None

    def responder(self) -> Responder | None:
        """Give it; None as long as there is no certificate."""
        try:
            current = self._certificate.current()
        except HomeError:
            return None
        if self._made is None or self._made[0] is not current:
            self._made = (current, _responder(current))
        return self._made[1]


def _responder(identity: ServiceIdentity) -> Responder:
    chain = (identity.certificate, *identity.chain)
    return Responder(
        signer=Signer.holding(identity.certificate, identity.key),
        certificates=without_roots(tuple(each.public_bytes(Encoding.DER) for each in chain)),
    )
