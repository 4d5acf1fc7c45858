"""Full PKI Responses (RFC 5272 §4.2): signed, with the certificates that they are about."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from protocols.cmc.encode import Outcome, encode_pki_response
from protocols.cmc.messages import PKI_RESPONSE, Heard
from protocols.cms.signed_data import Signer, encode_signed_data

NONCE_OCTETS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Responder:
    """Who signs the responses: a signer, its certificate in DER, and those between it and a root.

    Its certificate is one of a registration authority (id-kp-cmcRA, RFC 6402 §2.10).
    """

    signer: Signer
    certificates: tuple[bytes, ...] = field(repr=False)
    nonces: Callable[[int], bytes] = os.urandom

    def respond(self, outcome: Outcome, heard: Heard, issued: Iterable[bytes] = ()) -> bytes:
        """Write a response, DER; the `issued` certificates go with it, and what is above them."""
        content = encode_pki_response(outcome, heard, self.nonces(NONCE_OCTETS))
        return encode_signed_data(
            PKI_RESPONSE,
            content,
            signer=self.signer,
            # In the order of DER (RFC 8951 §3), each once.
            certificates=sorted({*issued, *self.certificates}),
        )
