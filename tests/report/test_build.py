"""The whole report of one corpus: its numbers, computed once more from the files of the results alone."""

import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score

import patent_hier
from patent_hier.report.build import read_table_2
from tests.report.reading import Page, markdown_table

SECTIONS = "ABCDEFGH"
COLUMNS = ("L1", *SECTIONS, "L2", "overall")
PAPER = {"BERT-CNN": "bertcnn", "CNN": "textcnn", "RNN": "rnn"}
ABSENT = "–"


def read(path):
    return json.loads(path.read_text("utf-8"))


def printed(name):
    return read(Path(patent_hier.__file__).parents[1] / "experiments" / "published" / f"{name}.json")


def scored(folder):
    """The test part of a node's predictions at its deepest level: labels, log probabilities, targets by document."""
    table = pq.read_table(folder / "predictions.parquet")
    tree = json.loads(table.schema.metadata[b"tree"])
    level = tree["levels"][-1]
    log_prob = np.array(table[f"{level}.log_prob"].to_pylist())
    test = np.array(table["part"].to_pylist()) == "test"
    ids, targets = (
        np.array(table[name].to_pylist(), dtype=object)[test] for name in ("document_id", f"{level}.target")
    )
    labels = np.array(tree["codes"], dtype=object)[-log_prob.shape[1] :]
    frame = pd.DataFrame(log_prob[test], index=ids, columns=labels).sort_index()
    return frame, pd.Series(targets, index=ids).sort_index()


@pytest.fixture(scope="module")
def systems(trained):
    """By name and seed: node -> (log probabilities, targets, content of metrics.json)."""
    found = defaultdict(lambda: defaultdict(dict))
    for file in trained.runs.glob("*/*/manifest.json"):
        manifest = read(file)
        if manifest["kind"] != "node" or manifest["level"] not in ("hier", "flat"):
            continue
        alpha = manifest["content"]["model"].get("alpha")
        name = manifest["model"] + (f" alpha={alpha}" if alpha else "")
        own = found[name, manifest["level"]][manifest["seed"]]
        own[manifest["node"]] = (*scored(file.parent), read(file.parent / "metrics.json"))
    return found


@pytest.fixture(scope="module")
def truth(trained):
    (file,) = trained.cache.glob("corpora/*/corpus.parquet")
    return pq.read_table(file).to_pandas().set_index("document_id")[["section", "ipc_class"]].sort_index()


@pytest.fixture(scope="module")
def ours(systems, truth):
    """Name -> column -> (mean, sd, documents, classes), and the cascade; from predictions and corpus alone."""
    return {name: by_hand(seeds, truth) for (name, level), seeds in systems.items() if level == "hier"}


def by_hand(seeds, truth):
    values, support = defaultdict(list), {}
    for nodes in seeds.values():
        root = nodes["root"][0]
        true = truth.loc[root.index]
        answers = {node: own[0].idxmax(axis=1) for node, own in nodes.items()}
        section_hits = answers["root"] == true["section"]
        local = pd.Series({document: answers[row.section][document] for document, row in true.iterrows()})
        local_hits = local == true["ipc_class"]
        values["L1"].append(section_hits.mean())
        values["L2"].append(local_hits.mean())
        values["overall"].append(section_hits.mean() * local_hits.mean())
        values["cascade"].append((section_hits & local_hits).mean())
        support |= {name: (len(true), true["ipc_class"].nunique()) for name in ("L2", "overall", "cascade")}
        support["L1"] = (len(true), true["section"].nunique())
        for section in true["section"].unique():
            own = true["section"] == section
            values[section].append(local_hits[own].mean())
            support[section] = (int(own.sum()), true.loc[own, "ipc_class"].nunique())
    return {name: (np.mean(v), np.std(v, ddof=1) if len(v) > 1 else None, *support[name]) for name, v in values.items()}


def rows_of(report):
    """Table 2 as it is printed: first cell -> the others on one line."""
    table = read(report / "scores.json")["table_2"]
    return {row[0]: [" ".join(cell.split()) for cell in row[1:]] for row in table["rows"]}


def cell(values, column):
    if column not in values:
        return ABSENT
    mean, sd, *_ = values[column]
    return f"{100 * mean:.1f}" + ("" if sd is None else f" ± {100 * sd:.1f}")


# --- Table 2


def test_every_number_of_ours_follows_from_the_predictions(report, ours):
    rows = rows_of(report)
    for name, values in ours.items():
        seeds = "1, 2" if name == "textcnn" else "1"
        assert rows[f"{name} (seed {seeds})"] == [cell(values, column) for column in COLUMNS], name
    assert {name for name in rows if "(seed " in name} == {
        f"{name} (seed {'1, 2' if name == 'textcnn' else '1'})" for name in ours
    }


