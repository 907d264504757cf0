"""The arguments of every command; nothing here imports more than argparse."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

EXAMPLES = """\
  enfold run sentiment-analysis --model ./my-classifier "A warm and funny film."
  enfold run summarization --model ./my-bart --whole --file article.txt
  cat questions.txt | enfold run text-generation --model ./my-llm --set max_new_tokens=40 -
  enfold run question-answering --model M --set question="Who wrote it?" --file page.txt --whole
  enfold chat --model ./my-chat-model
  enfold info bert-base-uncased
  enfold train --example text-classification > recipe.yaml
  enfold train recipe.yaml --dry-run
  enfold convert ./my-llm --to gguf --type q8_0 --out my-llm.gguf
  enfold quantize ./my-llm --method gptq --group-size 128 --text sample.txt --out ./my-llm-int4
  enfold plot ./my-run
  enfold cache prune --limit 50GB
  enfold launch --nproc-per-node 4 train.py --learning_rate 3e-5
"""


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, and leave with exit code 2."""
        self.exit(2, f"{self.prog}: {message}. Do: {self.prog} --help\n")


class Version(argparse.Action):
    """`--version`, which reads the package's metadata only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"enfold {version('enfold')}")
        parser.exit()


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line's `.command`, `.debug` and the command's own arguments.

    argparse takes no further TEXT once an option has followed TASK: those come back as extras.
    """
    split = argv.index("--") if "--" in argv else len(argv)
    parser = build()
    args, extra = parser.parse_known_args(argv[:split])
    extra_texts = [*extra, *argv[split + 1:]]
    if args.command == "launch" and not extra:
        args.arguments += argv[split:]
        return args
    unknown = [word for word in extra if word.startswith("-") and word != "-"]
    if unknown or (extra_texts and args.command != "run"):
        parser.prog += f" {args.command}"
        parser.error(f"unknown argument {(unknown or extra_texts)[0]}")
    if extra_texts:
        args.texts = [*args.texts, *extra_texts]
    return args


def build() -> Parser:
    """The parser and those of its commands."""
    parser = Parser(prog="enfold", epilog="examples:\n" + EXAMPLES,
                    formatter_class=argparse.RawDescriptionHelpFormatter,
                    description="Run, chat with and look into models, from a folder or the Hub.")
    parser.add_argument("--version", action=Version, nargs=0, help="print the version")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    shared = Parser(add_help=False)
    shared.add_argument("--debug", action="store_true", default=argparse.SUPPRESS,
                        help="show the traceback of an error")
    for name, summary, arguments in (
        ("run", "a task's pipeline over texts", run),
        ("chat", "talk with a model, streaming", chat),
        ("info", "what a model is: family, spec, parameters, memory, files", info),
        ("env", "versions, hardware, caches and settings, for a bug report", env),
        ("train", "a training run that a YAML or JSON file describes", train),
        ("convert", "a checkpoint to GGUF for llama.cpp, or a GGUF file to safetensors", convert),
        ("quantize", "linear layers in fewer bits, perplexity before and after", quantize),
        ("plot", "loss and metric curves of a training run", plot),
        ("cache", "the results of maps and filters that are kept on disk", cache),
        ("launch", "a training script on several processes or machines (torchrun)", launch),
    ):
        arguments(commands.add_parser(name, help=summary, parents=[shared],
                                      description=summary[0].upper() + summary[1:] + "."))
    return parser


def run(parser: argparse.ArgumentParser) -> None:
    """enfold run TASK --model M [TEXT ... | - | --file F]."""
    parser.add_argument("task", metavar="TASK", help="such as text-classification or summarization")
    parser.add_argument("texts", metavar="TEXT", nargs="*", default=[],
                        help="inputs; - reads standard input, one input a line")
    parser.add_argument("--file", "-f", metavar="F", help="read the inputs from a file, one a line")
    parser.add_argument("--whole", action="store_true",
                        help="the file or standard input is one text, not one a line")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each input")
    parser.add_argument("--batch-size", type=int, metavar="N",
                        help="inputs per batch (default: by length, within a token budget)")
    model_arguments(parser, "the task's default model")


def chat(parser: argparse.ArgumentParser) -> None:
    """enfold chat --model M."""
    parser.add_argument("--system", metavar="TEXT", help="the system message")
    parser.add_argument("--max-new-tokens", type=int, default=1024, metavar="N",
                        help="longest answer (default: %(default)s)")
    model_arguments(parser)


