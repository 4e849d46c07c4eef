"""A customer document as it is previewed to everybody: what the default role sees of it."""

from sv_assets.access import load_roles
from sv_assets.access.roles import fields_for
from sv_assets.mongo import Document


def masked(document: Document) -> Document:
    """The document as the default role sees it: no personal data as it is. For previews, which nobody in particular reads."""
    fields = fields_for(load_roles().default.role, "single_view.customers")
    return fields.of(document) if fields else {}
