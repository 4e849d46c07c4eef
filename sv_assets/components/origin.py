"""Which declaration a definition stands in, said when it is made.

Dagster says it afterwards of each definition of a component, and copies them all for that: a tenth of the time that 500
tables take to load.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.metadata.metadata_value import ObjectMetadataValue
from dagster.components.core.decl import YamlDecl


class WithOrigin(dg.Definitions):
    """Definitions that say already where they come from."""

    def with_definition_metadata_update(self, update: Callable[..., Any]) -> "WithOrigin":
        return self


def origin_of(component: dg.Component, context: dg.ComponentLoadContext) -> Mapping[str, Any]:
    """The metadata that Dagster adds to what a component defines: the line of its declaration, and the component."""
    said: dict[str, Any] = {"dagster/component_origin": ObjectMetadataValue(component)}
    declared = context.component_decl
    if isinstance(declared, YamlDecl) and declared.source_tree is not None:
        at = declared.source_tree.source_position_tree.position
        references = component.get_code_references_for_yaml(Path(at.filename), at, context)
        said["dagster/code_references"] = dg.CodeReferencesMetadataValue(code_references=list(references))
    return said
