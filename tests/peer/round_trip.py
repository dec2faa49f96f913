"""diffusers -> baddiff -> one step of fine-tuning -> diffusers, for each form a model folder may have.

For development only; nothing of the project runs it. Prints, for each form, the relative error of baddiff's
forward output against diffusers' on the folder diffusers wrote and on the folder baddiff wrote after the
step, and fails above 1e-5. Last come the versions.

    python tests/peer/round_trip.py [BADDIFF]
"""

import pathlib
import re
import shutil
import subprocess
import sys

import diffusers
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors.torch import save_file

diffusers.logging.set_verbosity_error()
diffusers.logging.disable_progress_bar()
BOUND = 1e-5
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "build/release/baddiff"
TMP = pathlib.Path("build/tmp/round_trip")
OLD_NAMES = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
# form: (suffix of the weights, options of torch.save, old names)
FORMS = {"safetensors": ("safetensors", None, False), "bin-zip": ("bin", {}, False),
         "bin-legacy": ("bin", {"_use_new_zipfile_serialization": False}, False),
         "bin-zip-old-names": ("bin", {}, True), "bin-legacy-old-names":
         ("bin", {"_use_new_zipfile_serialization": False}, True), "safetensors-old-names":
         ("safetensors", None, True)}
RECIPE = """[recipe]
controls = none
[data]
limit = 64
[model]
block_out_channels = 16/32
attention = 0/1
groups = 4
[diffusion]
T = 40
[attack]
poison_rate = 0
[pretrain]
steps = 1
batch = 8
[finetune]
steps = 1
batch = 8
lr = 0.001
warmup = 0
[metric]
fcd = off
"""


def renamed(state):
    for new, old in OLD_NAMES.items():
        state = {k.replace(new, old): v for k, v in state.items()}
    return state


def write_model(folder, form):
    """A pipeline of diffusers in that form; returns its network."""
    suffix, options, old = FORMS[form]
    torch.manual_seed(7)
    unet = UNet2DModel(sample_size=32, in_channels=1, out_channels=1, layers_per_block=1,
                       block_out_channels=(16, 32), down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                       up_block_types=("AttnUpBlock2D", "UpBlock2D"), norm_num_groups=4,
                       attention_head_dim=8, flip_sin_to_cos=True, freq_shift=0)
    scheduler = DDPMScheduler(num_train_timesteps=40, beta_schedule="scaled_linear", beta_start=0.0025,
                              beta_end=0.1, variance_type="fixed_large", clip_sample=False)
    DDPMPipeline(unet, scheduler).save_pretrained(folder, safe_serialization=suffix == "safetensors")
    weights = folder / "unet" / f"diffusion_pytorch_model.{suffix}"
    state = unet.state_dict()
    if old:
        state = renamed(state)
    if suffix == "bin":
        torch.save(state, weights, **options)
    elif old:
        save_file(state, weights)
    return unet.eval()


def parity(folder, unet):
    """The error of baddiff's output against diffusers' on the same weights."""
    torch.manual_seed(11)
    sample, target = torch.randn(2, 1, 32, 32), torch.randn(2, 1, 32, 32)
    timestep = torch.tensor([39, 5])
    exact = unet.double()
    output = exact(sample.double(), timestep).sample
    loss = torch.nn.functional.mse_loss(output, target.double())
    loss.backward()
    case = {"sample": sample, "timestep": timestep, "target": target, "output": output.detach().float(),
            "loss": loss.detach().float().reshape(1)}
    for name, p in exact.named_parameters():
        case["grad." + name] = p.grad.float()
    copy = TMP / "case"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    save_file({k: v.contiguous() for k, v in case.items()}, copy / "case.safetensors")
    text = subprocess.run([PROGRAM, "parity", copy, "--tol", "1e-4"], check=True, capture_output=True,
                          text=True).stdout
    return float(re.search(r"^output: error (\S+)", text, re.M).group(1))


def train():
    """One pretraining and one fine-tuning step, or what is left of them; the folder of the result."""
    command = [PROGRAM, "train", TMP / "recipe.ini", "--runs", TMP / "runs", "-q"]
    return pathlib.Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def main():
    shutil.rmtree(TMP, ignore_errors=True)
    TMP.mkdir(parents=True)
    (TMP / "recipe.ini").write_text(RECIPE)
    failed = False
    for form in FORMS:
        shutil.rmtree(TMP / "runs", ignore_errors=True)
        trained = train()
        # what a fine-tuning starts from is the model of the finished pretraining: put diffusers' there
        shutil.rmtree(trained.parent)
        start, = (TMP / "runs").glob("pretrain-*/model")
        shutil.rmtree(start)
        given = write_model(start, form)
        before = parity(start, given)
        trained = train()
        returned = DDPMPipeline.from_pretrained(trained)
        after = parity(trained, returned.unet.eval())
        again = UNet2DModel.from_pretrained(trained / "unet").state_dict()
        step = max(float((again[k] - v).abs().max()) for k, v in given.float().state_dict().items())
        config = returned.scheduler.config
        same = (config.beta_schedule, config.num_train_timesteps, config.variance_type, config.clip_sample,
                config.beta_start, config.beta_end) == ("scaled_linear", 40, "fixed_large", False, 0.0025, 0.1)
        good = before < BOUND and after < BOUND and 0 < step < 0.1 and same
        failed |= not good
        print(f"{form}: forward error {before:.2g} before, {after:.2g} after one step that moved weights by up to "
              f"{step:.2g}; scheduler {'kept' if same else 'CHANGED'}: {'ok' if good else 'FAILED'}")
    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}")
    sys.exit(failed)


main()
