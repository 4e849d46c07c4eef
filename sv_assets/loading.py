"""Loading definitions fast: what Dagster does not do by itself for hundreds of declared tables."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import yaml

ALLOCATIONS_A_COLLECTION = 50_000
"""Python's own 700 are meant for programs a hundredth of the size: a fifth of the time of loading went into collections."""


@contextmanager
def quick_loading() -> Iterator[None]:
    """While definitions load, YAML is parsed by libyaml, where it is there, and the garbage collector rests.

    Dagster's loader of declarations inherits from whatever is called `yaml.SafeLoader`: PyYAML's own takes half of the
    time that 500 tables need, libyaml gives the same nodes in a tenth of that. Nothing that loads is garbage, and what was
    loaded stays: the collector never looks at it again, nor, for the jobs that Dagster makes of it next, as often as usual.
    """
    slow, collects = yaml.SafeLoader, gc.isenabled()
    gc.disable()
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", slow)  # type: ignore[misc]
    try:
        yield
    finally:
        yaml.SafeLoader = slow  # type: ignore[misc]
        if collects:
            gc.freeze()
            gc.set_threshold(ALLOCATIONS_A_COLLECTION, 10, 10)
            gc.enable()
