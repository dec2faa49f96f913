"""Time a training step and a network evaluation of sampling, of the same UNet here and in PyTorch + diffusers, in turns.

For development only; nothing of the project runs it. Each configuration of PyTorch (eager or compiled, NCHW or
channels_last, float32 or autocast to bf16) lives in a process of its own and waits there for its turn. A round times
`baddiff bench` and every configuration one after the other, each round beginning with another one, so that a slow moment
of the machine hits all of them; what counts is the ratio within a round. A training step is forward, backward, clipping
and Adam (PyTorch's fused one); an evaluation is the network alone.

A configuration whose step takes longer than --limit seconds is stopped when it warms up, is reported as slower than
that, and takes no part in the rounds. Compiled configurations need g++.

Prints images a second and ours/theirs as median (least .. most) over the rounds, the ratio to the best of each precision
in each round, and ours as a part of the convolutions' own rate (baddiff bench --ceilings). --csv FILE keeps every number,
the machine, the versions and the summary.

    make bench-peer PEER_ARGS='--net mini --csv FILE'      or: python tests/peer/bench.py [--net mini] [--rounds 5] ...
"""

import argparse
import csv
import ctypes
import importlib.metadata
import json
import multiprocessing
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

D, A, U, AU = "DownBlock2D", "AttnDownBlock2D", "UpBlock2D", "AttnUpBlock2D"
NETS = {
    "mini": dict(sample_size=32, in_channels=1, out_channels=1, layers_per_block=1,
                 block_out_channels=(16, 32, 64), down_block_types=(D, D, A), up_block_types=(AU, U, U),
                 norm_num_groups=8),
    "cifar10": dict(sample_size=32, in_channels=3, out_channels=3, layers_per_block=2,
                    block_out_channels=(128, 256, 256, 256), down_block_types=(D, A, D, D),
                    up_block_types=(U, U, AU, U), norm_num_groups=32),
}
PARAMETERS = {"mini": 686_769, "cifar10": 35_746_307}
SHARED = dict(norm_eps=1e-6, attention_head_dim=None, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1)
MODES = [f"{mode}-{layout}" for mode in ("eager", "compiled") for layout in ("nchw", "nhwc")]
CONFIGS = MODES + [f"{m}-bf16" for m in MODES]
PHASES = ("train", "sample")
FLAGS = "fma f16c avx2 avx512f avx512vl avx512_vnni avx512_bf16 avx512_fp16 amx_tile amx_int8 amx_bf16".split()
OURS, CEILING = "baddiff", "baddiff-ceiling"
COLUMNS = "net,phase,precision,who,round,images_per_s,threads,batch".split(",")


# --- their side: one process a configuration ---

class Peer:
    """A network with its optimiser, ready to step."""

    def __init__(self, net, config, batch):
        import torch
        from diffusers import UNet2DModel
        self.torch, self.half = torch, config.endswith("bf16")
        layout = torch.channels_last if "nhwc" in config else torch.contiguous_format
        torch.manual_seed(0)
        self.net = UNet2DModel(**NETS[net], **SHARED).to(memory_format=layout)
        count = sum(p.numel() for p in self.net.parameters())
        if count != PARAMETERS[net]:
            raise ValueError(f"{net}: {count} parameters, not {PARAMETERS[net]}: this is another network")
        self.call = torch.compile(self.net) if config.startswith("compiled") else self.net
        self.adam = torch.optim.Adam(self.net.parameters(), lr=1e-4, fused=True)
        shape = (batch, NETS[net]["in_channels"], 32, 32)
        self.x = torch.randn(shape).to(memory_format=layout)
        self.y = torch.randn(shape).to(memory_format=layout)
        self.t = torch.arange(100, 100 + batch)

    def evaluate(self):
        with self.torch.autocast("cpu", dtype=self.torch.bfloat16, enabled=self.half):
            return self.call(self.x, self.t, return_dict=False)[0]

    def train(self):
        self.adam.zero_grad(set_to_none=True)
        self.torch.nn.functional.mse_loss(self.evaluate().float(), self.y).backward()
        self.torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.adam.step()

    def sample(self):
        with self.torch.no_grad():
            self.evaluate()

    def seconds(self, phase, repeat):
        step, times = getattr(self, phase), []
        for _ in range(repeat):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        return times


