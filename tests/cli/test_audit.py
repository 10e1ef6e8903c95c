import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from patent_hier.artifacts import find_damage, seal
from patent_hier.atomic import read_json
from patent_hier.pipeline.stages import _parts_of
from tests.commands import TINY_OF, command


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("audit")


def words(place, *more):
    return [*more, "data.rows=400", f"runs_dir={place}/runs", f"cache_dir={place}/cache"]


def audited(place, split):
    (folder,) = (place / "runs").glob(f"audit-demo-{split}-*")
    return json.loads((folder / "audit.json").read_text("utf-8")), folder


@pytest.mark.parametrize(
    "split",
    ["random", "applicant", *(pytest.param(own, marks=pytest.mark.slow) for own in ("deduplicated", "family", "date"))],
)
def test_every_policy_keeps_its_promise(place, split):
    done = command("audit", *words(place, f"split={split}"))
    assert (done.status, done.err) == (0, "")
    content, folder = audited(place, split)
    assert content["policy"] == split
    assert content["broken"] == 0
    assert (content["promise"] is None) == (split == "random")
    assert sum(content["documents"].values()) == 400
    assert find_damage(folder) is None
    assert "Related documents in different parts" in (folder / "audit.md").read_text("utf-8")
    assert "not comparable with the paper" in done.out


def test_given_parts_promise_nothing(place, tmp_path):
    file = tmp_path / "some.csv"
    file.write_text("id,part\nCN1,test\n", "utf-8")
    refused = command("audit", *words(place, "split=file", f"split.path={file}"))
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "none of the 1 documents" in refused.err
    done = command("audit", *words(place, "split=file", "split.column=法律状态", "split.test_values=[实用新型]"))
    assert (done.status, done.err) == (0, "")
    content, _ = audited(place, "file")
    assert (content["promise"], content["broken"], sum(content["documents"].values())) == (None, 0, 400)


def test_results_are_scored_without_leaked_documents(place):
    linear = [*TINY_OF["linear"], "model=linear", "level=flat"]
    for split in ("random", "deduplicated"):
        assert command("run", *linear, *words(place, f"split={split}")).status == 0
    done = command("audit", *words(place, "split=random"))
    assert (done.status, done.err) == (0, "")
    content, _ = audited(place, "random")
    ((name, found),) = content["leakage"].items()
    assert name.startswith("linear")
    leaked = {relation["name"]: relation["leaked"]["test"] for relation in content["relations"]}
    n_test = content["documents"]["test"]
    assert found["ipc_class"]["n_documents"] == n_test
    removed = n_test - found["clean_class"]["n_documents"]
    assert max(leaked["similar"], leaked["family"]) <= removed <= leaked["similar"] + leaked["family"]
    assert {score["split"].split("-")[0] for score in content["policies"]} == {"random", "deduplicated"}
    assert len({score["system"] for score in content["policies"]}) == 1


def test_a_broken_promise_stops(place):
    assert command("audit", *words(place, "split=date")).status == 0
    (folder,) = (place / "cache" / "splits").glob("date-*")
    table = pq.read_table(folder / "split.parquet")
    turned = table.set_column(1, "part", pa.chunked_array([table["part"].combine_chunks()[::-1]]))
    pq.write_table(turned.replace_schema_metadata(table.schema.metadata), folder / "split.parquet")
    manifest = {key: value for key, value in read_json(folder / "manifest.json").items() if key != "files"}
    seal(folder, manifest)  # by someone who knows how
    _parts_of.cache_clear()  # as in another process
    done = command("audit", *words(place, "split=date"))
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert "violates its policy date" in done.err
    assert audited(place, "date")[0]["broken"] > 0
