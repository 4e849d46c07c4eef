"""Which fields are sealed: what the retailer declares in `defs/privacy/encryption.yaml`."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from sv_assets.catalogue.entry import Entry, load_entry
from sv_assets.mongo import content_hash

DEFAULT = Path(__file__).resolve().parents[1] / "defs" / "privacy" / "encryption.yaml"
CUSTOMERS = "single_view.customers"
Why = Annotated[str, Field(min_length=1)]
Node = dict[str, Any]
"""By name, what lies below; None where the value itself is sealed."""


@dataclass(frozen=True)
class Sealable:
    """A collection whose fields may be sealed: where a document says whose it is, and which fields that may be."""

    owner: str
    fields: tuple[str, ...]
    because: str
    """Why no other field may be."""


SEALABLE: Mapping[str, Sealable] = {
    CUSTOMERS: Sealable(
        "_id",
        (
            "name",
            "names",
            "date_of_birth",
            "dates_of_birth",
            "email",
            "emails",
            "phone",
            "phones",
            "address",
            "addresses",
            "flags",
        ),
        "queries, indexes and stations read it where it stands",
    ),
    "single_view.flags": Sealable(
        "customer_id", ("flag", "since", "until"), "it says whose the flag is and where it came from"
    ),
    "single_view.corrections": Sealable(
        "customer_id", ("says",), "it says whose the correction is, who made it and why"
    ),
    "contact_centre.customer_card": Sealable(
        "_id", ("who", "reach", "warnings"), "the card is ranked and kept true by it"
    ),
}
_PAIRS = {
    "date_of_birth": "dates_of_birth",
    "name": "names",
    "email": "emails",
    "phone": "phones",
    "address": "addresses",
}
"""In the customer document, the golden value and the list that holds it, too."""


class InTheClear(Entry):
    """A field that a column declared as `sensitive` feeds, and that is not sealed."""

    field: str
    why: Why


class Declaration(Entry):
    """By collection the paths that are sealed and why; and what is left in the clear and why. Lists on a path are passed through."""

    collections: dict[str, dict[str, Why]]
    in_the_clear: list[InTheClear] = []

    @model_validator(mode="after")
    def _may_be_sealed(self) -> Self:
        for collection, paths in self.collections.items():
            sealable = SEALABLE.get(collection)
            if sealable is None:
                raise ValueError(f"{collection} cannot be sealed; that can be: {', '.join(SEALABLE)}")
            for path in paths:
                root = path.partition(".")[0]
                if root not in sealable.fields:
                    raise ValueError(
                        f"{collection}: {path} has to stay in the clear, {sealable.because}; that can be sealed: {', '.join(sealable.fields)}"
                    )
                if above := [other for other in paths if path.startswith(f"{other}.")]:
                    raise ValueError(f"{collection}: {path} lies in {above[0]}, which is sealed already")
        declared = self.collections.get(CUSTOMERS, {})
        for one, other in [*_PAIRS.items(), *((b, a) for a, b in _PAIRS.items())]:
            for path in declared:
                root, _, rest = path.partition(".")
                if root == one and f"{other}.{rest}" not in declared:
                    raise ValueError(
                        f"{CUSTOMERS}: {path} is sealed, and the same value stands in {other}.{rest}: seal both"
                    )
        return self

    def tree(self, collection: str) -> Node | None:
        """The sealed paths of a collection, name by name; None where nothing is sealed."""
        return self._trees.get(collection)

    @cached_property
    def _trees(self) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for collection, paths in self.collections.items():
            root: Node = {}
            for path in paths:
                *names, last = path.split(".")
                node = root
                for name in names:
                    node = node.setdefault(name, {})
                node[last] = None
            if root:
                found[collection] = root
        return found

    def paths(self, collection: str) -> Iterator[str]:
        yield from self.collections.get(collection, ())

    @cached_property
    def rules(self) -> str:
        """Changes with whatever is sealed otherwise."""
        return content_hash({c: sorted(paths) for c, paths in sorted(self.collections.items())})[:12]


def load_declaration() -> Declaration:
    """The declaration: `SV_ENCRYPTION_FILE`, else the retailer's. Raises ConfigurationError with file, place and allowed values."""
    return _load(Path(os.environ.get("SV_ENCRYPTION_FILE") or DEFAULT))


@lru_cache
def _load(path: Path) -> Declaration:
    return load_entry(Declaration, path)
