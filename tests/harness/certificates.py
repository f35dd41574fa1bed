"""Generates certificates: an authority, and valid and invalid certificates of servers and clients."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import trustme
from cryptography.hazmat.primitives.asymmetric import rsa

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files and as PEM text."""

    cert_path: Path
    key_path: Path

    @property
    def cert(self) -> bytes:
        return self.cert_path.read_bytes()

    @property
    def key(self) -> bytes:
        return self.key_path.read_bytes()


class Authority:
    """A certificate authority, which writes its certificates into a directory."""

    def __init__(self, directory: Path, name: str = "authority", rsa_bits: int | None = None) -> None:
        """With `rsa_bits`, all keys are RSA keys of this size, and an intermediate authority signs the certificates."""
        self._rsa_bits = rsa_bits
        self._key_type = trustme.KeyType.RSA if rsa_bits else trustme.KeyType.ECDSA
        with self._key_size():
            root = trustme.CA(organization_name=name, key_type=self._key_type)
            self._authority = root.create_child_ca(self._key_type) if rsa_bits else root
        self._directory = directory / name
        self._directory.mkdir(parents=True)
        self.path = self._directory / "ca.pem"
        root.cert_pem.write_to_path(self.path)
        self._made = 0

    @property
    def pem(self) -> bytes:
        return self.path.read_bytes()

    def sign(self, *names: str, expired: bool = False) -> Pair:
        """Returns a certificate for these names, by default for the local address."""
        now = datetime.now(UTC)
        with self._key_size():
            leaf = self._authority.issue_cert(
                *(names or ("127.0.0.1", "localhost")),
                not_before=now - 3 * _DAY,
                not_after=now - 2 * _DAY if expired else now + 30 * _DAY,
                key_type=self._key_type,
            )
        self._made += 1
        pair = Pair(self._directory / f"{self._made}.crt", self._directory / f"{self._made}.key")
        pair.cert_path.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(pair.key_path)
        return pair

    @contextmanager
    def _key_size(self) -> Iterator[None]:
        """Generates the keys here, because trustme's RSA keys always have 2048 bits."""
        if self._rsa_bits is None:
            yield
            return
        key = rsa.generate_private_key(public_exponent=65537, key_size=self._rsa_bits)
        with patch.object(trustme.KeyType, "_generate_key", lambda _: key):
            yield
