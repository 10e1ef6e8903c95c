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
    """Turn the errors of memory allocators into a one-line message.

    Args:
        advice: Advice for the user, added to the message.

    Raises:
        MemoryShortageError: If the memory of a GPU or of the machine ran out.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        is_known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not is_known and not any(text in str(error) for text in _MESSAGES):
            raise
        raise MemoryShortageError(f"memory ran out; {advice}") from error


def with_less_memory(make: Callable[[int], Made], passes: int, most: int, say: Callable[[str], None]) -> Made:
    """Call ``make`` with more and more passes until the memory suffices, each time from the start.

    Args:
        make: Computes the result in the given number of passes.
        passes: Number of passes to start with.
        most: Number of passes above which no more memory is saved.
        say: Called with a message before each new attempt.

    Raises:
        MemoryShortageError: If even ``most`` passes need too much memory.
    """
    while True:
        try:
            return make(passes)
        except MemoryShortageError:
            if passes >= most:
                raise
        # Outside the except block, because the error holds references to all allocated memory.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        passes = min(2 * passes, most)
        say(f"memory ran out; restarting with trainer.accumulate={passes}, which gives the same result")
