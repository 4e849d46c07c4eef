"""What the definitions say of every asset, as the data dictionary takes it."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from sv_assets.components.lineage import COLUMN_LINEAGE
from sv_assets.dictionary.said import AssetSaid, CheckSaid


def described_assets(definitions: dg.Definitions) -> list[AssetSaid]:
    """Every asset with its checks, by key: descriptions, owners, freshness, and what its columns are made from."""
    graph = definitions.resolve_asset_graph()
    found = []
    for node in sorted(graph.asset_nodes, key=lambda node: node.key):
        checks = [graph.get(key) for key in graph.get_check_keys_for_assets({node.key})]
        found.append(
            AssetSaid(
                key=node.key.to_user_string(),
                description=node.description or "",
                owners=tuple(node.owners),
                group=node.group_name or "",
                kinds=tuple(sorted(node.kinds or ())),
                uri=str(_plain(node.metadata.get("dagster/uri")) or ""),
                freshness=_freshness(node),
                parents=tuple(sorted(key.to_user_string() for key in node.parent_keys)),
                columns=_columns(node.metadata),
                checks=tuple(
                    CheckSaid(check.key.name, check.description or "", bool(check.blocking))
                    for check in sorted(checks, key=lambda check: check.key.name)
                ),
            )
        )
    return found


def _columns(metadata: Mapping[str, Any]) -> dict[str, tuple[tuple[str, str], ...]]:
    lineage = _plain(metadata.get(COLUMN_LINEAGE))
    if not isinstance(lineage, dg.TableColumnLineage):
        return {}
    return {
        name: tuple((dep.asset_key.to_user_string(), dep.column_name) for dep in deps)
        for name, deps in lineage.deps_by_column.items()
    }


def _plain(value: object) -> object:
    return value.value if isinstance(value, dg.MetadataValue) else value


def _freshness(node: object) -> str:
    policy = getattr(node, "freshness_policy", None)
    window, warn = getattr(policy, "fail_window", None), getattr(policy, "warn_window", None)
    cron = getattr(policy, "deadline_cron", None)
    if window is not None:
        said = f"Late when it was not materialised for {window.to_timedelta()}"
        return f"{said}; a warning after {warn.to_timedelta()}." if warn is not None else f"{said}."
    return f"Due by the times {cron}." if cron else ""
