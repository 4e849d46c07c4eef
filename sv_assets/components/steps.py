"""The steps of sources, made straight from functions.

Dagster's decorators look into the function that they are given, its context, config and resources, some ten times each.
For the steps of each of 500 tables that is half of the time that all definitions take to load, and it is the same
function each time: here it is told instead.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cache, cached_property
from typing import Any, TypeVar

import dagster as dg
from dagster._core.definitions.output import OutputDefinition
from dagster._core.definitions.resource_requirement import (
    OpDefinitionResourceRequirement,
    OutputManagerRequirement,
    ResourceRequirement,
)

from sv_assets.components.station import RETRIES

C = TypeVar("C", bound=dg.Config)
_AFTER = dg.In(dg.Nothing)
AFTER_ALL_ELSE = {"dagster/priority": "-1"}


class _Step(dg.OpDefinition):
    """An op that says once what it needs.

    Dagster's own says so once for each of its outputs, and each job asks all of them three times: with a check an output,
    that was a seventh of the time of loading.
    """

    @cached_property
    def _needs(self) -> tuple[ResourceRequirement, ...]:
        described = f"op '{self.name}'"
        return (
            OpDefinitionResourceRequirement(key="mongo", node_description=described),
            OutputManagerRequirement(
                key="io_manager", node_description=described, output_name=self.output_defs[0].name
            ),
        )

    def get_resource_requirements(self, *_: Any, **__: Any) -> Iterator[ResourceRequirement]:
        yield from self._needs


class _IfWanted(dg.Out):
    """An output that is given only where it is wanted; all of them are one but for their names."""

    def to_definition(self, annotation_type: type, name: str | None, *_: Any, **__: Any) -> OutputDefinition:
        made = copy(_ANY)
        made._name = str(name)
        return made


_ANY = OutputDefinition(dg.Nothing, is_required=False)
_IF_WANTED = _IfWanted(dg.Nothing, is_required=False)


def asset_step(
    spec: dg.AssetSpec,
    check: dg.AssetCheckSpec,
    config: type[C],
    pool: str,
    work: Callable[[dg.AssetExecutionContext, C], dg.MaterializeResult[Any]],
    backfill_policy: dg.BackfillPolicy | None = None,
    more: Sequence[dg.AssetCheckSpec] = (),
    evaluate: Callable[[dg.AssetExecutionContext], Iterable[dg.AssetCheckResult]] = lambda _: (),
) -> dg.AssetsDefinition:
    """What `@dg.multi_asset` makes of `work`: one asset with the check that it makes itself, in the pool of its system,
    tried again as all are. After it come `more` checks by `evaluate`, which may also be asked for alone; `evaluate` then
    answers for `check` too.

    An attempt after one that wrote the asset, and failed in its checks, does not write it again.
    """

    def compute(context: dg.AssetExecutionContext, _: object) -> Iterator[Any]:
        if spec.key in context.selected_asset_keys and not _is_written(context, spec.key):
            yield work(context, config(**context.op_execution_context.op_config))
        yield from evaluate(context)

    after = _inputs([dep.asset_key for dep in spec.deps])
    checks = {one.get_python_identifier(): one for one in (check, *more)}
    op = _Step(
        compute,
        name=spec.key.to_python_identifier(),
        description=spec.description,
        ins=dict.fromkeys(after, _AFTER),
        outs={"result": _IF_WANTED, **dict.fromkeys(checks, _IF_WANTED)},
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
        check_specs_by_output_name=checks,
        can_subset=bool(more),
        backfill_policy=backfill_policy,
    )


def checks_step(
    name: str,
    description: str,
    specs: Sequence[dg.AssetCheckSpec],
    pool: str,
    work: Callable[[dg.AssetCheckExecutionContext], Iterable[dg.AssetCheckResult]],
) -> dg.AssetChecksDefinition:
    """What `@dg.multi_asset_check` makes of `work`: checks of many assets, of which any may be selected.

    It comes after all else that can be done in its run, and waits for none of it by name: one of its assets that fails
    would keep those of all the others from being checked.
    """

    def compute(context: dg.AssetCheckExecutionContext, _: object) -> Iterator[dg.AssetCheckResult]:
        yield from work(context)

    op = _Step(
        compute,
        name=name,
        description=description,
        outs={spec.get_python_identifier(): _IF_WANTED for spec in specs},
        required_resource_keys={"mongo"},
        retry_policy=RETRIES,
        tags=AFTER_ALL_ELSE,
        pool=pool,
    )
    made: dg.AssetChecksDefinition = dg.AssetChecksDefinition.create(
        keys_by_input_name={},
        node_def=op,
        check_specs_by_output_name={spec.get_python_identifier(): spec for spec in specs},
        can_subset=True,
    )
    return made


def evaluated(context: dg.AssetCheckExecutionContext) -> frozenset[dg.AssetCheckKey]:
    """The checks that earlier attempts of this step have evaluated."""
    if not context.retry_number:
        return frozenset()
    events = _events(context, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    return frozenset(event.asset_check_evaluation_data.asset_check_key for event in events)


def _is_written(context: dg.AssetExecutionContext, key: dg.AssetKey) -> bool:
    """Whether an earlier attempt of this step has written its asset."""
    if not context.retry_number:
        return False
    step = context.op_execution_context.op.name
    events = _events(context, dg.DagsterEventType.STEP_OUTPUT)
    return any(e.step_key == step and e.step_output_data.output_name == "result" for e in events)


def _events(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, kind: dg.DagsterEventType
) -> Iterator[dg.DagsterEvent]:
    """What this run has told of a kind so far."""
    for entry in context.instance.all_logs(context.run.run_id, of_type=kind):
        yield entry.get_dagster_event()


def _inputs(keys: Iterable[dg.AssetKey]) -> Mapping[str, dg.AssetKey]:
    return {key.to_python_identifier(): key for key in keys}


@cache
def _schema_of(config: type[dg.Config]) -> Any:
    return config.to_config_schema()
