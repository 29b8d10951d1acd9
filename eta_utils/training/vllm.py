"""vLLM as the sampler, where it is installed: the same prompts and ids as our own loop.

>>> with Engine(folder, "bf16") as engine:         # of Qwen2.5-Coder, say, on a GPU
...     engine.complete([[1, 2], [3]], n=8, seed=0, temperature=1.0, max_new_tokens=96)

Used by `-p sampler=vllm`, and by `auto` where it is installed and there is a GPU.  It is no
requirement: docs/scaling.md says which version fits, and what it was seen to do.

Leaves out: sampling within PPO and RLOO, whose policy changes with each update, and
several processes of one training (see `processes`): those take transformers.
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

# vLLM takes this share of the GPU at once; PPO's models may still be there beside it.
GPU_SHARE = 0.6
_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


def uses_vllm(sampler: str) -> bool:
    """Whether vLLM samples: for `auto` where it can.  Raises BadInput where it is asked for
    and cannot."""
    if sampler == "transformers":
        return False
    there, alone = importlib.util.find_spec("vllm") is not None, processes.count() == 1
    if sampler == "auto":
        return there and alone and torch.cuda.is_available()
    if not there:
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
    """A model in vLLM; a context, since it holds its share of the GPU until its end."""

    def __init__(self, weights: str | Path, precision: str) -> None:
        import vllm  # not required, and takes seconds

        # What a training before this one left would be missing to vLLM's own process.
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
        """As `decoding.decode`.  Sample j of a prompt is drawn with the prompt's seed plus
        j, so the prompts' seeds lie n apart."""
        asked = [
            self._parameters_of(
                n=n,
                temperature=temperature,
                max_tokens=max_new_tokens,
                seed=seed + n * number,
                detokenize=False,
            )
            for number in range(len(prompts))
        ]
        given = [{"prompt_token_ids": ids} for ids in prompts]
        found = self._llm.generate(given, sampling_params=asked, use_tqdm=True)
        return [[list(each.token_ids) for each in one.outputs] for one in found]
