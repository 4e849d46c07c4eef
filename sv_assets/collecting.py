"""How often Python looks for garbage in a process that loads definitions; imported before all that they need.

Python's own 700 allocations are meant for programs a hundredth of the size: a fifth of the time of loading went into
collections that found nothing.
"""

import gc

THRESHOLDS = (50_000, 20, 50)
gc.set_threshold(*THRESHOLDS)
