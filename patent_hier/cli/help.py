"""``run.py --help``. Hydra's own would copy the whole configuration once for each group, half a second in all."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from patent_hier.cli import schema

_TEXT = """Hierarchical classification of Chinese patents into the IPC.

usage: python run.py [-m] [group=choice ...] [group.key=value ...]

  python run.py model=bertcnn level=hier                       the paper's nine models on the demo corpus
  python run.py level=hier data=cnipa data.path=FILE.csv encoder=bert_base_chinese experiment=paper
  python run.py -m level=node node=D model.num_last_layers=1,2,3,4,5,6

Levels: section (L1), class (the eight L2), hier (both, then the aggregated result), node (one, with node=root or a
label such as A or A01), flat (all classes at once), shared (one network for every level). Finished nodes are skipped;
delete their folder to train again.
Show a configuration without running it: --cfg job. Traceback of an error: PATENT_HIER_DEBUG=1.

Groups and choices
{groups}

Settings as they stand
{settings}"""


def help_text(overrides: Sequence[str]) -> str:
    """What ``--help`` prints.

    Args:
        overrides: Overrides beside ``--help``; the settings are shown as they change them.

    Raises:
        HydraException: If an override is unknown.
    """
    folder = schema.config_folder()
    with initialize_config_dir(version_base="1.3", config_dir=folder):
        config = compose("config", overrides=list(overrides))
    groups = (f"{group}: {', '.join(choices)}" for group, choices in group_choices(Path(folder)).items())
    return _TEXT.format(groups="\n".join(groups), settings=OmegaConf.to_yaml(config).rstrip())


def group_choices(folder: Path) -> dict[str, list[str]]:
    """Every group of a configuration folder with its choices, both sorted."""
    groups = sorted(path for path in (*folder.iterdir(), folder / "hydra" / "launcher") if any(path.glob("*.yaml")))
    return {str(group.relative_to(folder)): sorted(file.stem for file in group.glob("*.yaml")) for group in groups}
