"""Sealing: single fields of documents are encrypted under a key of their customer, so that erasing the keys erases the values.

Values and keys stand in MongoDB's own format (Client-Side Field Level Encryption, deterministic): any driver with pymongocrypt,
libmongocrypt and the master key opens them. Which fields, is declared in `defs/privacy/encryption.yaml`.

    from sv_assets import sealing
    sealing.seal(store, "single_view.customers", documents, owners)    # declared fields under the keys of their owners
    sealing.opened(store, documents)                                   # whatever is sealed in them, in the clear
"""

from sv_assets.sealing.declaration import Declaration, load_declaration
from sv_assets.sealing.look_ups import asked_as, hashed_keys
from sv_assets.sealing.seal import DONE, SHREDDED, has_clear, open_values, opened, seal, seal_changes, version
from sv_assets.sealing.values import is_sealed

__all__ = [
    "DONE",
    "SHREDDED",
    "Declaration",
    "asked_as",
    "has_clear",
    "hashed_keys",
    "is_sealed",
    "load_declaration",
    "open_values",
    "opened",
    "seal",
    "seal_changes",
    "version",
]
