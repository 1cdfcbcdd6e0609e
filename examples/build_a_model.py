"""Build a small 3D vision-language model, take one training step, and generate.

    python examples/build_a_model.py

The classes are those of the published models; only the sizes are small. The weights are random,
so the text means nothing.
"""

from __future__ import annotations

import torch
from transformers import LlamaConfig

from napari_ct_assistant.model import VisionConfig3D, VolumeLanguageConfig, VolumeLanguageModel

IMAGE_TOKEN = 3

vision = VisionConfig3D(
    image_size=(32, 64, 64),  # D, H, W voxels
    patch_size=(8, 16, 16),  # 4 x 4 x 4 = 64 patches
    hidden_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
)
text = LlamaConfig(
    vocab_size=64,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
config = VolumeLanguageConfig(
    vision_config=vision,
    text_config=text,
    perceiver="convolution",  # E3D-GPT's: a 3D convolution merges 2 x 2 x 2 patches into one token
    image_token_id=IMAGE_TOKEN,
)
model = VolumeLanguageModel(config)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
print(f"{model.num_image_tokens} image tokens stand in the prompt")

# One scan, [batch, channel, D, H, W], and a prompt: image tokens, a question, an answer.
pixel_values = torch.rand(1, 1, *vision.image_size)
question, answer = [10, 11, 12], [20, 21, 2]
ids = torch.tensor([[1] + [IMAGE_TOKEN] * model.num_image_tokens + question + answer])
labels = ids.clone()
labels[:, : -len(answer)] = -100  # only the answer is learned

optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
loss = model(input_ids=ids, pixel_values=pixel_values, labels=labels).loss
loss.backward()
optimizer.step()
print(f"loss {loss.item():.3f}")

prompt = ids[:, : -len(answer)]
out = model.generate(
    input_ids=prompt,
    attention_mask=torch.ones_like(prompt),
    pixel_values=pixel_values,
    max_new_tokens=5,
    do_sample=False,
)
print("generated ids:", out[0, prompt.shape[1] :].tolist())
