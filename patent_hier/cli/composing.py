"""Hydra's compositions, each made once in a process.

A composition takes a tenth of a second, nearly all of it for groups: which files there are, and how they lie upon each
other. The jobs of a command differ in single values instead, ``node`` above all. So what the groups give is kept, and
each job gets a copy with its values, set as Hydra sets them after composing.
"""

import contextlib
import copy
import functools
import os
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from patent_hier.cli.targets import refuse_strange_files

# Words that set or add a single value: with a dot in their key, or of these, which :func:`_load` looks up.
_VALUE = re.compile(r"\+{0,2}(?!hydra\.)(?:[a-z_]\w*(?:\.\w+)+|(?P<name>node|seed|runs_dir|cache_dir))=")
# Words that choose a file of a group. Others, such as deletions and dictionaries, depend on their place among values.
_CHOICE = re.compile(r"(?:[\w/@]+|hydra\.(?!searchpath)[\w.]+)=[^{]*")
_DEPTHS = ("*.yaml", "*/*.yaml", "*/*/*.yaml")  # of files below a folder of configurations
_MOST = 64  # compositions kept; the jobs of a command need a few
_kept: dict[Hashable, DictConfig] = {}


@contextlib.contextmanager
def composed_once() -> Iterator[None]:
    """Keep compositions meanwhile, and refuse what :func:`refuse_strange_files` refuses, before Hydra acts on it."""
    load = ConfigLoaderImpl.load_configuration

    def kept(self: ConfigLoaderImpl, *arguments: Any, **options: Any) -> DictConfig:
        config = _load(self, load, *arguments, **options)
        refuse_strange_files(config)
        return config

    # Hydra has no hook between composing and making: its callbacks are made before any of them is asked.
    ConfigLoaderImpl.load_configuration = kept  # type: ignore[method-assign]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_configuration = load  # type: ignore[method-assign]


def _load(
    loader: ConfigLoaderImpl,
    load: Callable[..., DictConfig],
    config_name: str | None,
    overrides: list[str],
    run_mode: RunMode,
    **options: Any,
) -> DictConfig:
    """The same result as Hydra's ``load_configuration``, whose arguments these are."""
    values = [word for word in overrides if _is_value(word, loader)]
    groups = [word for word in overrides if word not in values]
    if any("hydra.searchpath" in word for word in overrides):  # files that :func:`_sources` does not know
        return load(loader, config_name, overrides, run_mode, **options)

    def composed(words: list[str]) -> DictConfig:
        key = (config_name, tuple(words), run_mode, repr(options), _sources(loader))
        if key not in _kept:
            if len(_kept) >= _MOST:
                _kept.clear()
            _kept[key] = load(loader, config_name, words, run_mode, **options)
        config = copy.deepcopy(_kept[key])
        config.hydra.runtime.cwd = os.getcwd()  # noqa: PTH109 - as Hydra writes it
        with open_dict(config.hydra):
            config.hydra.job.env_set.update({name: os.environ[name] for name in config.hydra.job.env_copy})
        return config

    parsed = [_parsed(word) for word in overrides]
    chosen = [own for own in parsed if own.input_line in values]
    if not all(map(_CHOICE.fullmatch, groups)) or any(own.is_sweep_override() for own in chosen):
        return composed(overrides)
    try:
        return _with_values(composed(groups), parsed, chosen)
    except Exception:  # whatever it was, Hydra says it in its own words, of all overrides together
        return composed(overrides)


def _is_value(word: str, loader: ConfigLoaderImpl) -> bool:
    found = _VALUE.match(word)
    return found is not None and not (found["name"] and loader.repository.group_exists(found["name"]))


@functools.lru_cache(1024)
def _parsed(word: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([word])
    return override


def _with_values(config: DictConfig, words: Sequence[Override], values: Sequence[Override]) -> DictConfig:
    """A composition of groups with single values, in the order of Hydra's own steps."""
    ConfigLoaderImpl._apply_overrides_to_config(list(values), config)
    own = [word for word in words if not word.is_hydra_override()]
    config.hydra.overrides.task = [word.input_line for word in own]
    how = config.hydra.job.config.override_dirname
    config.hydra.job.override_dirname = get_overrides_dirname(
        overrides=own, kv_sep=how.kv_sep, item_sep=how.item_sep, exclude_keys=how.exclude_keys
    )
    return config


def _sources(loader: ConfigLoaderImpl) -> Hashable:
    """Where the files of a composition lie, and when each of them was changed: the folder may be the user's own."""
    places = [(str(source.provider), str(source.path)) for source in loader.config_search_path.get_path()]
    paths = (path.removeprefix("file://") for _, path in places)
    folders = [Path(path) for path in paths if "://" not in path]  # others are packages, or made by programs
    changed = []
    for file in (file for folder in folders for depth in _DEPTHS for file in folder.glob(depth)):
        with contextlib.suppress(OSError):  # a link of an editor that leads nowhere, or deleted just now
            changed.append((str(file), file.stat().st_mtime_ns))
    return tuple(places), tuple(sorted(changed))
