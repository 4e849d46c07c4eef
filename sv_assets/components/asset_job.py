"""A job over assets of which some have partitions, and not all the same ones: run from the bookmarks, for no day."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import build_asset_job, get_asset_graph_for_job
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

_MADE: list[tuple[Any, dg.AssetSelection, dg.JobDefinition]] = []
"""The jobs that were made of the newest asset graph: another of the same selection takes over their steps."""


class _JobForNoDay(UnresolvedAssetJobDefinition):
    """`define_asset_job` makes of partitioned assets a partitioned job, and refuses those of different partitions; the job
    by which Dagster itself runs any selection of assets (`__ASSET_JOB`) does neither, and this one is built the same way."""

    def resolve(
        self, asset_graph: Any, default_executor_def: Any = None, resource_defs: Any = None
    ) -> dg.JobDefinition:
        if _MADE and _MADE[0][0] is not asset_graph:
            _MADE.clear()
        for _, selection, other in _MADE:
            if selection is self.selection:
                return other._copy(name=self.name, config=self.config, description=self.description)
        graph = get_asset_graph_for_job(asset_graph, self.selection, allow_different_partitions_defs=True)
        job = build_asset_job(
            self.name,
            asset_graph=graph,
            config=self.config,
            description=self.description,
            executor_def=self.executor_def or default_executor_def,
            resource_defs=resource_defs,
            allow_different_partitions_defs=True,
        )
        partitions = {graph.get(key).partitions_def for key in graph.executable_asset_keys} - {None}
        if len(partitions) == 1:  # else Dagster took the job for one of no partitions; a copy would check it all again
            job = job._copy(partitions_def=None, config=self.config)
        _MADE.append((asset_graph, self.selection, job))
        return job


def job_for_no_day(
    name: str, selection: dg.AssetSelection, description: str, config: Mapping[str, Any] | None = None
) -> UnresolvedAssetJobDefinition:
    """A job that materialises a selection without a partition: its partitioned tables go on from their bookmarks."""
    return _JobForNoDay(name, selection, config=config, description=description)
