"""The learning rate over a run."""

from patent_hier.settings import OptimizerSettings


def schedule_factor(settings: OptimizerSettings, done: float) -> float:
    """Factor on the learning rate: linear warm-up, then constant or a linear fall to 0.

    Args:
        settings: ``warmup`` (a fraction of the run) and ``schedule``.
        done: Share of the run that lies behind, 0 to 1 (steps or time).
    """
    if done < settings.warmup:
        return max(done / settings.warmup, 1e-3)  # the first step moves too
    if settings.schedule == "constant":
        return 1.0
    return max(0.0, (1 - done) / max(1e-9, 1 - settings.warmup))