def info(parser: argparse.ArgumentParser) -> None:
    """enfold info M."""
    parser.add_argument("model", metavar="M", help="a folder, or a repository of the Hub")
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of the repository")
    parser.add_argument("--json", action="store_true", help="print JSON")


def env(parser: argparse.ArgumentParser) -> None:
    """enfold env."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def train(parser: argparse.ArgumentParser) -> None:
    """enfold train RECIPE | --example TASK."""
    parser.add_argument("recipe", metavar="RECIPE", nargs="?",
                        help="a .yaml or .json file: task, model, data, adapter, training, output")
    parser.add_argument("--example", metavar="TASK",
                        help="print a recipe with comments for text-classification, "
                             "token-classification, question-answering, causal-lm, masked-lm or "
                             "seq2seq")
    parser.add_argument("--dry-run", action="store_true",
                        help="load data and model, print rows, parameters and steps, and stop")
    parser.add_argument("--resume", action="store_true",
                        help="go on from the last checkpoint in the output")


def convert(parser: argparse.ArgumentParser) -> None:
    """enfold convert MODEL --to gguf | safetensors."""
    parser.add_argument("model", metavar="MODEL",
                        help="a folder, a repository of the Hub, or a GGUF file")
    parser.add_argument("--to", required=True, choices=("gguf", "safetensors"), help="the format")
    parser.add_argument("--type", choices=("f32", "f16", "bf16", "q8_0", "q4_0"), metavar="T",
                        help="what matrices are stored as: f32, f16, bf16, and for GGUF q8_0, q4_0 "
                             "(default: f16 for GGUF, as they are for safetensors)")
    parser.add_argument("--out", "-o", metavar="PATH",
                        help="the GGUF file, or the folder for safetensors (default: named after "
                             "the model, in this folder)")
    parser.add_argument("--gguf-file", metavar="NAME",
                        help="the GGUF file of the folder or repository to convert")
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of the repository")


def quantize(parser: argparse.ArgumentParser) -> None:
    """enfold quantize MODEL --method gptq --text FILE --out DIR."""
    parser.add_argument("model", metavar="MODEL", help="a folder, or a repository of the Hub")
    parser.add_argument("--method", required=True,
                        choices=("gptq", "awq", "int4", "int8", "fp8", "nf4", "fp4"),
                        help="gptq and awq look at what goes through the layers for --text; the "
                             "others round each weight to the nearest")
    parser.add_argument("--bits", type=int, choices=(2, 3, 4, 8), metavar="N",
                        help="of gptq: 2, 3, 4 or 8 (default: 4)")
    parser.add_argument("--group-size", type=int, metavar="N",
                        help="inputs that share a scale, -1 for all (default: 128; all for int8)")
    parser.add_argument("--asymmetric", action="store_true",
                        help="gptq: groups have a zero of their own, as those of awq and int4 do")
    parser.add_argument("--act-order", action="store_true",
                        help="gptq: take inputs by descending activation (desc_act)")
    parser.add_argument("--static-groups", action="store_true",
                        help="with --act-order: groups stay runs of inputs, which is faster to run")
    parser.add_argument("--damp", type=float, default=0.01, metavar="X",
                        help="gptq: share of the Hessian's mean diagonal that is added to it "
                             "(default: %(default)s)")
    parser.add_argument("--layout", choices=("gptq", "awq", "compressed-tensors"),
                        help="how gptq's and awq's layers are stored (default: as the method is "
                             "called)")
    parser.add_argument("--text", metavar="FILE",
                        help="a text: its first half calibrates, the rest measures perplexity")
    parser.add_argument("--samples", type=int, default=128, metavar="N",
                        help="windows of the text for either (default: %(default)s)")
    parser.add_argument("--seq-length", type=int, metavar="N",
                        help="tokens of a window (default: 512, or what the model has)")
    parser.add_argument("--dtype", metavar="T", default="auto",
                        help="of what is not quantized (default: as in the checkpoint)")
    parser.add_argument("--out", "-o", metavar="DIR",
                        help="where the model goes (default: measure only)")
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of the repository")
    parser.add_argument("--json", action="store_true", help="print JSON")


def plot(parser: argparse.ArgumentParser) -> None:
    """enfold plot RUN."""
    parser.add_argument("run", metavar="RUN",
                        help="the output_dir of a run, a checkpoint, or a trainer_state.json")
    parser.add_argument("--metric", metavar="NAME", action="append",
                        help="draw this, such as grad_norm or eval_f1 (default: losses and "
                             "metrics); may be repeated")
    parser.add_argument("--out", "-o", metavar="PNG",
                        help="where the picture goes (default: RUN/curves.png, if matplotlib is "
                             "installed)")
    parser.add_argument("--text", action="store_true", help="draw in the terminal only")
    parser.add_argument("--width", type=int, metavar="N",
                        help="characters in a line (default: the terminal's)")


def cache(parser: argparse.ArgumentParser) -> None:
    """enfold cache ls | rm KEY ... | verify [KEY ...] | prune."""
    shared = Parser(add_help=False)
    shared.add_argument("--folder", metavar="DIR",
                        help="another cache (default: ENFOLD_CACHE, or ~/.cache/enfold/data)")
    shared.add_argument("--json", action="store_true", help="print JSON")
    shared.add_argument("--debug", action="store_true", default=argparse.SUPPRESS,
                        help="show the traceback of an error")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, summary: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=summary, parents=[shared],
                                  description=summary[0].upper() + summary[1:] + ".")

    action("ls", "list results: size, last use, what they are, key")
    remove = action("rm", "remove results, which are computed again when they are needed")
    remove.add_argument("keys", metavar="KEY", nargs="*", help="a key, or the beginning of one")
    remove.add_argument("--all", action="store_true", help="remove everything")
    remove.add_argument("--force", action="store_true", help="also what a process is reading")
    check = action("verify", "read every byte of results and remove damaged ones")
    check.add_argument("keys", metavar="KEY", nargs="*", help="only these (default: all)")
    check.add_argument("--keep", action="store_true", help="leave damaged results where they are")
    trim = action("prune", "remove leftovers of killed processes, damaged results, and old ones")
    trim.add_argument("--limit", metavar="SIZE", type=bytes_of,
                      help="remove the least recently used above 50GB, 500MB, ... (default: the "
                           "cache's limit)")
    trim.add_argument("--unused", metavar="DAYS", type=float,
                      help="remove what was not used for so many days")


def launch(parser: argparse.ArgumentParser) -> None:
    """enfold launch [--nproc-per-node N] [--ray] SCRIPT [ARGUMENT ...]."""
    parser.add_argument("--nproc-per-node", "-n", metavar="N",
                        help="processes on this machine: a number, gpu, cpu or auto (default: one "
                             "for each GPU, or one)")
    parser.add_argument("--nnodes", default="1", metavar="N",
                        help="machines, or MIN:MAX of them (default: %(default)s)")
    parser.add_argument("--rdzv-endpoint", metavar="HOST:PORT",
                        help="where several machines meet: the same on all")
    parser.add_argument("--rdzv-id", default="enfold", metavar="ID",
                        help="a name of the run, the same on all machines (default: %(default)s)")
    parser.add_argument("--max-restarts", type=int, default=0, metavar="N",
                        help="start all processes again so often when one fails (default: 0); the "
                             "script resumes with resume_from_checkpoint")
    parser.add_argument("--ray", action="store_true",
                        help="on machines of a Ray cluster: --nnodes places with "
                             "--nproc-per-node CPUs, and as many GPUs if there are")
    parser.add_argument("--address", metavar="A",
                        help="with --ray: auto, ray://HOST:10001 or HOST:6379 (default: the "
                             "cluster that Ray finds, or this machine)")
    parser.add_argument("--module", action="store_true", help="SCRIPT is the name of a module")
    parser.add_argument("script", metavar="SCRIPT", help="a Python script")
    parser.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER,
                        help="its arguments")


def model_arguments(parser: argparse.ArgumentParser, default: str = "") -> None:
    """The model (required unless there is a `default`), where it runs, arguments of the call."""
    parser.add_argument("--model", "-m", required=not default, metavar="M",
                        help="a folder, or a repository of the Hub"
                             + (f" (default: {default})" if default else ""))
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of the repository")
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, ... (default: the best)")
    parser.add_argument("--dtype", metavar="T", default="auto",
                        help="float32, bfloat16, ... (default: as in the checkpoint)")
    parser.add_argument("--set", dest="options", metavar="KEY=VALUE", type=option, action="append",
                        default=[], help="an argument of the call, such as temperature=0.7; "
                                         "the value is JSON, or else text; may be repeated")


def option(text: str) -> tuple[str, object]:
    """`key=value`, the value as JSON where it is JSON."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    import json

    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def bytes_of(text: str) -> int:
    """A size such as 50GB; 0 is one too."""
    from enfold.files.shards import parse_size

    try:
        return 0 if text.strip() == "0" else parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a size such as 50GB, got {text!r}") from error
