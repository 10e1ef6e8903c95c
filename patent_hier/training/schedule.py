"""The learning rate over the course of a run."""

from patent_hier.settings import OptimizerSettings


def schedule_factor(settings: OptimizerSettings, done: float) -> float:
    """Return the factor on the learning rate: linear warm-up, then constant or a linear decay to 0.

    Args:
        settings: Optimizer settings; ``warmup`` (a fraction of the run) and ``schedule`` are used.
        done: Share of the run that is done, 0 to 1 (by steps or time).
    """
    if done < settings.warmup:
        return max(done / settings.warmup, 1e-3)  # the first step must not have a rate of 0
    if settings.schedule == "constant":
        return 1.0
    return max(0.0, (1 - done) / max(1e-9, 1 - settings.warmup))
