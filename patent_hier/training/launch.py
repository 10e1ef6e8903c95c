"""Start the processes that train one node together, as torchrun does, and stop all of them when one fails.

Lightning would start them by running the whole command again for each device; inside a Hydra sweep, that would repeat
the sweep. Here ``torch.multiprocessing`` starts them with a single function. They find each other as they do under
torchrun, so the training code is the same in both cases.
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

    Only rank 0 prints. A process that fails writes its error to a file, because the traceback of a child process is not
    a message for users. Errors that follow the first one are its consequences and are ignored.

    Args:
        work: A function at the top level of a module, so that the processes can import it by name.
        size: Number of processes.
        folder: An existing folder for the error files.
        arguments: Arguments of ``work``, which must be picklable.

    Raises:
        Exception: The first error of any process, with its own class; the other processes are killed.
        ProcessError: If a process was killed from outside.
    """
    # This process hosts the store on a free port.
    store = dist.TCPStore(_HOST, 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]  # it is
    handed = (work, size, store.port, folder, arguments)
    started = start_processes(_enter, handed, nprocs=size, join=False, start_method="spawn")
    assert started is not None
    try:
        _wait(started.processes, folder)
    finally:
        for process in started.processes:
            process.kill()  # their unfinished work is lost anyway
        for process in started.processes:
            process.join()


def join_group(ranks: Ranks, on_gpu: bool, store: Any = None) -> None:
    """Join the process group, once: NCCL for tensors on GPUs, gloo for all others.

    Args:
        ranks: All processes, from the point of view of this one.
        on_gpu: Whether they train on GPUs.
        store: Store through which they find each other; None for the one named by the environment.
    """
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
        dist.init_process_group(backend, store=store or find_store(), rank=ranks.rank, world_size=ranks.size)


def find_store() -> Any:
    """Return the store of torchrun, or of :func:`launch`, named by this process's environment."""
    store, _, _ = next(rendezvous("env://"))
    return store


def _enter(
    rank: int, work: Callable[..., None], size: int, port: int, folder: Path, arguments: tuple[Any, ...]
) -> None:
    """Run ``work`` as one of the processes."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    place = {"MASTER_ADDR": _HOST, "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": True}
    os.environ.update({name: str(value) for name, value in {**own, **place}.items()})
    torch.set_num_threads(max(1, torch.get_num_threads() // size))  # the default is meant for a single process
    if rank:
        be_quiet()
    try:
        work(Ranks(rank, size, size), *arguments)
        if dist.is_initialized():
            dist.destroy_process_group()
    except KeyboardInterrupt:
        os._exit(1)  # the parent process gets the interrupt too and reports it
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit):
            error = ProcessError(f"process {rank} of {size} exited with status {error.code}; run again")
        _write_error(folder / f"error-{rank}.json", error)
        sys.stdout.flush()
        os._exit(1)  # immediately: a normal exit would wait for the other processes


def be_quiet() -> None:
    """Discard this process's standard output from now on, because only rank 0 prints."""
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # stays open until the process ends


def _wait(processes: list[BaseProcess], folder: Path) -> None:
    """Wait until all processes have ended successfully.

    Raises:
        Exception: The cause, as soon as one process fails.
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
    """Return the cause of a failure: a killed process if there is one, otherwise the earliest error."""
    for rank, process in enumerate(processes):
        code = process.exitcode or 0
        if code < 0 and code != -signal.SIGABRT:  # SIGABRT comes from the libraries themselves
            return ProcessError(
                f"process {rank} of {len(processes)} was killed by {signal.Signals(-code).name}; if memory ran out, "
                "lower trainer.batch_size or trainer.devices, and run again"
            )
    found = [read_json(file) for file in folder.glob("error-*.json")]
    if not found:
        return ProcessError(f"one of {len(processes)} processes ended without an error message; run again")
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
    """Return an error of the same class, or of a new class with the same name if the class is unknown here."""
    name = content["class"]
    known = getattr(errors, name, None) or getattr(builtins, name, None) or type(name, (Exception,), {})
    if issubclass(known, OSError) and content["file"] is not None:
        error: Exception = known(*content["arguments"], content["file"])
    elif issubclass(known, UnicodeError):  # its constructor takes other arguments
        error = ValueError(*content["arguments"])
    else:
        error = known(*content["arguments"])
    error.add_note(f"in another process:\n{content['traceback']}")
    return error
