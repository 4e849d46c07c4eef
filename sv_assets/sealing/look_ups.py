"""Look-up keys of sealed fields: a keyed hash instead of the value, so that people are found and nothing is told.

`name_born:k1.4f…`: the kind of the key, the id of the master key that the secret is derived from (HKDF-SHA-256), and 16 bytes
of HMAC-SHA-256 over the key as it would be in the clear. While a master key is rotated, a question asks by all of them.
"""

import hmac
import re
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache

from sv_assets.mongo import Store
from sv_assets.sealing.master import is_off, masters

_HASHED = re.compile(r"[a-z_]+:[A-Za-z0-9_-]+\.[0-9a-f]{32}")
_PURPOSE = b"single customer view: look-up keys"


@lru_cache
def _secret(master: bytes) -> bytes:
    """HKDF (RFC 5869) of a master key, for this purpose only."""
    extracted = hmac.digest(b"\0" * 32, master, "sha256")
    return hmac.digest(extracted, _PURPOSE + b"\1", "sha256")


def _hashed(key: str, identifier: str, master: bytes) -> str:
    kind = key.partition(":")[0]
    return (
        f"{kind}:{identifier}.{hmac.digest(_secret(master), key.encode(errors='surrogatepass'), 'sha256')[:16].hex()}"
    )


def hashed_keys(store: Store, kinds: Collection[str]) -> Callable[[Iterable[str]], list[str]]:
    """What makes keys into those that are kept, in their order: those of these kinds are hashed, unless they are already."""
    if not kinds or is_off():
        return list
    known = masters(store)
    current, master = known.current, known.secrets[known.current]
    begins = tuple(f"{kind}:" for kind in kinds)

    def kept(key: str) -> str:
        return key if _HASHED.fullmatch(key) else _hashed(key, current, master)

    return lambda keys: [kept(key) if key.startswith(begins) else key for key in keys]


def asked_as(store: Store, key: str, kinds: Collection[str]) -> list[str]:
    """What a key in the clear may be kept as: itself, or its hashes, that of the current master key first."""
    if key.partition(":")[0] not in kinds or is_off():
        return [key]
    known = masters(store)
    return [_hashed(key, identifier, known.secrets[identifier]) for identifier in known.ids]
