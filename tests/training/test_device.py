"""Which precision ``auto`` is, by what the machine can do."""

import pytest
import torch

from patent_hier.settings import BF16, FP32
from patent_hier.training.device import choose_precision, cpu_computes_in_bf16


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A CPU without any of the instructions."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    return monkeypatch


@pytest.mark.parametrize("instructions", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_a_cpu_that_computes_in_bf16(cpu: pytest.MonkeyPatch, instructions: str) -> None:
    cpu.setattr(torch.cpu, instructions, lambda: True)
    assert choose_precision("auto", on_gpu=False, width=256) == BF16
    for narrow in (None, 32):  # an encoder that is looked up, and dimensions too few to gain
        assert choose_precision("auto", on_gpu=False, width=narrow) == FP32
    cpu.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not cpu_computes_in_bf16()


def test_other_cpus(cpu: pytest.MonkeyPatch) -> None:
    assert choose_precision("auto", on_gpu=False, width=768) == FP32


def test_gpus_go_by_themselves(cpu: pytest.MonkeyPatch) -> None:
    for supported, expected in ((True, BF16), (False, FP32)):
        cpu.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, own=supported: own)
        assert choose_precision("auto", on_gpu=True) == expected


@pytest.mark.parametrize("precision", [FP32, BF16])
def test_what_is_asked_for_is_taken(cpu: pytest.MonkeyPatch, precision: str) -> None:
    assert choose_precision(precision, on_gpu=False, width=256) == precision