def serve(pipe, net, config, batch, threads):
    """Says [] when it is ready, then answers (phase, repeat) with the seconds of each step, or what went wrong as text."""
    os.setsid()  # the compiler's processes end with this one
    try:
        import torch
        torch.set_num_threads(threads)
        peer = Peer(net, config, batch)
        trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)
        times = []
        while True:
            trim(0)  # the others need the memory
            pipe.send(times)
            times = peer.seconds(*pipe.recv())
    except EOFError:
        pass
    except Exception as e:  # whatever PyTorch or its compiler raise: told, not hidden
        pipe.send(f"{type(e).__name__}: {(str(e) or repr(e)).splitlines()[0]}")


class Slow(Exception):
    pass


class Worker:
    """The process of a configuration, seen from here; started when it is asked for something."""

    def __init__(self, net, config, args):
        self.config, self.name = config, config.removesuffix("-bf16")
        self.precision = "bf16" if config.endswith("bf16") else "f32"
        self.what, self.process = (net, config, args.batch, args.threads), None

    def start(self):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, *self.what))
        self.process.start()
        other.close()

    def stop(self):
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:  # not there any more, or not yet a group of its own
            self.process.kill()
        self.process.join()
        self.process = None

    def answer(self, limit):
        if not self.pipe.poll(limit):
            self.stop()
            raise Slow
        try:
            answer = self.pipe.recv()
        except EOFError:
            answer = "the process ended (out of memory?)"
        if isinstance(answer, str):
            self.stop()
            raise RuntimeError(answer)
        return answer

    def ask(self, phase, repeat, limit=None):
        """Seconds of so many steps; Slow: not done within the limit; RuntimeError: their error."""
        if self.process is None:
            self.start()
            self.answer(None)
        self.pipe.send((phase, repeat))
        return self.answer(limit)


# --- our side ---

class Ours:
    """Runs of `baddiff bench`."""

    def __init__(self, precision, net, args):
        self.precision, self.net, self.args, self.report = precision, net, args, None

    def measure(self, phase, repeat):
        """Images a second, and those that the ceiling of the convolutions stands for (None: not measured)."""
        a = self.args
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "bench.json"
            command = [a.baddiff, "bench", "--device", "cpu", "--net", self.net, "--phase", phase, "--batch", str(a.batch),
                       "--threads", str(a.threads), "--repeat", str(repeat), "--precision", self.precision, "--json", file]
            if a.threads <= len(os.sched_getaffinity(0)):
                command.append("--ceilings")
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            self.report = json.loads(file.read_text())
        row = self.report["results"][0]
        percent = row.get("ceiling_percent")
        return row, row["images_per_s"], row["images_per_s"] / percent * 100 if percent else None


# --- what is written ---

class Record:
    """Every line of a run: lines beginning with # on stdout and in the file, rows in the file alone."""

    def __init__(self, path):
        self.file = open(path, "w", newline="") if path else None
        self.csv = csv.writer(self.file, lineterminator="\n") if path else None

    def say(self, text=""):
        print(text, flush=True)
        self.note(text)

    def note(self, text):
        if self.file:
            self.file.write(f"# {text}".rstrip() + "\n")
            self.file.flush()

    def row(self, *values):
        if self.file:
            self.csv.writerow(values)
            self.file.flush()


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return f"no {pathlib.Path(command[0]).name}"


