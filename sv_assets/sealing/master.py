"""The master keys, under which the keys of customers lie wrapped: from the environment, from a KMS, or of the embedded estate.

`SV_ENCRYPTION_KEY`: `<id>:<base64 of 96 bytes>[,<id>:…]`, the current one first; the others still open what they wrapped.
`SV_ENCRYPTION_KMS`: the master key lies in MongoDB, encrypted by a KMS (`kms`). `SV_ENCRYPTION=off` seals nothing.
The embedded estate makes a key of its own in its folder.
"""

import base64
import binascii
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from sv_assets import settings
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Store
from sv_assets.sealing.aead import KEY_BYTES

VARIABLE, KMS_VARIABLE, SWITCH = "SV_ENCRYPTION_KEY", "SV_ENCRYPTION_KMS", "SV_ENCRYPTION"
NEXT_STEP = (
    f"Set {VARIABLE} to <id>:<base64 of 96 bytes> from your secret store (a new one: k1:$(openssl rand -base64 96 | tr -d '\\n')), "
    f"or {KMS_VARIABLE} to a KMS; docs/privacy.md says how. {SWITCH}=off leaves declared fields in the clear."
)


@dataclass(frozen=True)
class Masters:
    """Master keys by their ids; `current` wraps new keys. `kept`: where they come from, in words."""

    secrets: Mapping[str, bytes] = field(repr=False)
    current: str
    kept: str

    @cached_property
    def ids(self) -> list[str]:
        """The current one first."""
        return [self.current, *(identifier for identifier in self.secrets if identifier != self.current)]


_HELD_SECONDS = 60
_held: dict[Any, tuple[float, Masters]] = {}


def is_off() -> bool:
    """Whether sealing is switched off. Raises ConfigurationError for a word that says neither."""
    said = (settings.variable(SWITCH) or "on").strip().casefold()
    if said not in ("on", "off"):
        raise ConfigurationError(f"{SWITCH} is on or off (unset: on); it is neither.")
    return said == "off"


def masters(store: Store, *, anew: bool = False) -> Masters:
    """The master keys; a KMS is asked once a process, `anew`, or where another process made a new one. Raises ConfigurationError where there are none, with the next step."""
    text, kms = settings.variable(VARIABLE), settings.variable(KMS_VARIABLE)
    if text and kms:
        raise ConfigurationError(f"{VARIABLE} and {KMS_VARIABLE} are both set: keep the one that is meant.")
    if text:
        return parse(text, f"the environment ({VARIABLE})")
    if not kms:
        return _of_estate()
    from sv_assets.sealing.kms import ids, masters_of

    place = (store.url or id(store.client), store.prefix, kms)
    held = _held.get(place)
    if held is not None and not anew:
        looked_at, known = held
        if time.monotonic() - looked_at < _HELD_SECONDS:
            return known
        if ids(store) == set(known.secrets):  # the KMS itself is asked only where there is a new one
            _held[place] = (time.monotonic(), known)
            return known
    known = masters_of(store, kms)
    _held[place] = (time.monotonic(), known)
    return known


def _of_estate() -> Masters:
    """The key in the folder of the embedded estate, made where there is none."""
    path = settings.local_dir() / "encryption.key"
    if not path.exists():
        url = settings.variable("SV_MONGO_URL") or ""
        if "127.0.0.1" not in url and "localhost" not in url:
            raise ConfigurationError(
                f"Fields are declared to be sealed, and there is no key to seal them with. {NEXT_STEP}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all, and the first of several that make it wins.
        made = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        made.touch(mode=0o600)
        made.write_text(f"k1:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}\n", encoding="ascii")
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return parse(path.read_text(encoding="ascii").strip(), "a file of the embedded estate")


@lru_cache(maxsize=8)
def parse(text: str, kept: str = "") -> Masters:
    """`k2:…,k1:…`, the current one first. Raises ConfigurationError for what is not that."""
    found: dict[str, bytes] = {}
    for part in text.split(","):
        identifier, _, encoded = part.strip().partition(":")
        try:
            secret = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if not re.fullmatch(r"[A-Za-z0-9_-]+", identifier) or len(secret) != KEY_BYTES or identifier in found:
            raise ConfigurationError(
                f"{VARIABLE} is not <id>:<base64 of {KEY_BYTES} bytes>, several parted by commas, each with an id of its own."
            )
        found[identifier] = secret
    return Masters(found, next(iter(found)), kept)
