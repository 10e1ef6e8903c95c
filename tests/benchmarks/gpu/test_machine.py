import pytest
import torch

from benchmarks.gpu.machine import known_gpu, runs
from benchmarks.gpu.training import percent, utilisation
from benchmarks.plan.machines import H100, H200
from patent_hier.settings import BF16, FP32


@pytest.mark.parametrize(("name", "gpu"), [("NVIDIA H200", H200), ("NVIDIA H100 80GB HBM3", H100), ("Other", None)])
def test_utilisation_is_of_the_published_peak(monkeypatch, name, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)
    assert known_gpu() is gpu
    if gpu:
        assert utilisation(0.4 * 989e12, BF16) == pytest.approx(0.4)
        assert percent(utilisation(0.5 * 67e12, FP32)) == "50.0%"
    else:
        assert percent(utilisation(1e12, BF16)) == "not known for this processor"


def test_attention_is_tried(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runs("math", torch.float32)
    assert runs("math", torch.float32, masked=True)
    assert not runs("cudnn", torch.float32)
