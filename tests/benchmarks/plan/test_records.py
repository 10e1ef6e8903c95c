import pytest

from benchmarks.architecture import SIZES, Architecture
from benchmarks.plan.machines import H100, pack
from benchmarks.plan.records import Record, find_records, read_figures
from patent_hier.errors import ArtifactError, ConfigError
from tests.benchmarks.plan.records import ALL, SCORES, STAGES, STEPS, speed_row, stage_row, write_record

BERT = Architecture(768, 12, 12, 3072, 21128)


def test_each_figure_is_of_the_newest_record_that_has_it(tmp_path):
    old = write_record(tmp_path / "old", ALL, "2026-01-01")
    new = write_record(tmp_path / "new", [stage_row("prepare", 70_000.0)], "2026-02-01")
    figures = read_figures(find_records([old, new / "bench.json"], tmp_path), BERT)
    assert figures.stages["prepare"]["per_second"] == 70_000
    assert (figures.stages["encode"]["per_second"], figures.stages["encode"]["rows"]) == (100_000, 2_770_000)
    assert [source.split(" ")[0] for source in figures.sources] == [str(new), str(old)]
    assert figures.utilisation is None


def test_recorded_runs_of_the_checkout_are_found(tmp_path):
    figures = read_figures(find_records([], tmp_path), BERT)
    assert figures.stages["loader"]["rows"] == 2_770_000
    assert min(figures.training.flops, figures.scoring.flops) > 1e11  # training in bf16, scoring in fp32


def test_speed_is_of_the_network_closest_in_size(tmp_path):
    records = [Record.read(write_record(tmp_path / "all", ALL))]
    assert read_figures(records, BERT).training.flops == 1.5 * 3 * SIZES["base"].forward_flops(190, 190**2)
    small = read_figures(records, Architecture(128, 4, 2, 512, 8192))
    assert small.scoring.flops == 500 * SIZES["demo"].forward_flops(190, 190**2)


def test_a_record_of_a_card_gives_the_utilisation(tmp_path):
    name = "NVIDIA H100 80GB HBM3"
    step = speed_row(STEPS[0]["work"], 4000.0, device="cuda", device_name=name, precision="bf16-mixed")
    share, gpu = read_figures([Record.read(write_record(tmp_path / "h", [step, *STAGES, *SCORES]))], BERT).utilisation
    assert gpu is H100
    assert share == pytest.approx(4000 * 3 * SIZES["base"].forward_flops(190, 190**2) / 989e12)


@pytest.mark.parametrize(
    ("rows", "command"),
    [
        ([*STAGES[1:], *STEPS, *SCORES], "SIZE=full ARGS='--rows scale'"),
        ([*STAGES, *SCORES], "ARGS='--rows training'"),
        ([*STAGES, *STEPS], "ARGS='--rows scoring'"),
    ],
)
def test_what_no_record_has_is_named_with_its_command(tmp_path, rows, command):
    with pytest.raises(ConfigError, match=f"no bench record has .*make bench {command}"):
        read_figures([Record.read(write_record(tmp_path / "r", rows))], BERT)


def test_a_folder_without_a_record_is_refused(tmp_path):
    folder = write_record(tmp_path / "r", [])
    (folder / "manifest.json").write_text("{}", "utf-8")
    with pytest.raises(ArtifactError, match="no bench record"):
        find_records([folder], tmp_path)


def test_the_longest_node_is_dealt_out_first():
    assert pack([2, 3, 4, 5, 6], 2) == 11  # 6+3+2 and 5+4, where the best order has 10: Graham's bound is 4/3
    assert pack([8, 1, 1, 1, 1, 1, 1, 1, 1], 8) == 8  # the longest alone
    assert pack([], 3) == 0
