from dataclasses import replace

import yaml

from patent_hier.artifacts import file_digest
from patent_hier.report.blocks import Details, Facts, TableBlock
from patent_hier.report.content.provenance import provenance


def of_kind(context, kind):
    return [block for block in provenance(context) if isinstance(block, kind)]


def test_the_data_are_named_by_their_digests(context, trained):
    (facts,) = of_kind(context, Facts)
    pairs = dict(facts.pairs)
    (raw,) = trained.cache.parent.glob("titles.csv")
    assert pairs["SHA-256 of the raw file"] == file_digest(raw)
    assert pairs["Corpus"] == f"gazette, {context.evidence.corpus.fingerprint}"
    assert pairs["Split"] == context.evidence.split.name
    assert "numpy " in pairs["Python and packages"]


def test_the_folders_of_every_configuration(context):
    (table,) = of_kind(context, TableBlock)
    found = {(row[0], row[1]): row for row in table.grid.rows}
    configurations = [(item, f"{item.name}, hierarchical") for item in context.evidence.hierarchical]
    configurations += [(item, f"{item.name}, flat") for item in context.evidence.flat]
    assert len(found) == len(table.grid.rows) == len(configurations) == 6
    for item, name in configurations:
        row = found[name, str(sum(len(nodes) for nodes in item.runs.values()))]
        assert row[3] == item.first.manifest["group"]
        assert row[2] == ("1, 2" if item.name == "textcnn" else "1")
        assert row[4] == item.first.manifest["environment"]["date"][:10]


def test_all_settings_stand_there_as_they_were(context):
    listed = {block.summary: yaml.safe_load(block.blocks[0].text) for block in of_kind(context, Details)}
    for item in (*context.evidence.hierarchical, *context.evidence.flat):
        (settings,) = [own for summary, own in listed.items() if item.first.folder.name in summary]
        assert settings == yaml.safe_load((item.first.folder / "config.yaml").read_text("utf-8"))
    assert len(listed) == 6


def test_without_a_result_the_data_are_still_named(context):
    blocks = provenance(replace(context, evidence=replace(context.evidence, hierarchical=(), flat=())))
    assert len(blocks) == 2
    assert [name for name, _ in blocks[1].pairs] == ["Corpus", "SHA-256 of the raw file", "Split"]
