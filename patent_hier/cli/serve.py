"""``patent-hier serve``: a trained system over HTTP, with a web page for examiners."""

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

SERVE = """Serve a trained system: a web page for examiners, and an HTTP API for programs (described by /openapi.json).

usage: patent-hier serve MODEL [options]

  patent-hier serve runs/ensemble/result-flat-... --open
  patent-hier serve model_folder --port 8080 --feedback judgements.sqlite

  MODEL               an exported model, or a result folder with its nodes next to it: runs/<model>/result-hier-...
  --open              open the page in a browser, if there is a screen

Answers
  --cache-dir cache   where MODEL's corpus is, for similar known patents; without the corpus they are left out
  --index-all         search for similar patents even among more than 500,000; building their index takes gigabytes
  --blocked FILE      IPC symbols that no answer may name, with reasons (CSV of code, reason and optionally level);
                      replaces blocked.csv in MODEL's folder
  --titles FILE       titles of the labels (CSV of code, level, title); default: those of data.label_text in training
  --convert t2s       convert Traditional to Simplified characters before reading; also tw2sp, hk2s

Access
  --host 127.0.0.1    address to serve on; the default is reachable from this machine only. Any other address needs
                      --allow-host
  --allow-host NAME   a further host name under which clients may reach the service; may be repeated
  --port 8000         port to serve on; 0 chooses a free one
  --rate 50           requests per second from one address; 0 for no limit, as behind a proxy, from which all requests
                      seem to come

Speed
  --engine torch      what runs the networks: torch, onnx or openvino; the last two need the extra of the same name
  --precision fp32    or bf16 (torch, openvino) or int8 (onnx, openvino). As in predict, an engine or a precision is
                      first compared with PyTorch in fp32: on MODEL's calibration documents if their corpus is in
                      --cache-dir, else on --texts FILE, a table as for training or a TXT with one document per line
  --max-batch 64      texts scored together; 1 scores each request separately

Judgements
  --feedback FILE     accept judgements of answers and store them with their texts in this SQLite file, which is created
                      if needed; several services on one machine can share it; see patent-hier feedback --help
  --feedback-token FILE
                      a file whose first line is a token of 16 or more characters. /feedback.csv returns the newest
                      judgement of each document or text to clients that send the token (Authorization: Bearer TOKEN);
                      without this option, to nobody. A download ends after 150 seconds; patent-hier feedback --export
                      has no such limit
  --feedback-limit 4096
                      maximum size of the file of judgements in MiB; further judgements are refused (503) and not stored

A request may have 256 KB, a text 20,000 characters, a batch 100 texts; up to 1,000,000 characters may wait. Texts are
neither stored nor logged, except those that users judge with --feedback. The service does not authenticate users:
before exposing it to a network, put a reverse proxy in front of it that terminates TLS and authenticates users."""
OPTIONS: dict[str, Any] = {
    "host": "127.0.0.1", "port": 8000, "allow_host": [], "cache_dir": Path("cache"), "titles": Path, "blocked": Path,
    "index_all": False,
    "convert": (None, *CONVERSIONS), "rate": 50.0, "max_batch": 64, "open": False, "engine": tuple(ENGINES),
    "precision": tuple(PRECISIONS), "texts": Path, "feedback": Path, "feedback_token": Path,
    "feedback_limit": 4096,
}  # fmt: skip


def serve(words: Sequence[str]) -> None:
    """Load the system and serve it until interrupted.

    Raises:
        ConfigError: If an option is invalid, the address is in use, or the extra ``web`` is missing.
        ArtifactError: If a file of MODEL is damaged or missing.
    """
    options = parsed(words, "model", **OPTIONS)
    serve_model(options.model, options)


def serve_model(model: str | Path, options: argparse.Namespace) -> None:
    """Serve a model with the parsed :data:`OPTIONS`; errors as in :func:`serve`."""
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
        log_config=None,  # uvicorn's own would close the log handlers that other libraries have set up
        log_level="error",  # a warning for each invalid request would let anybody fill the log
        access_log=False,  # client addresses and texts must not be logged
        server_header=False,
        proxy_headers=False,  # otherwise local users could evade the rate limit with invented addresses
        limit_concurrency=512,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # sent by service managers; handled like Ctrl-C
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again, unless the shell ignores it
        print(f"serving {address} - press Ctrl-C to stop", flush=True)
        if options.open:
            _open_browser(address)
        uvicorn.Server(config).run(sockets=[sock])
    print("stopped", flush=True)


