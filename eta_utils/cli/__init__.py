"""The command line: `python -m eta_utils COMMAND --help` explains each command.

`study` has the commands about a run, `sample` draws from a model, `samples` has the
commands about files of samples, and `rates` says what these pass.  Options are
made from settings (`options`).  Bad input ends in one sentence on stderr and exit code 2,
with nothing half-written.
"""

from __future__ import annotations

import argparse
import os
import sys

from eta_utils.cli.doctor import run_doctor
from eta_utils.cli.rates import add_rates
from eta_utils.cli.sample import add_sample
from eta_utils.cli.samples import add_audit, add_judge, add_pairs
from eta_utils.cli.study import add_recompute, add_report, add_run, add_train
from eta_utils.common.errors import BAD_INPUT, FAILED, INTERRUPTED, BadInput, Failed
from eta_utils.common.processes import announced, is_first
from eta_utils.sandbox.isolation import IsolationError
from eta_utils.sandbox.libraries import LibraryError
from eta_utils.sandbox.pool import SandboxError


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.name != "train" and announced() > 1:
            raise BadInput(
                f"this is one of {announced()} processes (WORLD_SIZE), and only `train` "
                "runs in several; start it without `accelerate launch`, or unset WORLD_SIZE"
            )
        code = options.command(options)
        sys.stdout.flush()
    except (BadInput, IsolationError) as error:
        if is_first():  # all processes of a group find the same
            print(f"eta_utils {options.name}: {error}", file=sys.stderr)
        return BAD_INPUT
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "eta_utils":
            raise  # ours are always there: a fault
        print(
            f"eta_utils {options.name}: {error.name} is not installed; "
            "`pip install -e .[study]` brings all that the study needs",
            file=sys.stderr,
        )
        return BAD_INPUT
    except (Failed, LibraryError, SandboxError) as error:
        print(f"eta_utils {options.name}: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # the reader of our output, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder that may not be written to, ...
        if error.errno is None:
            raise  # no answer of the system: a fault
        where = f"{error.filename}: " if error.filename else ""
        print(f"eta_utils {options.name}: {where}{error.strerror}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(
            f"eta_utils {options.name}: interrupted; the same command goes on from here",
            file=sys.stderr,
        )
        return INTERRUPTED
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m eta_utils",
        description=(
            "Run the study; judge, trace and compare programs written by language models."
        ),
        epilog="Start with: python -m eta_utils doctor",
    )
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    add_run(commands)
    add_train(commands)
    add_report(commands)
    add_recompute(commands)
    add_sample(commands)
    add_judge(commands)
    add_pairs(commands)
    add_rates(commands)
    add_audit(commands)
    doctor = commands.add_parser(
        "doctor",
        help="what this machine offers: versions, isolation, cores, GPU",
        description=(
            "Print Python and library versions, each rung of isolation with what was tried "
            "and what held, cores, GPU, and whether HumanEval is found."
        ),
    )
    doctor.set_defaults(command=run_doctor)
    return parser
