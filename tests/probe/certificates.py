"""Certificates of a test's own authority."""

from __future__ import annotations

import datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = 86400.0


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *private)


class Authority:
    """
    :param folder: where its files are.
    :ivar file: its own certificate: who has it trusts what it issues.
    """

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self._folder = folder
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(name, self._key.public_key(), -10, 3650, [], authority=True)
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, first: float = -1, last: float = 30) -> Path:
        """
        A file with a key and its certificate.

        :param name: a host's, or an address.
        :param first: days from now at which it becomes valid; ``last`` at which it ends.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            names: list[x509.GeneralName] = [x509.IPAddress(ip_address(name))]
        except ValueError:
            names = [x509.DNSName(name)]
        certificate = self._signed(name, key.public_key(), first, last, names, authority=False)
        path = self._folder / f"{name}-{first}-{last}-{self._name.replace(' ', '-')}.pem"
        path.write_bytes(_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def file_with_key(self) -> Path:
        """Its own certificate, as a server that signed itself shows it."""
        path = self._folder / "self-signed.pem"
        path.write_bytes(_pem(self._key) + self.file.read_bytes())
        return path

    def _signed(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        first: float,
        last: float,
        names: list[x509.GeneralName],
        *,
        authority: bool,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self._name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=first))
            .not_valid_after(now + datetime.timedelta(days=last))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())
