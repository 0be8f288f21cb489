"""Certificates for endpoints with TLS: an authority of one's own, and what it signs."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates; whoever trusts the file `bundle` trusts them."""

    def __init__(self, folder: Path, name: str):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        root = self._begin(self._name, self._key, NOW - DAY, NOW + DAY)
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.bundle = folder / f"{name}.pem"
        self.bundle.write_bytes(_pem(root.sign(self._key, hashes.SHA256())))

    def _begin(self, subject: x509.Name, key, start, end) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(self._name, subject, key.public_key())
        return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)

    def certificate(self, host: str = "127.0.0.1", ended: bool = False) -> Path:
        """A file with a certificate for this host and its key; `ended` where its time is over."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "endpoint")])
        start, end = (NOW - 2 * DAY, NOW - DAY) if ended else (NOW - DAY, NOW + DAY)
        try:
            name = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        certificate = (
            self._begin(subject, key, start, end)
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        plain = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        path = self._folder / f"{host}-{certificate.serial_number:x}.pem"
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain) + _pem(certificate))
        return path


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def endpoint(certificate: Path) -> ssl.SSLContext:
    """What an endpoint with this certificate speaks; `load_cert_chain` gives it another one while it runs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