def _open_browser(address: str) -> None:
    """Open the page if there is a screen; otherwise a text browser could take over the terminal."""
    if sys.platform == "darwin" or os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}:
        import webbrowser

        webbrowser.open(address)


def _feedback(options: argparse.Namespace) -> "FeedbackSettings | None":
    """Open the file of judgements, before the model is loaded, so that errors are reported at once."""
    from patent_hier.data.feedback import FeedbackStore
    from patent_hier.web.feedback import FeedbackSettings, read_token

    if options.feedback is None:
        if options.feedback_token is not None:
            raise ConfigError("--feedback-token has no effect without a file of judgements; add --feedback FILE")
        return None
    if options.feedback_limit < 1:
        raise ConfigError(f"--feedback-limit {options.feedback_limit} is out of range; use 1 MiB or more")
    token = None if options.feedback_token is None else read_token(options.feedback_token)
    for path in filter(None, (options.feedback_token, options.feedback)):
        if path.exists() and path.stat().st_mode & 0o077 and os.name == "posix":
            print(one_line(f"warning: other users can read {path}; restrict access with: chmod 600 {path}"), flush=True)
    store = FeedbackStore.open(options.feedback, create=True, limit=options.feedback_limit << 20)
    print(one_line(f"judgements are stored with their texts in {options.feedback}"), flush=True)
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
    (answer,) = classifier.predict(["一种装置"])  # one-time work is done before the first request
    with contextlib.suppress(ConfigError):  # captum is not installed
        classifier.explain("一种装置", answer.paths[0].label, answer.paths[0].level)
    data = classifier.facts.get("data") or {}
    known = find_known_patents(data, options.cache_dir, even_many=options.index_all)
    settings = ServiceSettings()
    settings = replace(settings, rate=options.rate, max_batch=options.max_batch, hosts=hosts)
    triage = Triage.fit(classifier)  # on stored predictions, so that no text is scored at startup
    app = create_app(classifier, settings, known, feedback, triage)
    gc.collect()
    gc.freeze()  # otherwise the collector scans all loaded objects repeatedly and delays every request
    gc.collect()  # from now on it counts only new objects and collects them early
    sys.setswitchinterval(0.001)  # seconds; with the default, scoring delays answers five times as long
    return app


def _compared(classifier: "HierarchicalClassifier", engine: Engine, options: argparse.Namespace) -> list[str]:
    """Return the documents on which an engine is compared with PyTorch before it answers.

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
            f"{classifier.system.name}; name the cache of its training (--cache-dir) or a file of texts (--texts)"
        )
    return texts


def _hosts(options: argparse.Namespace) -> tuple[str, ...]:
    from patent_hier.web.guard import ServiceSettings

    if options.rate < 0 or options.max_batch < 1:
        raise ConfigError(f"--rate {options.rate:g} or --max-batch {options.max_batch} is out of range; see --help")
    if not _is_loopback(options.host) and not options.allow_host:
        raise ConfigError(
            f"--host {options.host} is reachable from other machines; name this machine with --allow-host NAME"
        )
    return (*ServiceSettings().hosts, *(name.lower() for name in options.allow_host))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bind(host: str, port: int) -> socket.socket:
    """Return a bound socket, before the model is loaded, so that an address in use is reported at once."""
    if not 0 <= port < 1 << 16:
        raise ConfigError(f"--port {port} is out of range; use 0 to 65535")
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
    """Return the module uvicorn.

    Raises:
        MissingExtraError: If a package of the extra ``web`` is not installed.
    """
    try:
        import fastapi  # noqa: F401 - checked before the model is loaded
        import prometheus_client  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingExtraError(f"{error.name}, which the service needs,", "web") from error
    return uvicorn
