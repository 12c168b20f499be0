"""Complete iterations of PPO on a language model, beside TRL's trainers, in one run.

    python benchmarks/llm_ppo.py [--trl-grpo PYTHON] [--trl-ppo PYTHON] [--loads fixed ragged turns] [--cpu-time]

PYTHON is an interpreter that has TRL: any for GRPO, `trl==1.12.*` for PPO, whose trainer TRL has deleted since. All
train the same tiny Llama (3.2M parameters, random weights, one token per byte) on 64 answers to sums of sixteen tokens,
with a reference; an iteration is rollout, scoring, reward and four optimiser steps. Every contender is a process of its
own and they take turns, iteration by iteration, so that a busy neighbour slows all alike. Nothing is downloaded.

* fixed: every answer has the full 64 tokens.
* ragged: the model ends its answers, after 16 tokens in the mean.
* turns: one, two and three turns of 64 tokens with 50 tokens of feedback between them (ours alone).

Ours is `PPOTrainer` as it comes, with what it leaves to the engine and the packing taken back (`CAUTIOUS`), and in
bfloat16; with a critic, on a vector environment and under a reward of three components and a potential. TRL's PPO needs
a reward model; its GRPO gets a reward of one line and has no critic.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from turn_taking import Contender, Process, machine

PROMPT, GROUP, KL = 16, 8, 0.04
LEARNING_RATE = 1e-9  # a step costs what it costs, and the lengths of answers stay what they were
PAD, BOS, EOS = 0, 1, 2
NEVER = -10.0  # times a feature of about ten: a logit that no sample finds
FEEDBACK = "That was not what I had asked for. One more time: "  # fifty bytes
REWARDS = {
    "reward_components": {
        "correct": {"class": "CorrectnessReward"},
        "format": {"class": "FormattingReward", "params": {"format": "regex", "pattern": "[0-9]{1,8}"}},
        "length": {"class": "LengthPenalty", "params": {"max_length": 8, "penalty_per_token": -0.01, "unit": "tokens"}},
        "difficulty": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "info", "potential_params": {"info_key": "difficulty", "scale": -0.5}},
        },
    },
    "reward_shaping": {
        "format": {"initial_weight": 0.3, "decay_schedule": "linear", "decay_steps": 40_000, "min_weight": 0.0}
    },
}
LOADS = ["fixed", "ragged", "turns"]
PHASES = ("generate", "env+reward", "score", "update")
CAUTIOUS = ["ppo.old_logprobs=recompute", "memory.packing=false"]
BFLOAT16 = ["ppo.old_logprobs=engine", "memory.autocast=bfloat16", "rollout.engine.dtype=bfloat16"]
VARIANTS: dict[str, list[str]] = {"defaults": [], "cautious": CAUTIOUS, "bfloat16": BFLOAT16}
PEER_PRECISIONS = ("float32", "bfloat16")


class Stopwatch:
    """Adds up how long the calls of some methods take.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = {}

    def watch(self, owner: Any, method: str, phase: str) -> None:
        """Time a method of an object from now on."""
        call = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = self.clock()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds[phase] = self.seconds.get(phase, 0.0) + self.clock() - started

        setattr(owner, method, timed)

    def read(self) -> dict[str, float]:
        """Return the sums since the last time."""
        found, self.seconds = self.seconds, {}
        return found


