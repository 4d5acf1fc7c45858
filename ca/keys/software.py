"""Software keys: made here, sealed as PKCS#8 under scrypt, opened again."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial

from asn1crypto import core, keys, pem
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from enroll.ports import Randomness

_LABEL = "ENCRYPTED PRIVATE KEY"
SCRYPT = "1.3.6.1.4.1.11591.4.11"
SCRYPT_COST = 2**14
SCRYPT_BLOCK = 8
SCRYPT_LANES = 1

MAXIMUM_MEMORY = 64 * 1024 * 1024
MAXIMUM_LANES = 16
MAXIMUM_ITERATIONS = 2_000_000
"""What opening a key may cost: scrypt's memory and lanes, PBKDF2's iterations."""

SoftwareKey = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)


class KeyKind(StrEnum):
    """The keys that can be made here."""

    P_256 = "p-256"
    P_384 = "p-384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ED25519 = "ed25519"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"


_GENERATORS: Mapping[KeyKind, Callable[[], SoftwareKey]] = {
    KeyKind.P_256: partial(ec.generate_private_key, ec.SECP256R1()),
    KeyKind.P_384: partial(ec.generate_private_key, ec.SECP384R1()),
    KeyKind.ED25519: ed25519.Ed25519PrivateKey.generate,
    KeyKind.ML_DSA_44: mldsa.MLDSA44PrivateKey.generate,
    KeyKind.ML_DSA_65: mldsa.MLDSA65PrivateKey.generate,
    KeyKind.ML_DSA_87: mldsa.MLDSA87PrivateKey.generate,
}


class KeyOpeningError(Exception):
    """A sealed key cannot be opened; the message says whether passphrase or file is at fault."""


def make_private_key(kind: KeyKind) -> SoftwareKey:
    make = _GENERATORS.get(kind)
    return make() if make else rsa.generate_private_key(65537, int(kind.removeprefix("rsa-")))


def seal_private_key(key: SoftwareKey, passphrase: bytes, randomness: Randomness) -> bytes:
    """Encrypt a key: PKCS#8 (RFC 5958), PBES2 with scrypt (RFC 7914) and AES-256-CBC, PEM.

    The parameters are those that OpenSSL 3.0 opens too.
    """
    clear = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    salt, vector = randomness.octets(16), randomness.octets(16)
    derived = Scrypt(salt, 32, SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_LANES).derive(passphrase)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(derived), modes.CBC(vector)).encryptor()
    padded = padder.update(clear) + padder.finalize()
    sealed = keys.EncryptedPrivateKeyInfo(
        {
            "encryption_algorithm": _pbes2(salt, vector),
            "encrypted_data": encryptor.update(padded) + encryptor.finalize(),
        }
    )
    armored: bytes = pem.armor(_LABEL, sealed.dump())
    return armored


def open_private_key(sealed: bytes, passphrase: bytes) -> SoftwareKey:
    """Decrypt a key: PBES2 with scrypt, or with PBKDF2 as others write it (RFC 8018 §6.2).

    The costs that the file asks for are judged before they are paid. Raises KeyOpeningError.
    """
    if any(f"-----{each} {_LABEL}-----".encode() not in sealed for each in ("BEGIN", "END")):
        raise KeyOpeningError(f"expected an {_LABEL} in PEM, from its first line to its last")
    der = _affordable(sealed)
    try:
        key = serialization.load_der_private_key(der, passphrase)
    except (ValueError, TypeError, InternalError) as error:
        raise KeyOpeningError("the passphrase is wrong, or the file is damaged") from error
    except UnsupportedAlgorithm as error:
        raise KeyOpeningError(f"the file is damaged: {error}") from error
    if not isinstance(key, SoftwareKey):
        raise KeyOpeningError(f"a {type(key).__name__} is not a key that can sign certificates")
    return key


def _affordable(sealed: bytes) -> bytes:
    """Give the EncryptedPrivateKeyInfo unless deriving its key would take all memory, or minutes.

    Raises KeyOpeningError.
    """
    try:
        name, _, der = pem.unarmor(sealed)
        if name != _LABEL:
            raise KeyOpeningError(f"expected an {_LABEL} and nothing else in the file")
        costs = _costs(keys.EncryptedPrivateKeyInfo.load(der, strict=True))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise KeyOpeningError(f"the file is damaged: {error}") from error
    if not _is_affordable(**costs):
        raise KeyOpeningError(
            "the file asks for more work than opening a key should take; "
            "encrypt it anew with openssl pkcs8 -topk8 -scrypt"
        )
    return bytes(der)


def _costs(info: keys.EncryptedPrivateKeyInfo) -> dict[str, int]:
    scheme = info["encryption_algorithm"]
    if scheme["algorithm"].native != "pbes2":
        raise KeyOpeningError("expected PBES2; openssl pkcs8 -topk8 -scrypt writes it")
    derivation = scheme["parameters"]["key_derivation_func"]
    parameters = derivation["parameters"]
    if derivation["algorithm"].dotted == SCRYPT:
        asked = parameters.parse(_ScryptParameters)
        return {name: asked[name].native for name in ("cost", "block", "lanes")}
    if derivation["algorithm"].native == "pbkdf2":
        return {"iterations": parameters["iteration_count"].native}
    raise KeyOpeningError("expected a passphrase under scrypt or PBKDF2")


def _is_affordable(
    *,
    cost: int = SCRYPT_COST,
    block: int = SCRYPT_BLOCK,
    lanes: int = SCRYPT_LANES,
    iterations: int = 1,
) -> bool:
    return (
        cost > 1
        and cost & (cost - 1) == 0
        and block > 0
        and 128 * cost * block <= MAXIMUM_MEMORY
        and 0 < lanes <= MAXIMUM_LANES
        and 0 < iterations <= MAXIMUM_ITERATIONS
    )


def _pbes2(salt: bytes, vector: bytes) -> dict[str, object]:
    return {
        "algorithm": "pbes2",
        "parameters": {
            "key_derivation_func": {
                "algorithm": SCRYPT,
                "parameters": _ScryptParameters(
                    {
                        "salt": salt,
                        "cost": SCRYPT_COST,
                        "block": SCRYPT_BLOCK,
                        "lanes": SCRYPT_LANES,
                    }
                ),
            },
            "encryption_scheme": {
                "algorithm": "aes256_cbc",
                "parameters": core.OctetString(vector),
            },
        },
    }


class _ScryptParameters(core.Sequence):  # type: ignore[misc]  # asn1crypto is untyped
    _fields = [  # noqa: RUF012 - asn1crypto's way to declare
        ("salt", core.OctetString),
        ("cost", core.Integer),
        ("block", core.Integer),
        ("lanes", core.Integer),
        ("key_length", core.Integer, {"optional": True}),
    ]
