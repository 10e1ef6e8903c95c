from dataclasses import replace

import pytest

from benchmarks.architecture import Architecture
from benchmarks.plan.machines import H200
from benchmarks.plan.plan import ASSUMED_SCALING, card_memory, make_plan
from benchmarks.plan.records import Record, read_figures
from benchmarks.plan.text import plan_text
from benchmarks.plan.work import make_work, paper_documents
from patent_hier.cli.compose import compose_settings
from patent_hier.settings import HIER_NODES, planned_epochs
from tests.benchmarks.plan.records import ALL, write_record

PAPER = ["encoder=bert_base_chinese", "experiment=paper", "trainer.precision=bf16-mixed"]


def work_of(*words, rows=2_770_000, seeds=1, tokens=200):
    settings = compose_settings([*PAPER, *words])
    return make_work(settings, paper_documents(rows), seeds, tokens), settings


@pytest.fixture
def figures(tmp_path):
    return read_figures([Record.read(write_record(tmp_path / "r", ALL))], Architecture(768, 12, 12, 3072, 21128))


def plan_of(figures, *words, **changes):
    work, settings = work_of(*words, **changes)
    return make_plan(work, figures, settings)


def hours_of(figures, *words):
    return {hours["machine"]: hours for hours in plan_of(figures, *words)["hours"]}


def test_the_papers_documents_and_nodes():
    work, _ = work_of("split.val=0.000001", "split.calibration=0")  # the paper has no validation
    assert [node.name for node in work.nodes] == list(HIER_NODES)
    root, *sections = work.nodes
    assert root.train == pytest.approx(2_085_931, abs=3)
    assert sum(node.train for node in sections) == pytest.approx(root.train, abs=8)
    assert (root.written, sum(node.written for node in sections), root.epochs) == (8 + 9, 130 + 8 * 9, 20)
    training = sum(map(work.training_flops, work.nodes))  # at 100 % of the peak: test_architecture.py's floor
    assert training / H200.bf16 / 3600 == pytest.approx(2.49, abs=0.005)


