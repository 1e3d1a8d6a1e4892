"""Where in the store an input's source lies: the path by which Nix's errors name it. Pure.

After Nix's manual, "Store path specification": a source's path is made of the hash of its content alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
_DIGEST_BYTES = 20


def source_path(nar_hash: str, store: str = "/nix/store") -> str | None:
    """`sha256-…` → `/nix/store/…-source`; None for any other kind of hash."""
    kind, _, encoded = nar_hash.partition("-")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    if kind != "sha256" or len(digest) != hashlib.sha256().digest_size:
        return None
    described = hashlib.sha256(f"source:sha256:{digest.hex()}:{store}:source".encode()).digest()
    folded = bytearray(_DIGEST_BYTES)
    for place, byte in enumerate(described):
        folded[place % _DIGEST_BYTES] ^= byte
    return f"{store}/{_base32(bytes(folded))}-source"


def _base32(data: bytes) -> str:
    """Nix's own base 32: least significant digit last, without e, o, u and t."""
    number = int.from_bytes(data, "little")
    digits = (len(data) * 8 - 1) // 5 + 1
    return "".join(_ALPHABET[number >> (5 * place) & 31] for place in reversed(range(digits)))
