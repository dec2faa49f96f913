"""Time a training step and a sampling step of the same UNet here and in PyTorch + diffusers, turn by turn.

For development only; nothing of the project runs it. Each round times `baddiff bench` and then every PyTorch
configuration, so that a slow moment of the machine hits both; what counts is the ratio within a round. Prints, for each
configuration, images a second and ours/theirs as median (least .. most) over the rounds, and the ratio to the best
of them. --json FILE keeps everything, versions included.

    make bench-peer          or: python tests/peer/bench.py [--net mini] [--rounds 5] [--threads 2] [--configs eager-nchw ...]
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import diffusers
import torch
from diffusers import UNet2DModel

D, A, U, AU = "DownBlock2D", "AttnDownBlock2D", "UpBlock2D", "AttnUpBlock2D"
NETS = {
    "mini": dict(sample_size=32, in_channels=1, out_channels=1, layers_per_block=1,
                 block_out_channels=(16, 32, 64), down_block_types=(D, D, A), up_block_types=(AU, U, U),
                 norm_num_groups=8),
    "cifar10": dict(sample_size=32, in_channels=3, out_channels=3, layers_per_block=2,
                    block_out_channels=(128, 256, 256, 256), down_block_types=(D, A, D, D),
                    up_block_types=(U, U, AU, U), norm_num_groups=32),
}
SHARED = dict(norm_eps=1e-6, attention_head_dim=None, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1)
CONFIGS = [f"{mode}-{layout}" + ("-bf16" if half else "") for half in (False, True)
           for mode in ("eager", "compiled") for layout in ("nchw", "nhwc")]


class Peer:
    """One configuration of PyTorch: a network with its optimiser, ready to step."""

    def __init__(self, net, config, batch):
        self.half = config.endswith("bf16")
        layout = torch.channels_last if "nhwc" in config else torch.contiguous_format
        torch.manual_seed(0)
        self.net = UNet2DModel(**NETS[net], **SHARED).to(memory_format=layout)
        self.call = torch.compile(self.net) if config.startswith("compiled") else self.net
        self.adam = torch.optim.Adam(self.net.parameters(), lr=1e-4)
        shape = (batch, NETS[net]["in_channels"], 32, 32)
        self.x = torch.randn(shape).to(memory_format=layout)
        self.y = torch.randn(shape).to(memory_format=layout)
        self.t = torch.arange(100, 100 + batch)

    def train(self):
        self.adam.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
            loss = torch.nn.functional.mse_loss(self.call(self.x, self.t).sample.float(), self.y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.adam.step()

    def sample(self):
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
            e = self.call(self.x, self.t).sample
            self.x = (0.99 * self.x - 0.01 * e + 0.001 * torch.randn_like(self.x)).clamp(-3, 3)

    def seconds(self, phase, repeat):
        step = self.train if phase == "train" else self.sample
        times = []
        for _ in range(repeat):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        return statistics.median(times)


def ours(program, net, batch, threads, repeat):
    """Images a second by phase."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "bench.json"
        subprocess.run([program, "bench", "--net", net, "--batch", str(batch), "--threads", str(threads),
                        "--repeat", str(repeat), "--json", file], check=True, stdout=subprocess.DEVNULL)
        report = json.loads(file.read_text())
    return {row["phase"]: row["images_per_s"] for row in report["results"]}, report["machine"]


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"


def measure(args, net):
    repeat = args.repeat or (9 if net == "mini" else 3)
    peers = {c: Peer(net, c, args.batch) for c in args.configs}
    for peer in peers.values():  # compile, first touch
        for phase in ("train", "sample"):
            peer.seconds(phase, 2)
    ours(args.baddiff, net, args.batch, args.threads, 1)
    rounds, machine = [], ""
    for _ in range(args.rounds):
        mine, machine = ours(args.baddiff, net, args.batch, args.threads, repeat)
        theirs = {c: {phase: args.batch / p.seconds(phase, repeat) for phase in mine} for c, p in peers.items()}
        rounds.append({"ours": mine, "theirs": theirs})
    return rounds, machine


def show(net, rounds, configs):
    for phase in ("train", "sample"):
        rates = [r["ours"][phase] for r in rounds]
        print(f"{net} {phase}: ours {spread(rates, 1)} images/s")
        for c in configs:
            other = [r["theirs"][c][phase] for r in rounds]
            ratio = [r["ours"][phase] / r["theirs"][c][phase] for r in rounds]
            print(f"  {c:20} {spread(other, 1):28} images/s   ours/theirs {spread(ratio)}")
        best = [r["ours"][phase] / max(r["theirs"][c][phase] for c in configs) for r in rounds]
        print(f"  {'best of each round':20} {'':28}            ours/theirs {spread(best)}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--baddiff", default="build/release/baddiff")
    p.add_argument("--net", choices=[*NETS, "both"], default="both")
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--repeat", type=int, default=0, help="steps a round; 0 = 9 for mini, 3 for cifar10")
    p.add_argument("--configs", nargs="+", choices=CONFIGS, default=CONFIGS[:4])
    p.add_argument("--json")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    kept = {"torch": torch.__version__, "diffusers": diffusers.__version__, "threads": args.threads,
            "batch": args.batch, "nets": {}}
    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}, {args.threads} threads, batch {args.batch}, "
          f"{args.rounds} rounds")
    for net in NETS if args.net == "both" else [args.net]:
        rounds, kept["machine"] = measure(args, net)
        kept["nets"][net] = rounds
        show(net, rounds, args.configs)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(kept, indent=1) + "\n")


main()
