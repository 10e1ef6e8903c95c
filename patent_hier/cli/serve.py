"""``patent-hier serve``: a finished system over HTTP, with a page for examiners."""

import argparse
import contextlib
import gc
import ipaddress
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patent_hier.cli.overrides import parsed
from patent_hier.data.convert import CONVERSIONS
from patent_hier.errors import ConfigError, MissingExtraError
from patent_hier.inference.engines import ENGINES, PRECISIONS, Engine
from patent_hier.sanitize import one_line

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from patent_hier.inference.classifier import HierarchicalClassifier
    from patent_hier.web.feedback import FeedbackSettings

SERVE = """Serve a finished system: a page for examiners, and HTTP for programs (described by /openapi.json).

usage: patent-hier serve MODEL [options]

  MODEL               an exported model, or a result folder with its nodes beside it: runs/<model>/result-hier-...
  --port 8000         0 takes a free one
  --host 127.0.0.1    this machine only; another address reaches others, who must then ask by an --allow-host
  --allow-host NAME   a further name under which the service may be asked; may be repeated
  --cache-dir cache   where the corpus of MODEL is, for the similar known patents; without it they are left out
  --blocked FILE      places of the scheme that no answer may name, with reasons (CSV of code, reason, perhaps level),
                      in place of blocked.csv in MODEL's folder
  --titles FILE       titles of the labels (CSV of code, level, title); the default is those of data.label_text in
                      training
  --convert t2s       convert Traditional characters to Simplified ones before they are read; also tw2sp, hk2s
  --index-all         look for similar patents among more than 500,000 too; their index takes gigabytes to make
  --rate 50           requests a second from one address; 0 for no bound, as behind a proxy, whose address all have
  --engine torch      or onnx, or openvino: what computes networks; extras of the same names
  --precision fp32    or bf16 (torch and openvino), int8 (onnx and openvino). As in predict, an engine or a precision is
                      compared with PyTorch in fp32 first: on the calibration documents of MODEL, if their corpus is in
                      --cache-dir, else on --texts FILE, a table as for training or a TXT with a document a line
  --max-batch 64      texts that are scored together; 1 scores each request by itself
  --feedback FILE     take judgements of answers, and store them with their texts in this SQLite file, which is made if
                      there is none; several services of one machine may share it; see patent-hier feedback --help
  --feedback-token FILE
                      a file whose first line is a token of 16 or more characters; /feedback.csv gives the newest
                      judgement of each document or text to who sends it (Authorization: Bearer TOKEN), and without
                      this option to nobody. A download ends after 150 seconds; patent-hier feedback --export has no
                      such bound
  --feedback-limit 4096
                      MiB that the file of judgements may have; what comes then is refused (503) and not stored
  --open              open the page in a browser, where there is a screen

A request may have 256 KB, a text 20,000 characters, a batch 100 texts; 1,000,000 characters may wait. Texts are neither
stored nor logged, except those that somebody judges where --feedback is given. Behind a proxy that ends TLS and asks
who comes, it may be reached from elsewhere; by itself it asks nobody."""
OPTIONS: dict[str, Any] = {
    "host": "127.0.0.1", "port": 8000, "allow_host": [], "cache_dir": Path("cache"), "titles": Path, "blocked": Path,
    "index_all": False,
    "convert": (None, *CONVERSIONS), "rate": 50.0, "max_batch": 64, "open": False, "engine": tuple(ENGINES),
    "precision": tuple(PRECISIONS), "texts": Path, "feedback": Path, "feedback_token": Path,
    "feedback_limit": 4096,
}  # fmt: skip


def serve(words: Sequence[str]) -> None:
    """Load the system and serve it until it is interrupted.

    Raises:
        ConfigError: If an option cannot be used, the address is taken, or the extra ``web`` is missing.
        ArtifactError: If a file of MODEL is damaged or missing.
    """
    options = parsed(words, "model", **OPTIONS)
    serve_model(options.model, options)


def serve_model(model: str | Path, options: argparse.Namespace) -> None:
    """Serve a model with :data:`OPTIONS`; errors as in :func:`serve`."""
    uvicorn = require_web()
    from patent_hier.web.connection import PatientConnection

    hosts = _hosts(options)
    sock = _bind(options.host, options.port)
    app = _app(model, options, hosts, _feedback(options))
    port = sock.getsockname()[1]
    shown = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{shown}:{port}/"
    config = uvicorn.Config(
        app,
        http=PatientConnection,
        ws="none",
        log_level="error",  # a warning for each broken request would let anybody fill the log
        access_log=False,  # addresses of those who ask are nobody's business, and texts are none of ours
        server_header=False,
        proxy_headers=False,  # else anybody on this machine gets a rate for each address that he makes up
        limit_concurrency=512,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as service managers end it: like Ctrl-C
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again, unless the shell had it ignored
        print(f"serving {address} - Ctrl-C ends it", flush=True)
        if options.open:
            _open_browser(address)
        uvicorn.Server(config).run(sockets=[sock])
    print("ended", flush=True)


def _open_browser(address: str) -> None:
    """Open the page where there is a screen; elsewhere a browser in the terminal would take it over."""
    if sys.platform == "darwin" or os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}:
        import webbrowser

        webbrowser.open(address)


