"""A device in the field: its keys and requests, and curl to carry them."""

import base64
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from tests.support.installation import Installation, Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What curl saw."""

    status: int
    headers: str
    body: bytes

    @property
    def certificate(self) -> x509.Certificate:
        """The one certificate in an EST answer."""
        (found,) = pkcs7.load_der_pkcs7_certificates(base64.b64decode(self.body))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Where a device keeps its things."""

    folder: Path
    installation: Installation
    server: Running

    def request(self, name: str, common_name: str, *, key: str | None = None) -> Path:
        """Make a key (or take the one named) and a CSR, base64, in `NAME.b64`."""
        key_file = self.folder / f"{key or name}.key"
        if not key_file.exists():
            made = ec.generate_private_key(ec.SECP256R1())
            key_file.write_bytes(
                made.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
        private = serialization.load_pem_private_key(key_file.read_bytes(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject)
        der = csr.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        path = self.folder / f"{name}.b64"
        path.write_bytes(base64.encodebytes(der))
        return path

    def renewal_request(self, name: str, certificate: x509.Certificate) -> Path:
        """Make a new key and a CSR with the certificate's subject."""
        made = ec.generate_private_key(ec.SECP256R1())
        (self.folder / f"{name}.key").write_bytes(
            made.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        csr = x509.CertificateSigningRequestBuilder().subject_name(certificate.subject)
        der = csr.sign(made, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        path = self.folder / f"{name}.b64"
        path.write_bytes(base64.encodebytes(der))
        return path

    def post(
        self,
        operation: str,
        body: Path,
        *,
        user: str | None = None,
        certificate: str | None = None,
        options: tuple[str, ...] = (),
    ) -> Answer:
        """Send a request with curl; `certificate` names a `.pem` and `.key` of this device."""
        words = ["--data-binary", f"@{body}"]
        if "-H" not in options:
            words += ["-H", "Content-Type: application/pkcs10"]
        if user is not None:
            words += ["-u", user]
        if certificate is not None:
            words += ["--cert", str(self.folder / f"{certificate}.pem")]
            words += ["--key", str(self.folder / f"{certificate}.key")]
        return self.curl(f"{self.server.est}/{operation}", *words, *options)

    def curl(self, url: str, *words: str) -> Answer:
        headers = self.folder / "headers.txt"
        body = self.folder / "answer.body"
        body.unlink(missing_ok=True)
        done = subprocess.run(
            [
                "curl",
                "-sS",
                "--cacert",
                str(self.installation.root),
                "-D",
                str(headers),
                "-o",
                str(body),
                "-w",
                "%{http_code}",
                *words,
                url,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Answer(
            status=int(done.stdout),
            headers=headers.read_text(),
            body=body.read_bytes() if body.exists() else b"",
        )

    def keep(self, name: str, certificate: x509.Certificate) -> x509.Certificate:
        """Store a certificate beside its key."""
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (self.folder / f"{name}.pem").write_bytes(pem)
        return certificate