def test_the_numbers_for_programs_have_all_digits(report, ours):
    entries = {item["name"]: item for item in read(report / "scores.json")["hierarchical"]}
    assert set(entries) == set(ours)
    for name, values in ours.items():
        assert {column for column in (*COLUMNS, "cascade") if column in entries[name]} == set(values)
        for column, (mean, sd, documents, classes) in values.items():
            own = entries[name][column]
            assert own["mean"] == pytest.approx(mean, abs=1e-12)
            assert own["sd"] == (None if sd is None else pytest.approx(sd, abs=1e-12))
            assert (own["n_documents"], own["n_classes"]) == (documents, classes)
            assert own["interval"][0] <= own["mean"] <= own["interval"][1]


def test_documents_and_classes(report, ours):
    rows = rows_of(report)
    values = ours["linear"]
    assert rows["test documents"] == [str(values[column][2]) if column in values else "0" for column in COLUMNS]
    assert rows["labels with support"] == [str(values[column][3]) if column in values else "0" for column in COLUMNS]
    local = [int(rows["test documents"][COLUMNS.index(section)]) for section in SECTIONS]
    assert sum(local) == int(rows["test documents"][0])


def test_the_papers_rows_are_the_published_ones(report):
    rows, models = rows_of(report), printed("table_2")["models"]
    counts = {section: facts["documents"] for section, facts in printed("table_1")["sections"].items()}
    for theirs in PAPER:
        facts = models[theirs]
        mean = sum(facts["local"][s] * counts[s] for s in SECTIONS) / sum(counts.values())
        assert rows[f"{theirs} (paper)"] == [
            f"{facts['section']:.1f}",
            *(f"{facts['local'][section]:.1f}" for section in SECTIONS),
            f"{facts['oracle']:.1f} / {mean:.2f}",
            f"{facts['product']:.1f} / {facts['section'] * mean / 100:.2f}",
        ]


def test_the_differences_are_ours_less_the_printed(report, ours):
    rows, models = rows_of(report), printed("table_2")["models"]
    for theirs, model in PAPER.items():
        if model not in ours:
            assert f"{model} minus paper" not in rows
            assert rows[f"{model} (not run)"] == [ABSENT] * 11
            continue
        facts = models[theirs]
        theirs_by_column = {
            "L1": facts["section"],
            **facts["local"],
            "L2": facts["oracle"],
            "overall": facts["product"],
        }
        assert rows[f"{model} minus paper"] == [
            f"{100 * ours[model][column][0] - theirs_by_column[column]:+.1f}" if column in ours[model] else ABSENT
            for column in COLUMNS
        ]


