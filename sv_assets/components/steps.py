"""The step of a source, made straight from a function.

Dagster's decorators look into the function that they are given, its context, config and resources, some ten times each.
For the three steps of each of 500 tables that is half of the time that all definitions take to load, and it is the same
function each time: here it is told instead.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

import dagster as dg

from sv_assets.components.station import RETRIES

C = TypeVar("C", bound=dg.Config)
_AFTER = dg.In(dg.Nothing)
_WRITES = dg.Out(dg.Nothing)
_CHECKED = dg.Out(dg.Nothing)
_CHECKED_IF_WANTED = dg.Out(dg.Nothing, is_required=False)


def asset_step(
    spec: dg.AssetSpec,
    check: dg.AssetCheckSpec,
    config: type[C],
    pool: str,
    work: Callable[[dg.AssetExecutionContext, C], dg.MaterializeResult[Any]],
    backfill_policy: dg.BackfillPolicy | None = None,
) -> dg.AssetsDefinition:
    """What `@dg.asset` makes of `work`: one asset and its own check, in the pool of its system, tried again as all are."""

    def compute(context: dg.AssetExecutionContext, _: object) -> Iterator[dg.MaterializeResult[Any]]:
        yield work(context, config(**context.op_execution_context.op_config))

    after = _inputs([dep.asset_key for dep in spec.deps])
    op = dg.OpDefinition(
        compute,
        name=spec.key.to_python_identifier(),
        description=spec.description,
        ins=dict.fromkeys(after, _AFTER),
        outs={"result": _WRITES, check.get_python_identifier(): _CHECKED},
        config_schema=_schema_of(config),
        required_resource_keys={"mongo"},
        retry_policy=RETRIES,
        pool=pool,
    )
    return dg.AssetsDefinition(
        keys_by_input_name=after,
        keys_by_output_name={"result": spec.key},
        node_def=op,
        specs=[spec],
        check_specs_by_output_name={check.get_python_identifier(): check},
        backfill_policy=backfill_policy,
    )


def checks_step(
    name: str,
    specs: Sequence[dg.AssetCheckSpec],
    pool: str | None,
    work: Callable[[dg.AssetCheckExecutionContext], Iterable[dg.AssetCheckResult]],
) -> dg.AssetChecksDefinition:
    """What `@dg.multi_asset_check` makes of `work`: checks of which any may be selected."""

    def compute(context: dg.AssetCheckExecutionContext, _: object) -> Iterator[dg.AssetCheckResult]:
        yield from work(context)

    others = [dep.asset_key for spec in specs for dep in spec.additional_deps]
    after = _inputs(dict.fromkeys([*(spec.asset_key for spec in specs), *others]))
    op = dg.OpDefinition(
        compute,
        name=name,
        ins=dict.fromkeys(after, _AFTER),
        outs={spec.get_python_identifier(): _CHECKED_IF_WANTED for spec in specs},
        required_resource_keys={"mongo"},
        retry_policy=RETRIES,
        pool=pool,
    )
    return dg.AssetChecksDefinition.create(
        keys_by_input_name=after,
        node_def=op,
        check_specs_by_output_name={spec.get_python_identifier(): spec for spec in specs},
        can_subset=True,
    )


def _inputs(keys: Iterable[dg.AssetKey]) -> dict[str, dg.AssetKey]:
    return {key.to_python_identifier(): key for key in keys}


@cache
def _schema_of(config: type[dg.Config]) -> Any:
    return config.to_config_schema()