def cpuinfo(key):
    found = re.search(rf"^{key}\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return found.group(1).strip() if found else "?"


def busy(seconds=2.0):
    """Processors that were at work for others, or taken by the host, while this program slept."""
    def jiffies():
        t = [int(v) for v in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(t) - t[3] - t[4], sum(t)  # without idle and waiting for disks
    before = jiffies()
    time.sleep(seconds)
    after = jiffies()
    return (after[0] - before[0]) / max(1, after[1] - before[1]) * os.cpu_count()


def say_busy(record, when):
    others = busy()
    record.say(f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {when}: {others:.2f} of {os.cpu_count()} processors busy "
               "with other work")
    if others > 0.1:
        record.say("NOT A QUIET MACHINE: threads of OpenMP wait for each other and lose more by that than ours; ratios "
                   "are not to be quoted")


def describe(record, args):
    import torch
    flags = set(cpuinfo("flags").split())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    dnnl = re.search(r"MKL-DNN (v[\d.]+)", torch.__config__.show())
    record.say(f"machine: {cpuinfo('model name')}, family {cpuinfo('cpu family')}, model {cpuinfo('model')}; "
               f"{len(os.sched_getaffinity(0))} processors, {memory:.1f} GiB")
    record.say(f"flags: {' '.join(f for f in FLAGS if f in flags)}; not there: {' '.join(f for f in FLAGS if f not in flags)}")
    record.say(f"ours: {first_line([args.baddiff, 'version'])}")
    record.say(f"theirs: torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}, oneDNN "
               f"{dnnl.group(1) if dnnl else '?'}), diffusers {importlib.metadata.version('diffusers')}, "
               f"python {sys.version.split()[0]}, {first_line(['g++', '--version'])}; fused Adam, torch.compile as it comes")
    record.say(f"{args.threads} threads, batch {args.batch}, {args.rounds} rounds; limit {args.limit:g} s a step, "
               f"{args.compile_limit:g} s to compile")
    say_busy(record, "before")
    record.row(*COLUMNS)


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"


# --- a network ---

def warm_up(worker, phase, args):
    """Compile and first touch, then one step that must stay within the limit. Returns why it is cut, or ""."""
    compiled = worker.config.startswith("compiled")
    first = 3 * args.limit + (args.compile_limit if compiled else 0)
    try:
        worker.ask(phase, 1, first)
    except Slow:
        return f"the first step was not done after {first:g} s" + (", compilation included" if compiled else
                                                                   f": slower than {args.batch / first:.3g} images/s")
    except RuntimeError as e:
        return f"failed: {e}"
    try:
        worker.ask(phase, 1, args.limit)
    except Slow:
        return f"a step took more than {args.limit:g} s: slower than {args.batch / args.limit:.3g} images/s"
    except RuntimeError as e:
        return f"failed: {e}"
    return ""


def one_turn(who, phase, repeat, args):
    """The rates of one turn by name; empty when it failed."""
    if isinstance(who, Ours):
        _, rate, ceiling = who.measure(phase, repeat)
        return {(who.precision, OURS): rate} | ({(who.precision, CEILING): ceiling} if ceiling else {})
    times = who.ask(phase, 1 + repeat)[1:]  # one step to find code and data again
    return {(who.precision, who.name): args.batch / statistics.median(times)}


def measure_phase(record, net, phase, ours, workers, args):
    """[round] -> {(precision, who): images a second}"""
    repeat = args.repeat or (9 if net == "mini" else 3)
    taking_part = list(ours)
    for w in workers:
        print(f"warming up {net} {phase} {w.config}", file=sys.stderr, flush=True)
        why = warm_up(w, phase, args)
        if why:
            record.say(f"cut: {net} {phase} {w.name} {w.precision}: {why}")
        else:
            taking_part.append(w)
    rounds = []
    for k in range(args.rounds):
        print(f"{net} {phase}: round {k + 1} of {args.rounds}", file=sys.stderr, flush=True)
        rates, turn = {}, k % len(taking_part)
        for who in taking_part[turn:] + taking_part[:turn]:
            try:
                rates |= one_turn(who, phase, repeat, args)
            except RuntimeError as e:
                record.say(f"failed: {net} {phase} {who.name} {who.precision}, round {k + 1}: {e}")
                taking_part = [t for t in taking_part if t is not who]
        for (precision, name), rate in rates.items():
            record.row(net, phase, precision, name, k + 1, f"{rate:.4f}", args.threads, args.batch)
        rounds.append(rates)
    return rounds


def show_ours(record, net, phase, o, rounds):
    """Ours alone, and as a part of what its convolutions give."""
    record.say(f"{net} {phase}: ours {o.precision} {spread([r[o.precision, OURS] for r in rounds], 1)} images/s")
    if (o.precision, CEILING) not in rounds[0]:
        return
    part = [100 * r[o.precision, OURS] / r[o.precision, CEILING] for r in rounds]
    row, copy = o.report["results"][0], o.report["ceilings"]["copy_GB_per_s"]
    record.say(f"  {spread(part, 1)} % of its convolutions' own rate; last round: {row['GFLOP_per_s']:.1f} of "
               f"{row['ceiling_GFLOP_per_s']:.1f} GFLOP/s (direct convolutions counted), copies {copy:.1f} GB/s; "
               f"{o.report['machine']}, {o.report['instruction_set']}")


def show_ratios(record, o, rounds, workers):
    mine = [r[o.precision, OURS] for r in rounds]
    everywhere = [(w.precision, w.name) for w in workers if all((w.precision, w.name) in r for r in rounds)]
    for precision, name in everywhere:
        theirs = [r[precision, name] for r in rounds]
        record.say(f"  {name:14} {precision:5} {spread(theirs, 1):28} images/s   ours/theirs "
                   f"{spread([m / t for m, t in zip(mine, theirs)])}")
    for precision in ("f32", "bf16"):
        names = [n for p, n in everywhere if p == precision]
        if not names:
            record.say(f"  best {precision}: none took part in every round")
            continue
        best = [max(r[precision, n] for n in names) for r in rounds]
        name = max(names, key=lambda n: statistics.median(r[precision, n] for r in rounds))
        record.say(f"  best {precision} of each round ({name} in the median): ours/theirs "
                   f"{spread([m / b for m, b in zip(mine, best)])}")


def measure(record, net, args):
    workers = [Worker(net, c, args) for c in args.configs]
    try:
        for phase in args.phases:
            ours = [Ours(p, net, args) for p in args.ours_precisions]
            rounds = measure_phase(record, net, phase, ours, workers, args)
            for o in ours:
                show_ours(record, net, phase, o, rounds)
                show_ratios(record, o, rounds, workers)
    finally:
        for w in workers:
            w.stop()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--baddiff", default="build/release/baddiff")
    p.add_argument("--net", choices=[*NETS, "both"], default="both")
    p.add_argument("--phases", nargs="+", choices=PHASES, default=PHASES)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--repeat", type=int, default=0, help="steps a turn, the median counts; 0 = 9 for mini, 3 for cifar10")
    p.add_argument("--configs", nargs="+", choices=CONFIGS, default=CONFIGS, help="of PyTorch; default: all 8")
    p.add_argument("--ours-precisions", nargs="+", default=["f32"], help="of baddiff bench; default: f32")
    p.add_argument("--limit", type=float, default=60, help="seconds a step may take before its configuration is cut")
    p.add_argument("--compile-limit", type=float, default=1200, help="seconds more for the first step of a compiled one")
    p.add_argument("--csv", help="keep every number there")
    args = p.parse_args()
    if not shutil.which("g++") and any(c.startswith("compiled") for c in args.configs):
        p.error("compiled configurations need g++; name the others with --configs")
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    record = Record(args.csv)
    describe(record, args)
    for net in NETS if args.net == "both" else [args.net]:
        measure(record, net, args)
    say_busy(record, "after")


if __name__ == "__main__":
    main()
