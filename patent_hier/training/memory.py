"""Handle running out of memory: try again with less, or name the setting that needs less."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from patent_hier.errors import MemoryShortageError

_MESSAGES = ("DefaultCPUAllocator: ", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
Made = TypeVar("Made")


@contextmanager
def memory_advice(advice: str) -> Iterator[None]:
    """Turn the errors of allocators into one line.

    Args:
        advice: What to do.

    Raises:
        MemoryShortageError: If memory ran out, of a GPU or of the machine.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        is_known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not is_known and not any(text in str(error) for text in _MESSAGES):
            raise
        raise MemoryShortageError(f"memory ran out; {advice}") from error


def with_less_memory(make: Callable[[int], Made], passes: int, most: int, say: Callable[[str], None]) -> Made:
    """Try with more and more passes until memory suffices, each time from the beginning.

    Args:
        make: Makes the result in so many passes.
        passes: How many to begin with.
        most: More than these need no less memory.
        say: Told of each new beginning.

    Raises:
        MemoryShortageError: If the most passes need too much memory.
    """
    while True:
        try:
            return make(passes)
        except MemoryShortageError:
            if passes >= most:
                raise
        # Here, not above: the error holds all that was allocated.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        passes = min(2 * passes, most)
        say(f"memory ran out: begun again with trainer.accumulate={passes}, which gives the same result")
