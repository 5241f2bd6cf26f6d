"""Makes pretrained.safetensors, the encoder with which the grader measures what reading is worth: a minute, once.

Needs the package `safetensors`. The grader shuffles the words for each submission, so nobody gains by having the file.
"""

from pathlib import Path

import solution
import torch
from safetensors.torch import save_file

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoder = solution.small_encoder()
    losses = solution.pretrain(encoder, solution.Language().texts(60_000, shortest=24, longest=24)[0], steps=3000)
    save_file(encoder.state_dict(), Path(__file__).with_name("pretrained.safetensors"))
    print(f"loss at the end: {sum(losses[-100:]) / 100:.3f}")