def test_epochs_are_planned_as_training_plans_them():
    words = ("trainer.max_epochs=2", "trainer.min_steps=600", "trainer.batch_size=16")
    work, settings = work_of(*words, rows=6000)
    assert [node.epochs for node in work.nodes] == [
        planned_epochs(settings.trainer, -(-node.train // 16)) for node in work.nodes
    ]


def test_r_drop_reads_each_document_twice():
    once, twice = (work_of(f"trainer.r_drop={weight}")[0] for weight in (0, 1))
    node, flops = once.nodes[0], once.encoder.forward_flops(200, 200**2)
    assert twice.training_flops(node) - once.training_flops(node) == pytest.approx(3 * node.train * 20 * flops)


def test_eight_cards_are_bound_by_the_section_model_unless_it_has_them_all(figures):
    hours = hours_of(figures)
    one, each, first = (hours[name] for name in (
        "one H200", "eight H200, a node on each", "eight H200, L1 on all at once"
    ))  # fmt: skip
    assert one["level_1"] == pytest.approx(one["level_2"], rel=1e-4)
    assert one["wall_clock"] == pytest.approx(sum(one[key] for key in ("before", "level_1", "level_2", "scoring")))
    assert each["wall_clock"] == pytest.approx(each["before"] + each["level_1"] + each["scoring"] / 9)
    largest = 664_602 / 2_317_701 * one["level_1"]  # section B, alone on its card
    expected = first["before"] + one["level_1"] / 8 / ASSUMED_SCALING + largest + 2 * first["scoring"] / 9
    assert first["wall_clock"] == pytest.approx(expected, rel=1e-4)
    assert first["wall_clock"] < 0.5 * each["wall_clock"]
    assert hours["Slurm, an H100 for each node"]["wall_clock"] == pytest.approx(each["wall_clock"])


def test_what_is_assumed_is_said_to_be(figures):
    assumed = hours_of(figures)["one H200"]
    assert assumed["basis"] == "assumed: 45% of the published peak"
    hours = hours_of(replace(figures, utilisation=(0.38, H200)))
    assert hours["one H200"]["basis"] == "measured: 38% of the published peak"
    assert hours["one RTX 4090"]["basis"] == "assumed: 38% of the published peak, as measured on H200"
    assert hours["one H200"]["level_1"] == pytest.approx(assumed["level_1"] * 0.45 / 0.38)


def test_full_precision_takes_the_peak_of_full_precision(figures):
    half, full = (hours_of(figures, *words)["one H200"] for words in ((), ("trainer.precision=32-true",)))
    assert full["level_1"] / half["level_1"] == pytest.approx(989 / 67)


def test_a_slow_loader_sets_the_pace(figures):
    loader = figures.stages["loader"] | {"per_second": 100.0}
    hours = hours_of(replace(figures, stages=figures.stages | {"loader": loader}))["one H200"]
    assert hours["pace"] == "the data loader"
    assert hours["level_1"] == pytest.approx(20 * 2_085_931 / 100 / 3600, rel=1e-4)
    assert hours_of(figures)["one H200"]["pace"] == "arithmetic"


def test_one_shared_network_reads_everything_once_and_scores_every_level(figures):
    (shared,), (flat,) = (work_of(f"level={level}", "trainer.max_epochs=10")[0].nodes for level in ("shared", "flat"))
    assert shared == flat._replace(name="shared")
    assert shared.written == 8 + 130 + 2 * 5 + 4
    assert work_of("level=shared", "data.depth=subgroup")[0].nodes[0].written == shared.written + 3 * (200 + 5)
    one, nine = hours_of(figures, "level=shared"), hours_of(figures)
    assert one["one H200"]["level_2"] == 0
    assert one["eight H200, L1 on all at once"]["advice"] == "level=shared trainer=ddp"
    assert one["one H200"]["scoring"] == pytest.approx(nine["one H200"]["scoring"] / 9)


def test_seeds_multiply_training_and_models_but_not_the_corpus(figures):
    one, three = (plan_of(figures, seeds=seeds) for seeds in (1, 3))
    assert three["disk"]["runs: models"] == 3 * one["disk"]["runs: models"] == 3 * 9 * 4 * one["facts"]["parameters"]
    assert three["disk"]["raw CSV"] == one["disk"]["raw CSV"] == 600 * 2_770_000
    assert three["hours"][0]["level_2"] == pytest.approx(3 * one["hours"][0]["level_2"])


def test_memory_of_a_card():
    work, _ = work_of()
    half, full = (card_memory(work, precision, 24, 200) for precision in ("bf16-mixed", "32-true"))
    weights = work.encoder.parameters
    assert sum(half.values()) == 18 * weights + half["activations, estimated"]
    assert sum(full.values()) == 16 * weights + 2 * half["activations, estimated"]
    assert half["activations, estimated"] == 34 * 12 * 768 * 24 * 200


def test_memory_beyond_the_measured_size_is_taken_in_proportion(figures):
    plan = plan_of(figures, rows=5_540_000)
    assert plan["host"]["encode"] == pytest.approx(2 * 600e6)
    assert any("2,770,000 rows" in line for line in plan["assumptions"])


def test_the_linear_classifier_is_planned_where_it_was_measured(figures):
    assert plan_of(figures)["linear_hours"] == {}
    rows = {"rows": 277_000, "per_second": 1000.0, "peak_own_bytes": 1e9}
    measured = {"count": figures.stages["split"] | {"per_second": 2000.0}, "linear": figures.stages["split"] | rows}
    plan = plan_of(replace(figures, stages=figures.stages | measured))
    facts = plan["facts"]
    assert plan["linear_hours"]["count"] == pytest.approx(facts["documents"] / 2000 / 3600)
    assert plan["linear_hours"]["linear"] == pytest.approx(facts["train_documents"] / 1000 / 3600)
    assert plan["host"]["linear"] == pytest.approx(10 * 1e9)
    assert "fit all levels to the subgroup" in plan_text(plan)


def test_tokens_of_a_document():
    assert work_of(tokens=188)[0].tokens == 188
    work, _ = work_of("encoder.max_length=128", tokens=188)
    assert (work.tokens, work.tokens_source) == (128, "at most: the bench texts were truncated to 200")
    titles = replace(paper_documents(1000), characters=14.0)
    assert make_work(compose_settings(PAPER), titles, 1, 188).tokens == 16
