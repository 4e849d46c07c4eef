"""Loading definitions fast: what Dagster does not do by itself for hundreds of declared tables."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import yaml


@contextmanager
def quick_loading() -> Iterator[None]:
    """While definitions load, YAML is parsed by libyaml, where it is there, and the garbage collector rests.

    Dagster's loader of declarations inherits from whatever is called `yaml.SafeLoader`: PyYAML's own takes half of the
    time that 500 tables need, libyaml gives the same nodes in a tenth of that. Nothing that loads is garbage.
    """
    slow, collects = yaml.SafeLoader, gc.isenabled()
    gc.disable()
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", slow)  # type: ignore[misc]
    try:
        yield
    finally:
        yaml.SafeLoader = slow  # type: ignore[misc]
        if collects:
            gc.enable()