def test_bold_are_the_highest_of_ours(report, ours):
    lines = [line for line in (report / "report.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    bold = defaultdict(set)
    for line in lines:
        name, *cells = line.strip("| ").split(" | ")
        for column, text in zip(COLUMNS, cells, strict=False):
            if text.startswith("**"):
                bold[column].add(name.split(" (seed")[0])
    for column in COLUMNS:
        shown = {name: round(100 * values[column][0], 1) for name, values in ours.items() if column in values}
        best = {name for name, value in shown.items() if value == max(shown.values())}
        assert bold[column] == best, column


def test_all_formats_hold_the_same_table(report):
    table = read(report / "scores.json")["table_2"]
    expected = [tuple(" ".join(cell.split()) for cell in row) for row in (table["header"], *table["rows"])]
    assert markdown_table(report / "report.md", "Table 2") == expected
    tables = Page(report / "report.html").tables
    (english,) = [rows for caption, rows in tables["en"].items() if caption.startswith("Table 2.")]
    assert english == expected
    (chinese,) = [rows for caption, rows in tables["zh"].items() if caption.startswith("表 2")]
    assert [row[1:] for row in chinese[1:]] == [row[1:] for row in expected[1:]]
    assert markdown_table(report / "report.zh.md", "表 2") == chinese
    grid = read_table_2(report)
    assert [list(row) for row in grid.rows] == table["rows"]


def test_metrics_of_each_node_agree(systems, ours, truth):
    for (name, level), seeds in systems.items():
        if level != "hier":
            continue
        for column in ours[name]:
            if column in ("L2", "overall", "cascade"):
                continue
            own = [nodes["root" if column == "L1" else column][2]["test"]["accuracy"] for nodes in seeds.values()]
            mean, _, documents, classes = ours[name][column]
            assert np.mean([score["value"] for score in own]) == pytest.approx(mean, abs=1e-12)
            assert {(s["n_documents"], s["n_classes_with_support"]) for s in own} == {(documents, classes)}


# --- the ways to a class


def test_other_scores_follow_from_the_predictions(report, systems, truth):
    content = read(report / "scores.json")
    for item in content["hierarchical"]:
        top_3, f1 = [], []
        for nodes in systems[item["name"], "hier"].values():
            root = nodes["root"][0]
            joint = pd.concat([nodes[s][0].loc[root.index].add(root[s], axis=0) for s in root], axis=1)
            true = truth.loc[root.index, "ipc_class"]
            cascade = [nodes[section][0].loc[document].idxmax() for document, section in root.idxmax(axis=1).items()]
            top_3.append(np.mean([true[d] in joint.loc[d].nlargest(3).index for d in root.index]))
            f1.append(f1_score(true, cascade, labels=true.unique(), average="macro", zero_division=0))
        if item["name"] != "textcnn":  # whose rows have equal values, which may be ranked in either order
            assert item["top_3"] == pytest.approx(np.mean(top_3))
        assert item["macro_f1"] == pytest.approx(np.mean(f1))
    assert {item["name"] for item in content["flat"]} == {"linear", "naive_bayes alpha=0.01", "naive_bayes alpha=1.0"}
    for item in content["flat"]:
        log_prob, targets, metrics = systems[item["name"], "flat"][1]["flat"]
        hits = log_prob.idxmax(axis=1) == targets
        assert item["flat"]["mean"] == metrics["test"]["accuracy"]["value"] == pytest.approx(hits.mean())
        sections = np.exp(log_prob).T.groupby(lambda name: name[0]).sum().T.idxmax(axis=1)
        assert item["section"]["mean"] == pytest.approx((sections == targets.str[0]).mean())


def test_ways_hold_the_numbers_of_the_file(report):
    content = read(report / "scores.json")
    (header, *rows) = markdown_table(report / "report.md", "Accuracy (%) with")
    shown = {row[0]: row[1:] for row in rows}
    assert header[1:] == (
        "section", "oracle", "product", "class: cascade or flat", "routing loss", "top 3", "macro-F1",
        "different classes answered",
    )  # fmt: skip

    def spread(score):
        low, high = score["interval"]
        sd = "" if score["sd"] is None else f" ± {100 * score['sd']:.1f}"
        return f"{100 * score['mean']:.1f}{sd} ({100 * low:.1f}–{100 * high:.1f})"

    for item in content["hierarchical"]:
        loss = item["L2"]["mean"] - item["cascade"]["mean"]
        assert shown[f"{item['name']}, hierarchical"] == (
            *(spread(item[key]) for key in ("L1", "L2", "overall", "cascade")),
            *(f"{100 * value:.1f}" for value in (loss, item["top_3"], item["macro_f1"])),
            f"{item['classes_named']:.0f}",
        )
    (shared,) = content["shared"]
    assert shown["linear, shared"][:4] == tuple(spread(shared[key]) for key in ("L1", "L2", "overall", "cascade"))
    (flat,) = (item for item in content["flat"] if item["name"] == "linear")
    rest = (ABSENT, *(f"{100 * flat[key]:.1f}" for key in ("top_3", "macro_f1")), f"{flat['classes_named']:.0f}")
    assert shown["linear, flat"] == (spread(flat["section"]), ABSENT, ABSENT, spread(flat["flat"]), *rest)
    assert len(shown) == len(content["hierarchical"]) + 4


# --- files


def test_all_that_a_page_names_lies_beside_it(report):
    page = Page(report / "report.html")
    links = {link["href"] for link in page.all("a") if not link["href"].startswith("#")}
    files = {str(path.relative_to(report)) for path in report.rglob("*") if path.is_file()}
    assert links == {name for name in files if name.startswith("figures/")}
    assert files - links == {
        "report.html", "report.md", "report.zh.md", "scores.json", "attention.html", "manifest.json",
    }  # fmt: skip
    for name in ("report.md", "report.zh.md"):
        text = (report / name).read_text("utf-8")
        assert set(re.findall(r"\]\((figures/[^)]+)\)", text)) <= links
        assert "`attention.html`" in text


def test_both_languages_show_the_same(report):
    english, chinese = ((report / name).read_text("utf-8") for name in ("report.md", "report.zh.md"))
    for pattern in (r"^#+ ", r"^!\[", r"^\| :--", r"^```$", r"^> ", r"^<details>$"):
        assert len(re.findall(pattern, english, re.M)) == len(re.findall(pattern, chinese, re.M)) > 0, pattern
    tables = Page(report / "report.html").tables
    shapes = [[(len(rows), len(rows[0])) for rows in own.values()] for own in tables.values()]
    assert shapes[0] == shapes[1]
    assert len(re.findall(r"^#+ ", english, re.M)) == 16