def _feedback(options: argparse.Namespace) -> "FeedbackSettings | None":
    """Where judgements go, opened before the model is loaded, so that what is wrong is told at once."""
    from patent_hier.data.feedback import FeedbackStore
    from patent_hier.web.feedback import FeedbackSettings, read_token

    if options.feedback is None:
        if options.feedback_token is not None:
            raise ConfigError(
                "--feedback-token opens nothing by itself; name the file of judgements too: --feedback FILE"
            )
        return None
    if options.feedback_limit < 1:
        raise ConfigError(f"--feedback-limit {options.feedback_limit} is out of range; give MiB, 1 or more")
    token = None if options.feedback_token is None else read_token(options.feedback_token)
    for path in filter(None, (options.feedback_token, options.feedback)):
        if path.exists() and path.stat().st_mode & 0o077 and os.name == "posix":
            print(one_line(f"warning: other users may open {path}; keep them out: chmod 600 {path}"), flush=True)
    store = FeedbackStore.open(options.feedback, create=True, limit=options.feedback_limit << 20)
    print(one_line(f"judgements of answers are stored with their texts: {options.feedback}"), flush=True)
    return FeedbackSettings(store, token)


def _app(
    model: str | Path, options: argparse.Namespace, hosts: tuple[str, ...], feedback: "FeedbackSettings | None"
) -> "ASGIApp":
    from patent_hier.inference.classifier import HierarchicalClassifier
    from patent_hier.inference.triage import Triage
    from patent_hier.pipeline.known_patents import find_known_patents
    from patent_hier.web.app import create_app
    from patent_hier.web.guard import ServiceSettings

    engine = Engine(options.engine, options.precision)
    classifier = HierarchicalClassifier.from_pretrained(
        model, titles=options.titles, convert=options.convert, blocked=options.blocked
    )
    if classifier.blocked:
        print(f"note: {classifier.blocked.note()}", flush=True)
    if not engine.is_plain:
        classifier = classifier.moved(engine, _compared(classifier, engine, options), options.cache_dir)
        print(f"{engine}: {classifier.agreement}", flush=True)
    (answer,) = classifier.predict(["一种装置"])  # the first question need not wait for what is made once
    with contextlib.suppress(ConfigError):  # no captum
        classifier.explain("一种装置", answer.paths[0].label, answer.paths[0].level)
    data = classifier.facts.get("data") or {}
    known = find_known_patents(data, options.cache_dir, even_many=options.index_all)
    settings = ServiceSettings()
    settings = replace(settings, rate=options.rate, max_batch=options.max_batch, hosts=hosts)
    triage = Triage.fit(classifier)  # to the stored predictions: no text is scored before the first question
    app = create_app(classifier, settings, known, feedback, triage)
    gc.collect()
    gc.freeze()  # or the collector walks through all that was loaded again and again, and all wait meanwhile
    gc.collect()  # now it counts what is new only, and collects that before it has grown
    sys.setswitchinterval(0.001)  # seconds; or whoever scores holds up whoever answers five times as long
    return app


def _compared(classifier: "HierarchicalClassifier", engine: Engine, options: argparse.Namespace) -> list[str]:
    """The documents on which an engine is compared with PyTorch before it answers.

    Raises:
        ConfigError: If there are none.
    """
    from patent_hier.data.incoming import IncomingFiles
    from patent_hier.inference.files import first_documents
    from patent_hier.pipeline.known_patents import calibration_texts

    if options.texts is not None:
        return first_documents(IncomingFiles(options.texts, classifier.system.raw))
    if not (texts := calibration_texts(classifier.facts.get("data") or {}, options.cache_dir)):
        raise ConfigError(
            f"{engine.options} is compared with fp32 first, but {options.cache_dir} has no calibration documents of "
            f"{classifier.system.name}; name the cache of its training (--cache-dir), or a file of texts (--texts)"
        )
    return texts


def _hosts(options: argparse.Namespace) -> tuple[str, ...]:
    from patent_hier.web.guard import ServiceSettings

    if options.rate < 0 or options.max_batch < 1:
        raise ConfigError(f"--rate {options.rate:g} or --max-batch {options.max_batch} is out of range; see --help")
    if not _is_loopback(options.host) and not options.allow_host:
        raise ConfigError(
            f"--host {options.host} reaches other machines; name what they call this one: --allow-host NAME"
        )
    return (*ServiceSettings().hosts, *(name.lower() for name in options.allow_host))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bind(host: str, port: int) -> socket.socket:
    """A socket before the model is loaded, so that a taken address is told at once."""
    if not 0 <= port < 1 << 16:
        raise ConfigError(f"--port {port} is out of range; give 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(256)
    except OSError as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"cannot serve on {host} port {port}: {reason}; choose another --port or --host") from error
    return sock


def require_web() -> Any:
    """Return uvicorn.

    Raises:
        MissingExtraError: If a package of the extra ``web`` is not installed.
    """
    try:
        import fastapi  # noqa: F401 - asked for before the model is loaded
        import prometheus_client  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingExtraError(f"{error.name}, which the service needs,", "web") from error
    return uvicorn
