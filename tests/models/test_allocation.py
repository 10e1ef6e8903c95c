import platform
import subprocess
import sys

import pytest

# Page faults of 20 tensors of 64 MiB, each freed before the next. In a process of its own: the setting is a process's.
_FAULTS = """
import resource, sys, torch
from patent_hier.models.allocation import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for number in range(40):
    if number == 20:  # the heap has taken its shape
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_freed_memory_is_used_again():
    faults = {
        mode: int(subprocess.run([sys.executable, "-c", _FAULTS, mode], check=True, capture_output=True).stdout)
        for mode in ("keep", "default")
    }
    assert faults["keep"] < 1000
    assert faults["default"] > 20 * faults["keep"]
