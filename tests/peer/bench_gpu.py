"""Time a training step and a network evaluation of the same UNet in PyTorch + diffusers on a CUDA device.

For development only; nothing of the project runs it but scripts/check-gpu. Each round times every configuration once, and
`baddiff bench` too when it is given, so that a slow moment of the machine hits all of them. Prints comments with the
versions, then CSV: median, least and most of the rounds, as images a second (phase sample: images times evaluations).

    python tests/peer/bench_gpu.py [--baddiff build/release/baddiff] [--nets cifar10 celebahq] [--rounds 5] [--seconds 120]
    python tests/peer/bench_gpu.py --device cpu --tiny        that it runs at all
"""

import argparse
import csv
import gc
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import diffusers
import torch
from diffusers import UNet2DModel

D, A, U, AU = "DownBlock2D", "AttnDownBlock2D", "UpBlock2D", "AttnUpBlock2D"
NETS = {
    "cifar10": dict(sample_size=32, layers_per_block=2, block_out_channels=(128, 256, 256, 256),
                    down_block_types=(D, A, D, D), up_block_types=(U, U, AU, U), norm_num_groups=32),
    "celebahq": dict(sample_size=256, layers_per_block=2, block_out_channels=(128, 128, 256, 256, 512, 512),
                     down_block_types=(D, D, D, D, A, D), up_block_types=(U, AU, U, U, U, U), norm_num_groups=32),
    "tiny": dict(sample_size=8, layers_per_block=1, block_out_channels=(16, 32), down_block_types=(D, A),
                 up_block_types=(AU, U), norm_num_groups=8),
}
SHARED = dict(in_channels=3, out_channels=3, norm_eps=1e-6, attention_head_dim=None, downsample_padding=0,
              flip_sin_to_cos=False, freq_shift=1)
PARAMETERS = {"cifar10": 35_746_307, "celebahq": 113_673_219}

# What is timed, in this order: the network's phases with their batches.
WORK = {"cifar10": [("train", 128), ("sample", 256), ("sample", 1024)], "celebahq": [("train", 64), ("sample", 64)],
        "tiny": [("train", 2), ("sample", 4)]}

# Name: autocast type (None: float32, with TF32 products), channels_last, compiled. Those that matter most come first.
CONFIGS = {
    "bf16-nhwc": (torch.bfloat16, True, False),
    "bf16-nhwc-compiled": (torch.bfloat16, True, True),
    "fp16-nhwc": (torch.float16, True, False),
    "tf32": (None, False, False),
    "bf16": (torch.bfloat16, False, False),
    "fp16-nhwc-compiled": (torch.float16, True, True),
    "tf32-compiled": (None, False, True),
}
OURS = {"bf16-nhwc": "bf16", "fp16-nhwc": "fp16", "tf32": "tf32"}


class Peer:
    """One configuration of one phase: a network, ready to step."""

    def __init__(self, net, phase, batch, config, device):
        self.type, last, compiled = CONFIGS[config]
        self.phase, self.batch, self.device = phase, batch, device
        layout = torch.channels_last if last else torch.contiguous_format
        torch.manual_seed(0)
        self.net = UNet2DModel(**NETS[net], **SHARED).to(device, memory_format=layout)
        count = sum(p.numel() for p in self.net.parameters())
        if count != PARAMETERS.get(net, count):
            raise SystemExit(f"{net}: {count} parameters, not {PARAMETERS[net]}: this is another network")
        self.call = torch.compile(self.net) if compiled else self.net
        size = NETS[net]["sample_size"]
        self.x = torch.randn(batch, 3, size, size, device=device).to(memory_format=layout)
        self.t = torch.arange(batch, device=device) % 800 + 100
        self.train_mode = phase == "train"
        self.net.train(self.train_mode)
        if self.train_mode:
            self.y = torch.randn(batch, 3, size, size, device=device).to(memory_format=layout)
            self.adam = torch.optim.Adam(self.net.parameters(), lr=1e-4, fused=device == "cuda")
            self.scaler = torch.amp.GradScaler(device, enabled=self.type is torch.float16 and device == "cuda")
        else:  # weights cast once, as for inference; float32 stays float32
            self.net.requires_grad_(False)
            if self.type:
                self.net.to(self.type)

    def evaluate(self, x):
        return self.call(x, self.t, return_dict=False)[0]

    def train(self):
        self.adam.zero_grad(set_to_none=True)
        with torch.autocast(self.device, dtype=self.type, enabled=self.type is not None):
            loss = torch.nn.functional.mse_loss(self.evaluate(self.x).float(), self.y)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.adam)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.scaler.step(self.adam)
        self.scaler.update()

    def sample(self):
        with torch.inference_mode():
            self.evaluate(self.x.to(self.type) if self.type else self.x)

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def rate(self, repeat):
        """Images a second: the median of so many steps, each waited for, as baddiff bench does."""
        step = self.train if self.train_mode else self.sample
        times = []
        for _ in range(repeat):
            self.wait()
            start = time.perf_counter()
            step()
            self.wait()
            times.append(time.perf_counter() - start)
        return self.batch / statistics.median(times)


