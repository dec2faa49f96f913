"""Write the PyTorch files of tests/golden/torch: every layout and what a state dict may hold.

For development only; nothing of the project runs it. Versions go to tests/golden/torch/made_with.json.

    python tests/golden/make_torch.py
"""

import collections
import json
import pathlib
import platform

import torch

ROOT = pathlib.Path(__file__).parent / "torch"


def state():
    """Values that a test can name: 0.5 * index for floats, index for integers."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) * 0.5
    s = collections.OrderedDict()
    s["plain.weight"] = base.clone()
    s["transposed"] = base.clone().t()  # shape 6x4, strides 1,6
    s["slice"] = base.clone()[1:3, ::2]  # shape 2x3, offset 6, strides 6,2
    shared = torch.arange(8, dtype=torch.float64) * 0.5
    s["low"], s["high"] = shared[:4], shared[4:]
    s["half"] = torch.arange(3).half() * 0.5
    s["bfloat"] = torch.arange(3).bfloat16() * 0.5
    s["count"] = torch.tensor(-7)  # int64, no dimension
    s["int"] = torch.arange(3, dtype=torch.int32)
    s["bytes"] = torch.arange(5, dtype=torch.uint8)
    s["empty"] = torch.zeros(0, 3)
    s["parameter"] = torch.nn.Parameter(base[0].clone())
    return s


class Foreign:
    pass


def main():
    ROOT.mkdir(exist_ok=True)
    s = state()
    save = lambda name, value, **kw: torch.save(value, ROOT / name, **kw)
    save("zip.pth", s)
    save("legacy.pth", s, _use_new_zipfile_serialization=False)
    save("zip4.pth", s, pickle_protocol=4)
    small = torch.nn.Linear(2, 1)
    with torch.no_grad():
        small.weight.copy_(torch.tensor([[1.0, 2.0]]))
        small.bias.copy_(torch.tensor([3.0]))
    parallel = {"module." + k: v for k, v in small.state_dict().items()}
    save("wrapped.pth", {"epoch": 5, "loss": 0.25, "best": True, "note": "hello", "none": None,
                         "state_dict": parallel, "ema": small.state_dict(),
                         "optimizer": torch.optim.Adam(small.parameters()).state_dict()})
    # a state dict with attributes (_metadata), as Module.state_dict() gives it
    save("module.pth", small.state_dict())
    save("module_legacy.pth", small.state_dict(), _use_new_zipfile_serialization=False)
    # refused
    save("expanded.pth", {"x": torch.zeros(1).expand(1000)})
    save("bool.pth", {"x": torch.zeros(2, dtype=torch.bool)})
    save("whole_model.pth", small)
    save("foreign.pth", {"x": torch.zeros(1), "args": Foreign()})
    save("tensor.pth", torch.zeros(2))
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    (ROOT / "made_with.json").write_text(json.dumps(versions, indent=2, sort_keys=True) + "\n")


main()
