"""`AEAD_AES_256_CBC_HMAC_SHA_512`: what MongoDB's Client-Side Field Level Encryption seals values and wraps keys with.

Source: the draft *Authenticated Encryption with AES-CBC and HMAC-SHA* (mcgrew-aead-aes-cbc-hmac-sha2), which RFC 7518 (5.2.5)
calls A256CBC-HS512, with the third part of the key that MongoDB adds to it: a deterministic IV is the HMAC of the plain text.
AES is that of `cryptography`, HMAC that of OpenSSL in Python.

| bytes of the key | for what          | | bytes of what is sealed | what it is                                  |
|------------------|-------------------|-|-------------------------|---------------------------------------------|
| 0 to 31          | HMAC              | | first 16                | IV                                          |
| 32 to 63         | AES               | | middle                  | AES-256-CBC of the plain text, PKCS #7       |
| 64 to 95         | deterministic IV  | | last 32                 | first half of the HMAC-SHA-512 of the rest  |
"""

import hmac

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

KEY_BYTES, IV_BYTES = 96, 16
_BLOCK, _TAG = 16, 32
_FEWEST = IV_BYTES + _BLOCK + _TAG


class CannotOpen(ValueError):
    """It was changed, or sealed with another key."""


def sealed(key: bytes, associated: bytes, plain: bytes, iv: bytes | None = None) -> bytes:
    """The plain text sealed with a key of 96 bytes, `associated` vouched for with it. Without an `iv` (16 random bytes) the same
    gives the same."""
    if iv is None:
        iv = hmac.digest(key[64:], associated + _bits(associated) + plain, "sha512")[:IV_BYTES]
    padding = _BLOCK - len(plain) % _BLOCK
    encryptor = Cipher(AES256(key[32:64]), CBC(iv)).encryptor()
    shut = iv + encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
    return shut + _tag(key, associated, shut)


def opened(key: bytes, associated: bytes, sealed: bytes) -> bytes:
    """The plain text. Raises CannotOpen: nothing is decrypted that the key does not vouch for."""
    shut = sealed[:-_TAG]
    if (
        len(sealed) < _FEWEST
        or len(shut) % _BLOCK
        or not hmac.compare_digest(_tag(key, associated, shut), sealed[-_TAG:])
    ):
        raise CannotOpen("it was changed, or sealed with another key")
    decryptor = Cipher(AES256(key[32:64]), CBC(shut[:IV_BYTES])).decryptor()
    padded = decryptor.update(shut[IV_BYTES:]) + decryptor.finalize()
    return padded[: -padded[-1]]


def _tag(key: bytes, associated: bytes, shut: bytes) -> bytes:
    return hmac.digest(key[:32], associated + shut + _bits(associated), "sha512")[:_TAG]


def _bits(associated: bytes) -> bytes:
    return (8 * len(associated)).to_bytes(8, "big")
