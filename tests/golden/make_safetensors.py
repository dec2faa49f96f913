"""Makes tests/golden/small.safetensors with the format's own library (safetensors 0.8.0, torch 2.15).
Run: python tests/golden/make_safetensors.py"""
import os
import torch
from safetensors.torch import save

out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "small.safetensors")
tensors = {
    "b.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 2,
    "a": torch.tensor([1, -2, 3], dtype=torch.int64),
    "empty": torch.zeros(0, 4),
    "s": torch.tensor(7, dtype=torch.uint8),
}
with open(out, "wb") as f:
    f.write(save(tensors, {"who": 'größe "x"', "n": "1"}))
