from dataclasses import replace

import pytest

from patent_hier.cli.jobs import (
    Job,
    JobsFailedError,
    read_jobs,
    refuse_failed,
    refuse_lost,
    write_outcome,
)

NODES = ("root", "A", "B")


def _jobs(errors, extra=()):
    return [
        Job(number, [f"node={node}", *extra], "hier", node, error=errors.get(node, ""), exit_status=node in errors)
        for number, node in enumerate(NODES)
    ]


def test_jobs_come_back_in_order(tmp_path):
    jobs = [Job(number, [f"seed={number}"], "node", "D") for number in range(11)]
    for job in reversed(jobs):
        write_outcome(job, tmp_path / str(job.number))
    assert read_jobs(tmp_path) == jobs


def test_no_failure_passes():
    refuse_failed(_jobs({}))
    refuse_failed([])


def test_shared_error_stands_alone():
    with pytest.raises(JobsFailedError, match=r"^bad value$") as caught:
        refuse_failed(_jobs(dict.fromkeys(NODES, "bad value")))
    assert caught.value.exit_status == 1


def test_one_failed_node_is_named_and_the_rest_kept():
    with pytest.raises(JobsFailedError) as caught:
        refuse_failed(_jobs({"A": "out of memory"}, ["seed=1"]))
    assert str(caught.value) == (
        "node=A failed: out of memory; the other 2 of 3 are kept; "
        "run the same command again to train only what is missing"
    )


def test_an_error_that_advises_does_not_suggest_the_same_command():
    jobs = [replace(job, advises=True) if job.node == "A" else job for job in _jobs({"A": "lower x"})]
    with pytest.raises(JobsFailedError) as caught:
        refuse_failed(jobs)
    assert str(caught.value) == "node=A failed: lower x; the other 2 of 3 are kept"
    both = [replace(job, error="killed") if job.node == "B" else job for job in jobs]
    with pytest.raises(
        JobsFailedError, match="of 3 are kept; run the same command again to train only what is missing"
    ):
        refuse_failed(both)


def test_different_errors_are_told_apart_in_one_line():
    with pytest.raises(JobsFailedError) as caught:
        refuse_failed(_jobs({"root": "x", "A": "y", "B": "y"}))
    assert str(caught.value) == (
        "node=root failed: x; node=A, node=B failed: y; run the same command again to train only what is missing"
    )


def test_a_job_that_its_launcher_has_lost_is_told_in_one_line(tmp_path):
    lost = type("UncompletedJobError", (RuntimeError,), {"__module__": "submitit.core.utils"})
    (tmp_path / ".submitit").mkdir()
    with pytest.raises(
        JobsFailedError, match=r"without reporting an error: Job 7 \(task: 0\), see .*\.submitit; it was"
    ) as caught:
        refuse_lost(lost("Job 7 (task: 0)\nhas not produced any output"), tmp_path)
    assert "\n" not in str(caught.value)
    refuse_lost(ValueError("something else"), tmp_path)
