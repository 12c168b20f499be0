"""`rlenvs schema`: JSON Schema of the configuration files."""

import argparse
from typing import TYPE_CHECKING

from rlenvs.cli.output import print_json
from rlenvs.cli.parser import add_command

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["register", "run"]

TEXT = """
Print the JSON Schema of a kind of configuration file, with which an editor completes and checks the YAML.
In VS Code, save it and name it in the first line of the YAML file:
  # yaml-language-server: $schema=train.schema.json
"""


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "schema",
        run,
        summary="print the JSON Schema of the configuration files",
        text=TEXT,
        example="rlenvs schema train > train.schema.json\nrlenvs schema rewards > rewards.schema.json",
    )
    parser.add_argument(
        "kind",
        nargs="?",
        choices=("train", "sft", "sb3", "tune", "rewards"),
        default="train",
        help="train: a training run; sft: a supervised one; sb3: one of Stable-Baselines3; tune: a study; "
        "rewards: a reward recipe (default: train)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    if args.kind == "train":
        from rlenvs.agents.llm.config import TrainConfig

        schema = TrainConfig.model_json_schema()
    elif args.kind == "sft":
        from rlenvs.agents.llm.sft import SFTConfig

        schema = SFTConfig.model_json_schema()
    elif args.kind == "sb3":
        from rlenvs.agents.sb3.config import SB3TrainConfig

        schema = SB3TrainConfig.model_json_schema()
    elif args.kind == "tune":
        from rlenvs.agents.tuning.config import TuneConfig

        schema = TuneConfig.model_json_schema()
    else:
        from rlenvs.wrappers.config.rewards import RewardConfig

        schema = RewardConfig.model_json_schema()
    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    return 0
