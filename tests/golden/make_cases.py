"""Write the parity cases under tests/golden/parity with PyTorch and diffusers.

For development only; nothing of the project runs it. Each case holds a model folder, an input, the
network's output, the loss and all gradients, and in made_with.json the versions that made it.

    python tests/golden/make_cases.py [CASE ...]
"""

import json
import pathlib
import platform
import sys

import diffusers
import numpy as np
import torch
from diffusers import (DDIMScheduler, DDPMScheduler, DEISMultistepScheduler,
                       DPMSolverMultistepScheduler, HeunDiscreteScheduler, PNDMScheduler,
                       UNet2DModel, UniPCMultistepScheduler)
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).parent / "parity"

D, A = "DownBlock2D", "AttnDownBlock2D"
U, AU = "UpBlock2D", "AttnUpBlock2D"

# Small nets that differ in everything the builder can set.
NETWORKS = {
    # the settings of a fresh UNet2DModel: symmetric padding, [cos, sin], several heads
    "heads": dict(sample_size=8, in_channels=1, out_channels=1, layers_per_block=1,
                  block_out_channels=(16, 24), down_block_types=(D, A), up_block_types=(AU, U),
                  norm_num_groups=4, norm_eps=1e-5, attention_head_dim=4, downsample_padding=1,
                  flip_sin_to_cos=True, freq_shift=0),
    # the settings of ddpm-cifar10-32: asymmetric padding, [sin, cos], shift 1, one head
    "cifarlike": dict(sample_size=8, in_channels=3, out_channels=3, layers_per_block=2,
                      block_out_channels=(12, 18), down_block_types=(D, A), up_block_types=(AU, U),
                      norm_num_groups=3, norm_eps=1e-6, attention_head_dim=None,
                      downsample_padding=0, flip_sin_to_cos=False, freq_shift=1),
    # three resolutions, attention in the first block only on the way up, odd numbers of groups,
    # other channels out than in, no attention in the middle, its own width of the time embedding
    "uneven": dict(sample_size=12, in_channels=2, out_channels=1, layers_per_block=1,
                   block_out_channels=(10, 15, 20), down_block_types=(D, A, D),
                   up_block_types=(U, AU, U), norm_num_groups=5, norm_eps=1e-4,
                   attention_head_dim=5, downsample_padding=1, flip_sin_to_cos=False,
                   freq_shift=1, time_embedding_dim=24, add_attention=False),
    # one block, attention everywhere, one group for the norm in the middle, and a batch of 11:
    # two tiles, the second filled up
    "tiles": dict(sample_size=4, in_channels=1, out_channels=1, layers_per_block=2,
                  block_out_channels=(8,), down_block_types=(A,), up_block_types=(AU,),
                  norm_num_groups=2, norm_eps=1e-5, attention_head_dim=2, attn_norm_num_groups=1,
                  downsample_padding=0, flip_sin_to_cos=True, freq_shift=0),
}
# A tiny net whose weights are in a .bin of PyTorch, with the old names of attention layers as in
# google/ddpm-cifar10-32; once in each layout, and once as DataParallel saves it.
TINY = dict(sample_size=4, in_channels=1, out_channels=1, layers_per_block=1,
            block_out_channels=(4,), down_block_types=(A,), up_block_types=(U,),
            norm_num_groups=2, norm_eps=1e-6, attention_head_dim=None, downsample_padding=0,
            flip_sin_to_cos=False, freq_shift=1)
NETWORKS |= {"zipbin": TINY, "legacybin": TINY, "halfbin": TINY}
BATCH = {"tiles": 11}
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def old_name(name):
    for new, old in OLD_NAMES.items():
        name = name.replace(f".{new}.", f".{old}.")
    return name


