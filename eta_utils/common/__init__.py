"""What every other room stands on: files, settings, processes, the machine.

It knows nothing of tasks, programs or models.
"""

from eta_utils.common.errors import BadInput, Failed
from eta_utils.common.files import read_jsonl, write_jsonl
from eta_utils.common.injected import check_injected

__all__ = ["BadInput", "Failed", "check_injected", "read_jsonl", "write_jsonl"]
