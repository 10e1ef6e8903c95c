import pytest

from patent_hier.bench.architecture import SIZES, Architecture
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.planning.machines import GPUS
from patent_hier.planning.records import Record, find_records, read_figures
from tests.planning.records import ALL, SCORES, STAGES, STEPS, speed_row, stage_row, write_record

BERT = Architecture(768, 12, 12, 3072, 21128)


def test_each_figure_is_of_the_newest_record_that_has_it(tmp_path):
    old = write_record(tmp_path / "old", ALL, "2026-01-01")
    new = write_record(tmp_path / "new", [stage_row("prepare", 70_000.0)], "2026-02-01")
    figures = read_figures(find_records([old, new / "bench.json"], tmp_path), BERT)
    assert figures.stages["prepare"].rate == 70_000
    assert (figures.stages["encode"].rate, figures.stages["encode"].rows) == (100_000, 2_770_000)
    assert [source.split(" ")[0] for source in figures.sources] == [str(new), str(old)]
    assert figures.utilisation is None


def test_speed_is_of_the_network_closest_in_size(tmp_path):
    records = [Record.read(write_record(tmp_path / "all", ALL))]
    assert read_figures(records, BERT).training.flops == 1.5 * 3 * SIZES["base"].forward_flops(190, 190**2)
    small = read_figures(records, Architecture(128, 4, 2, 512, 8192))
    assert small.scoring.flops == 500 * SIZES["demo"].forward_flops(190, 190**2)
    assert small.training.tokens == 190


def test_a_record_of_a_card_gives_the_utilisation(tmp_path):
    name = "NVIDIA H100 80GB HBM3"
    step = speed_row(STEPS[0]["work"], 4000.0, device="cuda", device_name=name, precision="bf16-mixed")
    share, gpu = read_figures([Record.read(write_record(tmp_path / "h", [step, *STAGES, *SCORES]))], BERT).utilisation
    assert gpu is GPUS["H100"]
    assert share == pytest.approx(4000 * 3 * SIZES["base"].forward_flops(190, 190**2) / 989e12)


@pytest.mark.parametrize(
    ("rows", "command"),
    [
        ([*STAGES[1:], *STEPS, *SCORES], "--rows scale --size full"),
        ([*STAGES, *SCORES], "--rows training"),
        ([*STAGES, *STEPS], "--rows scoring"),
    ],
)
def test_what_no_record_has_is_named_with_its_command(tmp_path, rows, command):
    with pytest.raises(ConfigError, match=f"no record of the bench has .*patent-hier bench {command}"):
        read_figures([Record.read(write_record(tmp_path / "r", rows))], BERT)


def test_a_folder_without_a_record_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=str(tmp_path)):
        find_records([tmp_path], tmp_path)
    folder = write_record(tmp_path / "r", [])
    (folder / "manifest.json").write_text("{}", "utf-8")
    with pytest.raises(ArtifactError, match="no record of the bench"):
        Record.read(folder)
