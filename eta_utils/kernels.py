"""The kernel that notebooks are executed in: this Python, quiet, and fast with torch.

>>> papermill.execute_notebook(..., kernel_manager_class=ThisPython)

Leaves out: JupyterLab's kernels, which start as the user has set them up.
"""

from __future__ import annotations

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

# Library chatter buries what the notebooks print, and bars come out as hundreds of lines.
ENVIRONMENT = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    # Threads of torch that wait for one another give way soon: where another process wants
    # a core, waiting by spinning made training several times slower; on idle cores it is
    # worth little.
    "GOMP_SPINCOUNT": "10000",
    # glibc gives every large tensor's memory back at once and fetches it anew, page by
    # page; to keep it made DPO a fifth faster.
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    # A backend from the user's shell would leave the notebooks without figures.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}


class ThisPython(AsyncKernelManager):
    """Starts kernels in the Python that runs us, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The same for every name."""
        spec = get_kernel_dict(["--log-level=CRITICAL"])  # no chatter as it starts and ends
        return KernelSpec(**spec, env=ENVIRONMENT)