def write_model(folder: Path, layers: int, width: int, ragged: bool, new: int) -> None:
    """Write a Llama with random weights and a tokenizer with one token per byte.

    Args:
        folder: where to.
        layers: how many.
        width: of the hidden states, a multiple of 64.
        ragged: let the model end its answers after `new / 4` tokens in the mean; otherwise it never does.
        new: limit of an answer.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    transformers.logging.disable_progress_bar()
    names = ["<pad>", "<bos>", "<eos>", "<sep>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", padding_side="left"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(names),
        hidden_size=width,
        intermediate_size=int(width * 8 / 3) // 16 * 16,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        num_key_value_heads=max(1, width // 64),
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    model = LlamaForCausalLM(config)
    make_ending_steady(model)
    if ragged:
        end_answers(model, new)
    model.save_pretrained(folder)


def make_ending_steady(model: Any) -> None:
    """Give a random model a feature that is about constant, and an end token that it alone decides: never, for now."""
    import torch

    with torch.no_grad():
        model.get_input_embeddings().weight[:, 0] = 0.3
        head = model.get_output_embeddings().weight
        head[:, 0] = 0.0
        head[EOS, 0] = NEVER


def end_answers(model: Any, new: int) -> None:
    """Raise the end token until the expected length of answers to sums is `new / 4`, limit included."""
    import torch

    generator = torch.Generator().manual_seed(0)
    text = torch.randint(4, model.config.vocab_size, (64, PROMPT + new), generator=generator)
    digits = torch.arange(19, 29)  # ids of 0 to 9 in the tokenizer of `write_model`
    text[:, :PROMPT] = digits[torch.randint(10, (64, PROMPT), generator=generator)]
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        low, high = 0.0, 10.0
        for _ in range(20):
            head[EOS, 0] = middle = (low + high) / 2
            ending = model(text).logits[:, PROMPT - 1 : -1].softmax(-1)[..., EOS]
            expected = 1 + (1 - ending[:, :-1]).cumprod(dim=1).sum(dim=1).mean().item()
            low, high = (low, middle) if expected < new / 4 else (middle, high)


def make_trainer(args: argparse.Namespace) -> Any:
    """Build our trainer, as a run does, around the model and an environment of this benchmark."""
    import torch

    from rlenvs.agents.llm.config import TrainConfig
    from rlenvs.agents.llm.engines.configured import configured_engine
    from rlenvs.agents.llm.policy.loading import load_policy, load_reference
    from rlenvs.agents.llm.rollout.chat import ChatFormat
    from rlenvs.agents.llm.trainer import PPOTrainer
    from rlenvs.envs import Retry, SingleAnswer, TextVectorEnv
    from rlenvs.problems import ArithmeticSource
    from rlenvs.wrappers import VectorShapedReward

    config = TrainConfig.load(
        {
            "env": {"id": "rlenvs/Arithmetic-v0"},
            "rewards": REWARDS,
            "device": "cpu",
            "policy": {"model": args.model, "prompt_format": "plain"},
            "rollout": {
                "episodes": args.samples,
                "max_new_tokens": args.new,
                "context_tokens": 2048,
                "batch_size": args.samples,
                "engine": {"name": "static"},
            },
            "ppo": {
                "minibatches": args.minibatches,
                "kl_coef": KL,
                "learning_rate": LEARNING_RATE,
                "warmup_steps": 0,
                "lr_schedule": "constant",
            },
        },
        overrides=args.settings,
    )
    policy = load_policy(args.model, torch.device("cpu"), config.policy, config.memory, config.ppo.critic)
    reference = load_reference(policy, args.model, config.policy, config.memory)
    protocol = Retry(args.turns, feedback={"wrong": FEEDBACK, "unreadable": FEEDBACK}) if args.turns else SingleAnswer()
    source = ArithmeticSource(digits=7, zero_pad=True)
    envs = VectorShapedReward(TextVectorEnv(source, args.samples, None, "Disabled", protocol=protocol), config.rewards)
    engine = configured_engine(config.rollout.engine, policy, config.rollout.batch_size)
    return PPOTrainer(policy, reference, envs, ChatFormat(policy.tokenizer, "plain"), config, engine)


def watch(trainer: Any, clock: Callable[[], float]) -> Callable[[], dict[str, float]]:
    """Return what reads how long each phase of the iterations since the last reading took."""
    stopwatch = Stopwatch(clock)
    stopwatch.watch(trainer.engine, "generate", "generate")
    for method in ("reset", "step"):
        stopwatch.watch(trainer.envs, method, "env+reward")
    stopwatch.watch(trainer.learner, "learn", "learn")
    stopwatch.watch(trainer.learner, "update", "update")

    def read() -> dict[str, float]:
        found = dict.fromkeys((*PHASES, "learn"), 0.0) | stopwatch.read()
        return found | {"score": found.pop("learn") - found["update"]}

    return read


def contend(args: argparse.Namespace) -> None:
    """Be our contender: one iteration per turn."""
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    contender = Contender()
    trainer = make_trainer(args)
    read = watch(trainer, time.process_time if args.cpu_time else time.perf_counter)
    parameters = sum(parameter.numel() for parameter in trainer.policy.model.parameters())
    going = contender.ready(torch=torch.__version__, transformers=transformers.__version__, parameters=parameters)
    while going:
        metrics, records = trainer.iterate()
        tokens = sum(record["tokens"] for record in records)
        going = contender.done(tokens=tokens, phases=read(), kl=metrics.get("kl", 0.0))


def ours(name: str, args: argparse.Namespace, model: Path, load: str, settings: Sequence[str], log: Any) -> Process:
    """Start our contender."""
    command = [sys.executable, str(Path(__file__).resolve()), "--contend", "--model", str(model), *_sizes(args)]
    command += ["--settings", *settings, *args.settings]  # the command line's come last and win
    command += ["--ragged"] if load == "ragged" else []
    command += ["--turns", load.removeprefix("turns")] if load.startswith("turns") else []
    return Process(name, [*command, *(["--cpu-time"] if args.cpu_time else [])], args.threads, log)


def peer(algorithm: str, args: argparse.Namespace, model: Path, load: str, bf16: bool, log: Any) -> Process:
    """Start a trainer of TRL."""
    script = Path(__file__).resolve().parent / "peers" / "trl_iterations.py"
    python = args.trl_grpo if algorithm == "grpo" else args.trl_ppo
    command = [python, str(script), algorithm, "--model", str(model), *_sizes(args), "--group", str(GROUP)]
    command += ["--kl", str(KL), "--learning-rate", str(LEARNING_RATE)]
    command += [*(["--ragged"] if load == "ragged" else []), *(["--bf16"] if bf16 else [])]
    return Process(f"TRL {algorithm.upper()}{', bfloat16' if bf16 else ''}", command, args.threads, log)


def _sizes(args: argparse.Namespace) -> list[str]:
    names = ("samples", "new", "minibatches", "threads")
    return [part for name in names for part in (f"--{name}", str(getattr(args, name)))]


@contextlib.contextmanager
def contenders(args: argparse.Namespace, load: str, folder: Path) -> Iterator[list[Process]]:
    """Start all contenders of a load and wait until they are ready."""
    model = folder / ("ragged" if load == "ragged" else "fixed")
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / f"{load}.log").open("w+", encoding="utf-8"))
        found = []
        if load == "turns":
            for turns in (1, 2, 3):
                name = f"{turns} turn{'s' if turns > 1 else ''}"
                found.append(stack.enter_context(ours(name, args, model, f"turns{turns}", [], log)))
        else:
            for variant in args.variants:
                name = f"ours, {variant}"
                found.append(stack.enter_context(ours(name, args, model, load, VARIANTS[variant], log)))
            for algorithm, python in (("grpo", args.trl_grpo), ("ppo", args.trl_ppo)):
                for precision in args.peer_precisions if python else ():
                    bf16 = precision == "bfloat16"
                    found.append(stack.enter_context(peer(algorithm, args, model, load, bf16, log)))
        for process in found:
            process.wait()
        yield found


def measure(args: argparse.Namespace, load: str, folder: Path) -> list[Process]:
    """Run a load; return its contenders with what each turn took."""
    with contenders(args, load, folder) as found:
        for iteration in range(args.warmup + args.iterations):
            for process in found:
                process.turn(keep=iteration >= args.warmup)
    return found


def show(load: str, found: Sequence[Process], args: argparse.Namespace) -> None:
    """Print the table of a load."""
    clock = "cpu" if args.cpu_time else "wall"
    seconds = {process.name: process.median(lambda turn: turn["seconds"][clock]) for process in found}
    peers = [name for name in seconds if name.startswith("TRL")]
    columns = ["s/iteration", "fastest-slowest", "samples/s", "tokens/s", *PHASES, "peak MiB", "of it training"]
    print(f"\n{load}\n| contender | {' | '.join(columns)} | {' | '.join(f'x {name}' for name in peers)} |")
    print("|" + "---|" * (1 + len(columns) + max(1, len(peers))))
    for process in found:
        own = seconds[process.name]
        all_of_it = [turn["seconds"][clock] for turn in process.turns]
        tokens = process.median(lambda turn: turn["tokens"])
        cells = [f"{own:.3f}", f"{min(all_of_it):.3f}-{max(all_of_it):.3f}", f"{args.samples / own:.1f}"]
        cells.append(f"{tokens / own:.0f}" if tokens else "")
        cells += [_phase(process, phase, own) for phase in PHASES]
        peak = process.turns[-1]["peak"]
        cells += [f"{peak / 2**20:.0f}", f"{(peak - process.turns[-1]['resting']) / 2**20:.0f}"]
        cells += [f"{seconds[name] / own:.2f}x" for name in peers] or [""]
        print(f"| {process.name} | {' | '.join(cells)} |", flush=True)


def _phase(process: Process, phase: str, whole: float) -> str:
    if "phases" not in process.turns[0]:
        return ""
    seconds = process.median(lambda turn: turn["phases"][phase])
    return (
        f"{seconds:.3f} ({seconds / whole:.0%})" if phase != "env+reward" else f"{seconds:.3f} ({seconds / whole:.1%})"
    )


def show_growth(found: Sequence[Process], args: argparse.Namespace) -> None:
    """Print what a further turn costs."""
    clock = "cpu" if args.cpu_time else "wall"
    one, two, three = (process.median(lambda turn: turn["seconds"][clock]) for process in found)
    generating = [process.median(lambda turn: turn["phases"]["generate"]) for process in found]
    print(
        f"the second turn adds {two - one:.3f} s ({generating[1] - generating[0]:.3f} s of generation), "
        f"the third {three - two:.3f} s ({generating[2] - generating[1]:.3f} s)"
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl-grpo", metavar="PYTHON", help="interpreter with TRL")
    parser.add_argument("--trl-ppo", metavar="PYTHON", help="interpreter with TRL 1.12")
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=LOADS)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), help="of ours")
    parser.add_argument("--peer-precisions", nargs="+", choices=PEER_PRECISIONS, default=PEER_PRECISIONS)
    for name, default in {"samples": 64, "new": 64, "minibatches": 4, "layers": 4, "width": 256, "threads": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--iterations", type=int, default=7, help="of each contender, after those that warm up")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--settings", nargs="*", default=[], help="key=value of our configuration")
    parser.add_argument("--cpu-time", action="store_true", help="count processor seconds: fairer on a busy machine")
    parser.add_argument("--contend", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--ragged", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--turns", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table per load."""
    args = parse(arguments)
    if args.write:
        write_model(Path(args.model), args.layers, args.width, args.ragged, args.new)
        return
    if args.contend:
        contend(args)
        return
    with tempfile.TemporaryDirectory(prefix="llm-ppo-") as name:
        folder = Path(name)
        for kind in ("fixed", "ragged"):
            _write_model_apart(folder / kind, args, kind == "ragged")
        for number, load in enumerate(args.loads):
            found = measure(args, load, folder)
            if number == 0:
                describe(found, args)
            show(load, found, args)
            if load == "turns":
                show_growth(found, args)


def describe(found: Sequence[Process], args: argparse.Namespace) -> None:
    """Print what was measured on what."""
    facts = found[0].facts
    versions = {f"TRL {process.facts['trl']}" for process in found if "trl" in process.facts}
    print(
        f"{machine()}, {args.threads} threads; torch {facts['torch']}, transformers {facts['transformers']}"
        f"{''.join(f', {version}' for version in sorted(versions))}\n"
        f"{facts['parameters'] / 1e6:.2f}M parameters, {args.samples} samples, prompt {PROMPT}, at most {args.new} new "
        f"tokens, {args.minibatches} optimiser steps; medians of {args.iterations} iterations in "
        f"{'processor' if args.cpu_time else 'wall-clock'} seconds"
    )


def _write_model_apart(folder: Path, args: argparse.Namespace, ragged: bool) -> None:
    """Write a model in a process of its own: this one stays small, and its memory is not counted as a contender's."""
    command = [sys.executable, str(Path(__file__).resolve()), "--write", "--model", str(folder), "--new", str(args.new)]
    command += ["--layers", str(args.layers), "--width", str(args.width)]
    subprocess.run([*command, *(["--ragged"] if ragged else [])], check=True)


if __name__ == "__main__":
    main()
