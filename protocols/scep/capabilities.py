"""What a profile can do, in the keywords of RFC 8894 §3.5.2."""

from collections.abc import Iterable

from enroll.options import SCEPOptions

# strongSwan 5.9.8 refuses every server that does not say SHA-384, which no RFC knows (scep-3).
_ALWAYS = ("AES", "POSTPKIOperation", "Renewal", "SHA-256", "SHA-384", "SHA-512")
_LEGACY = ("DES3", "SHA-1")
# It claims all of RFC 8894 §2.9, and so that single DES is refused.
_STANDARD = ("SCEPStandard",)
_NEXT_CA = ("GetNextCACert",)


def keywords(options: SCEPOptions, *, next_ca: bool) -> tuple[str, ...]:
    return (
        *_ALWAYS,
        *(_LEGACY if options.legacy else _STANDARD),
        *(_NEXT_CA if next_ca else ()),
    )


def encode(words: Iterable[str]) -> bytes:
    """Write one keyword a line; nothing for none (RFC 8894 §3.5.2)."""
    return "".join(f"{each}\n" for each in words).encode("ascii")
