"""A cache of Hydra's compositions, one per process.

A composition takes a tenth of a second, nearly all of it to find and merge the files of the groups. The jobs of a
command differ in single values instead, above all ``node``. The result for the groups is therefore cached, and each job
gets a copy with its own values, set as Hydra sets them after composing.
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

# Words that set or add a single value: their key has a dot, or is one of these that :func:`_load` finds to be no group.
_VALUE = re.compile(r"\+{0,2}(?!hydra\.)(?:[a-z_]\w*(?:\.\w+)+|(?P<name>node|seed|runs_dir|cache_dir))=")
# Words that choose a file of a group. Others, such as deletions and dictionaries, depend on their order among values.
_CHOICE = re.compile(r"(?:[\w/@]+|hydra\.(?!searchpath)[\w.]+)=[^{]*")
_DEPTHS = ("*.yaml", "*/*.yaml", "*/*/*.yaml")  # of files in a configuration folder
_MOST = 64  # cached compositions; the jobs of a command need a few
_kept: dict[Hashable, DictConfig] = {}


@contextlib.contextmanager
def composed_once() -> Iterator[None]:
    """Cache compositions while active, and check each with :func:`refuse_strange_files` before Hydra acts on it."""
    load = ConfigLoaderImpl.load_configuration

    def kept(self: ConfigLoaderImpl, *arguments: Any, **options: Any) -> DictConfig:
        config = _load(self, load, *arguments, **options)
        refuse_strange_files(config)
        return config

    # Hydra has no hook between composing and instantiating: callbacks are created before any of them is called.
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
    """Return the result of Hydra's ``load_configuration`` for the same arguments."""
    values = [word for word in overrides if _is_value(word, loader)]
    groups = [word for word in overrides if word not in values]
    if any("hydra.searchpath" in word for word in overrides):  # :func:`_sources` does not know its files
        return load(loader, config_name, overrides, run_mode, **options)

    def composed(words: list[str]) -> DictConfig:
        key = (config_name, tuple(words), run_mode, repr(options), _sources(loader))
        if key not in _kept:
            if len(_kept) >= _MOST:
                _kept.clear()
            _kept[key] = load(loader, config_name, words, run_mode, **options)
        config = copy.deepcopy(_kept[key])
        config.hydra.runtime.cwd = os.getcwd()  # noqa: PTH109 - as Hydra does
        with open_dict(config.hydra):
            config.hydra.job.env_set.update({name: os.environ[name] for name in config.hydra.job.env_copy})
        return config

    parsed = [_parsed(word) for word in overrides]
    chosen = [own for own in parsed if own.input_line in values]
    if not all(map(_CHOICE.fullmatch, groups)) or any(own.is_sweep_override() for own in chosen):
        return composed(overrides)
    try:
        return _with_values(composed(groups), parsed, chosen)
    except Exception:  # Hydra then reports the error, for all overrides together
        return composed(overrides)


def _is_value(word: str, loader: ConfigLoaderImpl) -> bool:
    found = _VALUE.match(word)
    return found is not None and not (found["name"] and loader.repository.group_exists(found["name"]))


@functools.lru_cache(1024)
def _parsed(word: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([word])
    return override


def _with_values(config: DictConfig, words: Sequence[Override], values: Sequence[Override]) -> DictConfig:
    """Return a composition of groups with single values set, in the order of Hydra's own steps."""
    ConfigLoaderImpl._apply_overrides_to_config(list(values), config)
    own = [word for word in words if not word.is_hydra_override()]
    config.hydra.overrides.task = [word.input_line for word in own]
    how = config.hydra.job.config.override_dirname
    config.hydra.job.override_dirname = get_overrides_dirname(
        overrides=own, kv_sep=how.kv_sep, item_sep=how.item_sep, exclude_keys=how.exclude_keys
    )
    return config


def _sources(loader: ConfigLoaderImpl) -> Hashable:
    """Return the files of a composition with their modification times; the folder may be the user's own."""
    places = [(str(source.provider), str(source.path)) for source in loader.config_search_path.get_path()]
    paths = (path.removeprefix("file://") for _, path in places)
    folders = [Path(path) for path in paths if "://" not in path]  # others are packages or schemas from code
    changed = []
    for file in (file for folder in folders for depth in _DEPTHS for file in folder.glob(depth)):
        with contextlib.suppress(OSError):  # an editor's dangling link, or just deleted
            changed.append((str(file), file.stat().st_mtime_ns))
    return tuple(places), tuple(sorted(changed))
