"""Start the processes that train one node together, as torchrun would, and end all of them when one fails.

Lightning would start them by running the command again, once for each device: inside a sweep of Hydra that repeats the
whole sweep. Here they are started with one function, by ``torch.multiprocessing``, and find each other as under
torchrun, so that training need not know which of the two has started it.
"""

import builtins
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous
from torch.multiprocessing.spawn import start_processes

from patent_hier import errors
from patent_hier.atomic import read_json, write_json
from patent_hier.errors import ProcessError
from patent_hier.training.ranks import Ranks

_HOST = "127.0.0.1"


def launch(work: Callable[..., None], size: int, folder: Path, *arguments: Any) -> None:
    """Call ``work(ranks, *arguments)`` in several processes of this machine, and wait for all of them.

    Only rank 0 prints. A process that fails leaves its error in a file, for the traceback of another process is no line
    for users; whoever fails later fails because of the first.

    Args:
        work: A function of a module; it is found there by its name.
        size: Number of processes.
        folder: An existing folder for files of errors.
        arguments: What pickle can hand over.

    Raises:
        Exception: The first error of any process, of its own class; the others are killed.
        ProcessError: If a process was killed from outside.
    """
    # This process's own, at a port that is free.
    store = dist.TCPStore(_HOST, 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]  # it is
    handed = (work, size, store.port, folder, arguments)
    started = start_processes(_enter, handed, nprocs=size, join=False, start_method="spawn")
    assert started is not None
    try:
        _wait(started.processes, folder)
    finally:
        for process in started.processes:
            process.kill()  # what they have made so far is lost anyway
        for process in started.processes:
            process.join()


def join_group(ranks: Ranks, on_gpu: bool, store: Any = None) -> None:
    """Enter the process group, once: NCCL for tensors on GPUs, gloo for all others.

    Args:
        ranks: All processes, seen from this one.
        on_gpu: Whether they train on GPUs.
        store: Where they find each other; None for the one that the environment names.
    """
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
        dist.init_process_group(backend, store=store or find_store(), rank=ranks.rank, world_size=ranks.size)


def find_store() -> Any:
    """The store of torchrun, or of :func:`launch`, that this process's environment names."""
    store, _, _ = next(rendezvous("env://"))
    return store


def _enter(
    rank: int, work: Callable[..., None], size: int, port: int, folder: Path, arguments: tuple[Any, ...]
) -> None:
    """Be one of the processes."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    place = {"MASTER_ADDR": _HOST, "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": True}
    os.environ.update({name: str(value) for name, value in {**own, **place}.items()})
    torch.set_num_threads(max(1, torch.get_num_threads() // size))  # each has the default, which is meant for one
    if rank:
        be_quiet()
    try:
        work(Ranks(rank, size, size), *arguments)
        if dist.is_initialized():
            dist.destroy_process_group()
    except KeyboardInterrupt:
        os._exit(1)  # the process that launched this one has it too, and says so
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit):
            error = ProcessError(f"process {rank} of {size} ended itself with status {error.code}; run again")
        _write_error(folder / f"error-{rank}.json", error)
        sys.stdout.flush()
        os._exit(1)  # at once: an orderly end would wait for the other processes


def be_quiet() -> None:
    """Print nothing on standard output from now on: rank 0 does."""
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # as long as the process


def _wait(processes: list[BaseProcess], folder: Path) -> None:
    """Return when all have ended well.

    Raises:
        Exception: The cause, as soon as one has not.
    """
    running = {process.sentinel: process for process in processes}
    while running:
        ready = connection.wait(list(running))
        ended = [process for sentinel, process in running.items() if sentinel in ready]
        running = {sentinel: process for sentinel, process in running.items() if sentinel not in ready}
        for process in ended:
            process.join()
        if any(process.exitcode for process in ended):
            raise _cause(processes, folder)


def _cause(processes: list[BaseProcess], folder: Path) -> Exception:
    """Why the first failed: a killed process is the reason of all errors; else the earliest error is."""
    for rank, process in enumerate(processes):
        code = process.exitcode or 0
        if code < 0 and code != -signal.SIGABRT:  # which the libraries use themselves
            return ProcessError(
                f"process {rank} of {len(processes)} was ended by {signal.Signals(-code).name}; if memory ran out, "
                "lower trainer.batch_size or trainer.devices, and run again"
            )
    found = [read_json(file) for file in folder.glob("error-*.json")]
    if not found:
        return ProcessError(f"one of {len(processes)} processes ended without saying why; run again")
    return _read_error(min(found, key=lambda content: content["time"]))


def _write_error(file: Path, error: Exception) -> None:
    arguments = error.args if isinstance(error, OSError) and len(error.args) == 2 else (str(error),)
    content = {
        "time": time.time(),
        "class": type(error).__name__,
        "arguments": list(arguments),
        "file": getattr(error, "filename", None),
        "traceback": traceback.format_exc(),
    }
    write_json(file, {**content, "file": None if content["file"] is None else str(content["file"])})


def _read_error(content: dict[str, Any]) -> Exception:
    """An error of the same class, or where that is no one's that we know, of one of the same name."""
    name = content["class"]
    known = getattr(errors, name, None) or getattr(builtins, name, None) or type(name, (Exception,), {})
    if issubclass(known, OSError) and content["file"] is not None:
        error: Exception = known(*content["arguments"], content["file"])
    elif issubclass(known, UnicodeError):  # it takes other arguments
        error = ValueError(*content["arguments"])
    else:
        error = known(*content["arguments"])
    error.add_note(f"in another process:\n{content['traceback']}")
    return error
