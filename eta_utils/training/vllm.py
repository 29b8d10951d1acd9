"""vLLM as the sampler, where it is installed: prompts and completions as ids.

>>> with Engine(folder, "bf16") as engine:         # of Qwen2.5-Coder, say, on a GPU
...     engine.complete([[1, 2], [3]], n=8, seed=0, temperature=1.0, max_new_tokens=96)

`-p sampler=vllm` uses it, and so does `auto` where it is installed and there is a GPU.
It is no requirement: docs/scaling.md says which version fits, and what it was seen to do.

PPO and GRPO sample by transformers all the same, because their policy changes with each
update.  So do the processes of `accelerate launch`.
"""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import torch
from transformers import AutoConfig

from eta_utils.common import processes
from eta_utils.common.errors import BadInput

# vLLM takes this share of the GPU at its start, and PPO's models may still hold the rest.
GPU_SHARE = 0.6
_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


def uses_vllm(sampler: str) -> bool:
    """Whether vLLM samples under this setting; with `auto` it does where it can.

    Raises BadInput where vLLM is asked for by name and cannot be used.
    """
    if sampler == "transformers":
        return False
    installed = importlib.util.find_spec("vllm") is not None
    alone = processes.count() == 1
    if sampler == "auto":
        return installed and alone and torch.cuda.is_available()
    if not installed:
        raise BadInput(
            "parameter sampler: vllm was asked for and is not installed here "
            "(docs/scaling.md says how); -p sampler=auto takes transformers where it is not"
        )
    if not alone:
        raise BadInput(
            "parameter sampler: vllm samples in one process, not in those of accelerate "
            "launch; take -p sampler=transformers"
        )
    return True


class Engine:
    """A model in vLLM.  As a context manager it frees its share of the GPU at the end."""

    def __init__(self, weights: str | Path, precision: str) -> None:
        import vllm  # not required, and takes seconds

        # vLLM is a process of its own: memory that torch still holds here from an earlier
        # training would be missing there.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.config = AutoConfig.from_pretrained(weights)
        self._parameters_of = vllm.SamplingParams
        self._llm = vllm.LLM(
            model=str(weights),
            dtype=_DTYPES[precision],
            seed=0,
            gpu_memory_utilization=GPU_SHARE,
            generation_config="vllm",  # not the model's own temperature and top_p
        )

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the memory back: vLLM's process ends with the object."""
        del self._llm
        gc.collect()

    def complete(
        self,
        prompts: Sequence[list[int]],
        n: int,
        seed: int,
        *,
        temperature: float,
        max_new_tokens: int,
    ) -> list[list[list[int]]]:
        """As `decoding.decode`."""
        parameters = [
            self._parameters_of(
                n=n,
                temperature=temperature,
                max_tokens=max_new_tokens,
                # vLLM draws sample j of a prompt with this seed plus j, so the prompts'
                # seeds lie n apart.
                seed=seed + n * number,
                detokenize=False,
            )
            for number in range(len(prompts))
        ]
        given = [{"prompt_token_ids": ids} for ids in prompts]
        outputs = self._llm.generate(given, sampling_params=parameters, use_tqdm=True)
        return [[list(sample.token_ids) for sample in output.outputs] for output in outputs]