def save_bin(name, model, folder):
    """Put a .bin in place of what save_pretrained wrote."""
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    state = {old_name(k): v for k, v in model.state_dict().items()}
    if name == "legacybin":
        state = {"module." + k: v for k, v in state.items()}
    if name == "halfbin":
        state = {k: v.half() for k, v in state.items()}
    torch.save(state, folder / "diffusion_pytorch_model.bin",
               _use_new_zipfile_serialization=name != "legacybin")


def fresh_model(config, seed):
    """Weights away from their initial symmetry: norms not 1 and 0, biases not tiny."""
    torch.manual_seed(seed)
    model = UNet2DModel(**config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(0.1 * torch.randn_like(p) if "norm" in name else 0.02 * torch.randn_like(p))
    return model


def versions():
    return {"python": platform.python_version(), "torch": torch.__version__,
            "diffusers": diffusers.__version__, "numpy": np.__version__}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def network_case(name, config, seed):
    folder = ROOT / name
    model = fresh_model(config, seed)
    if name == "halfbin":
        model.half().float()
    model.save_pretrained(folder)
    if name.endswith("bin"):
        save_bin(name, model, folder)
    n, size = BATCH.get(name, 2), config["sample_size"]
    sample = torch.randn(n, config["in_channels"], size, size)
    target = torch.randn(n, config["out_channels"], size, size)
    timestep = torch.randint(0, 1000, (n,))
    timestep[0] = 999
    # gradients in double: the reference is the truth, not another float32 sum
    exact = model.double()
    output = exact(sample.double(), timestep).sample
    loss = torch.nn.functional.mse_loss(output, target.double())
    loss.backward()
    case = {"sample": sample, "timestep": timestep, "target": target,
            "output": output.detach().float(), "loss": loss.detach().float().reshape(1)}
    for key, p in exact.named_parameters():
        case["grad." + key] = p.grad.float().contiguous()
    save_file({k: v.contiguous() for k, v in case.items()}, folder / "case.safetensors")
    write_json(folder / "made_with.json", versions())
    print(name, sum(p.numel() for p in model.parameters()), "parameters, loss", float(loss.detach()))


# Samplers on the "cifarlike" net with a schedule of 40 steps.
SCHEDULE = dict(num_train_timesteps=40, beta_start=0.0025, beta_end=0.1)
SAMPLERS = {
    "ddpm_large": dict(sampler="ddpm", variance_type="fixed_large", steps=40, clip="none"),
    "ddpm_clip": dict(sampler="ddpm", variance_type="fixed_small", steps=20, clip="x0"),
    "ddpm_linspace": dict(sampler="ddpm", variance_type="fixed_small", steps=8, clip="none",
                          timestep_spacing="linspace"),
    "ddim_eta": dict(sampler="ddim", eta=0.7, steps=10, clip="none"),
    "ddim_linspace": dict(sampler="ddim", eta=0, steps=8, clip="none", timestep_spacing="linspace"),
    "ddim_trailing": dict(sampler="ddim", eta=0, steps=8, clip="x0", timestep_spacing="trailing"),
    # what a present DPM-Solver++ 2M does by itself: it ends without noise
    "dpmsolver_pp_leading": dict(sampler="dpmsolver++", order=2, steps=8, clip="none",
                                 timestep_spacing="leading", final_sigmas_type="zero"),
    "dpmsolver_pp_linspace": dict(sampler="dpmsolver++", order=2, steps=18, clip="none",
                                  timestep_spacing="linspace", final_sigmas_type="sigma_min"),
    "dpmsolver_pp_third": dict(sampler="dpmsolver++", order=3, steps=10, clip="none",
                               timestep_spacing="trailing", final_sigmas_type="zero"),
    "dpmsolver_third": dict(sampler="dpmsolver", order=3, steps=16, clip="none",
                            timestep_spacing="linspace", final_sigmas_type="sigma_min"),
    "unipc_leading": dict(sampler="unipc", order=2, steps=8, clip="none",
                          timestep_spacing="leading", final_sigmas_type="zero"),
    "unipc_linspace": dict(sampler="unipc", order=2, steps=18, clip="none",
                           timestep_spacing="linspace", final_sigmas_type="sigma_min"),
    "unipc_third": dict(sampler="unipc", order=3, steps=12, clip="none",
                        timestep_spacing="linspace", final_sigmas_type="zero"),
    "deis_linspace": dict(sampler="deis", order=2, steps=10, clip="none",
                          timestep_spacing="linspace"),
    "pndm_leading": dict(sampler="pndm", steps=10, clip="none", timestep_spacing="leading"),
    "heun_linspace": dict(sampler="heun", steps=6, clip="none", timestep_spacing="linspace"),
}


def make_scheduler(spec):
    clip = spec["clip"] == "x0"
    shared = dict(SCHEDULE, timestep_spacing=spec.get("timestep_spacing", "leading"))
    ends = {k: spec[k] for k in ("final_sigmas_type",) if k in spec}
    match spec["sampler"]:
        case "ddpm":
            return DDPMScheduler(**shared, variance_type=spec["variance_type"], clip_sample=clip)
        case "ddim":
            return DDIMScheduler(**shared, clip_sample=clip)
        case "pndm":
            return PNDMScheduler(**shared)
        case "heun":
            return HeunDiscreteScheduler(**shared)
        case "deis":
            return DEISMultistepScheduler(**shared, solver_order=spec["order"],
                                          solver_type="logrho")
        case "unipc":
            return UniPCMultistepScheduler(**shared, solver_order=spec["order"], **ends)
        case _:
            return DPMSolverMultistepScheduler(**shared, solver_order=spec["order"],
                                               algorithm_type=spec["sampler"], **ends)


def sampler_case(name, spec, seed):
    folder = ROOT / name
    folder.mkdir(parents=True, exist_ok=True)
    model = UNet2DModel.from_pretrained(ROOT / "cifarlike").eval()
    torch.manual_seed(seed)
    scheduler = make_scheduler(spec)
    scheduler.set_timesteps(spec["steps"])
    timesteps = [float(t) if spec["sampler"] == "heun" else int(t) for t in scheduler.timesteps]
    most = {"ddpm": spec["steps"] - 1, "ddim": spec["steps"] if spec.get("eta") else 0}
    draws = most.get(spec["sampler"], 0)
    init = torch.randn(2, 3, 8, 8)
    noise = torch.randn(draws, 2, 3, 8, 8)
    x, left = init.clone() * float(scheduler.init_noise_sigma), list(noise)
    module = sys.modules[type(scheduler).__module__]
    module.randn_tensor = lambda *a, **k: left.pop(0)
    with torch.no_grad():
        for t in scheduler.timesteps:
            e = model(scheduler.scale_model_input(x, t), t).sample
            extra = {"eta": spec["eta"]} if spec["sampler"] == "ddim" else {}
            x = scheduler.step(e, t, x, **extra).prev_sample
    used = draws - len(left)
    case = {"init": init, "final": x.contiguous()}
    if used:
        case["noise"] = noise[:used].contiguous()
    save_file(case, folder / "case.safetensors")
    write_json(folder / "sampler.json",
               {"model": "../cifarlike", "timesteps": timesteps, **spec})
    write_json(folder / "made_with.json", versions())
    print(name, used, "draws, |final|", float(x.norm()))


def main(names):
    torch.set_num_threads(1)
    for i, (name, config) in enumerate(NETWORKS.items()):
        if not names or name in names:
            network_case(name, config, 100 + i)
    scheduler = DDPMScheduler(**SCHEDULE, variance_type="fixed_large", clip_sample=False)
    scheduler.save_pretrained(ROOT / "cifarlike")
    for name, spec in SAMPLERS.items():
        if not names or name in names:
            sampler_case(name, spec, 200 + sum(name.encode()))


main(sys.argv[1:])