def ours(program, net, phase, batch, precision, repeat):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "bench.json"
        subprocess.run([program, "bench", "--device", "cuda", "--precision", precision, "--net", net, "--phase", phase,
                        "--batch", str(batch), "--threads", "1", "--repeat", str(repeat), "--json", file],
                       check=True, stdout=subprocess.DEVNULL)
        return json.loads(file.read_text())["results"][0]["images_per_s"]


def free_memory(device):
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    torch.compiler.reset()


def measure(args, net, phase, batch, config):
    """Rates of the peer and of ours, round by round; ours is empty when it is not asked for."""
    theirs, mine = [], []
    peer = Peer(net, phase, batch, config, args.device)
    peer.rate(3)  # compile, choose algorithms, first touch
    for _ in range(args.rounds):
        theirs.append(peer.rate(args.repeat))
        if args.baddiff and config in OURS:
            # Two processes share the memory: theirs gives back what it does not use.
            if args.device == "cuda":
                torch.cuda.empty_cache()
            try:
                mine.append(ours(args.baddiff, net, phase, batch, OURS[config], args.repeat))
            except subprocess.CalledProcessError as e:
                print(f"# failed: baddiff {net} {phase} {batch} {OURS[config]}: exit {e.returncode}", flush=True)
    return theirs, mine


def show(out, what, program, config, rates):
    if rates:
        out.writerow([*what, program, config, *(f"{f(rates):.2f}" for f in (statistics.median, min, max)), len(rates)])
        sys.stdout.flush()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--baddiff", help="time this program in the same rounds")
    p.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    p.add_argument("--tiny", action="store_true", help="one tiny network: does all of this run?")
    p.add_argument("--nets", nargs="+", choices=list(PARAMETERS), default=list(PARAMETERS))
    p.add_argument("--configs", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--repeat", type=int, default=9, help="steps a round; their median counts")
    p.add_argument("--seconds", type=float, default=1e9, help="begin nothing more after so many")
    args = p.parse_args()
    start = time.perf_counter()
    if args.device == "cuda":
        if not torch.cuda.is_available():
            raise SystemExit("torch sees no CUDA device")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        print(f"# {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
    print(f"# torch {torch.__version__}, diffusers {diffusers.__version__}, python {sys.version.split()[0]}, "
          f"{args.rounds} rounds of {args.repeat} steps", flush=True)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow("net phase batch program config images_per_s least most rounds".split())
    failed = 0
    for config, net in itertools.product(args.configs, ["tiny"] if args.tiny else args.nets):
        for phase, batch in WORK[net]:
            what = (net, phase, batch)
            if time.perf_counter() - start > args.seconds:
                print("# not begun, the time was over:", *what, config, flush=True)
                continue
            free_memory(args.device)
            try:
                theirs, mine = measure(args, *what, config)
            except RuntimeError as e:  # out of memory, or the compiler's
                print("# failed:", *what, config, (str(e) or repr(e)).splitlines()[0], flush=True)
                failed += 1
                continue
            show(out, what, "torch", config, theirs)
            show(out, what, "baddiff", OURS.get(config, ""), mine)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
