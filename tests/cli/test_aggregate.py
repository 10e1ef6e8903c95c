from tests.commands import command


def test_nothing_trained_names_all_nodes(tmp_path):
    words = ["data.rows=300", f"runs_dir={tmp_path / 'runs'}", f"cache_dir={tmp_path / 'cache'}"]
    outcome = command("aggregate", *words)
    assert outcome.status == 1
    assert outcome.err.startswith("error: 9 of 9 nodes are missing")
    assert outcome.err.count("\n") == 1
    assert "root, A, B, C, D, E, F, G, H" in outcome.err
    assert not (tmp_path / "runs").exists()
    flat = command("aggregate", "level=flat", *words)
    assert "1 of 1 nodes are missing" in flat.err
