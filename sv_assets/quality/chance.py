"""How likely something is by chance alone: so that checks cry out at what cannot be one."""

import math


def at_least(successes: int, trials: int, share: float) -> float:
    """A bound of the chance that of `trials` at least as many succeed, where each does with the chance `share`.

    By Chernoff: exp(-trials * KL(successes/trials ‖ share)), which the true chance never exceeds.
    """
    if trials <= 0 or successes <= share * trials:
        return 1.0
    share = min(max(share, 1e-9), 1 - 1e-9)
    seen = successes / trials
    divergence = seen * math.log(seen / share)
    if seen < 1:
        divergence += (1 - seen) * math.log((1 - seen) / (1 - share))
    return math.exp(-trials * divergence)
