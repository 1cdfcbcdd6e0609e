"""Pictures of a screening model and of a slice model, on the real chest, with tiny models.

    xvfb-run -a -s "-screen 0 1600x1000x24" python scripts/family_pictures.py OUT [--chest FOLDER]

The models are the tests' tiny ones, of random weights, since no released weights come with this
project: the pictures show the panel, not what a model knows. The slice model is taught one answer,
so that it names a slice.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import torch
from screenshots import CHEST, ROOT, Visit

sys.path.insert(0, str(ROOT))

from tests.backends.colipri.tiny_colipri import change_config, save_tiny_colipri
from tests.backends.slice_model.tiny_models import save_tiny_model

from napari_ct_assistant import load_assistant, open_ct

QUESTION = "Where is the nodule?"
ANSWER = "In the right lung, best seen in SLICE 12."
STEPS = 300


def taught(folder: Path, chest: Path) -> Path:
    """Teach a tiny slice model one answer about one scan; return its folder."""
    save_tiny_model(folder, "gemma3")
    (folder / "slice_preset.yaml").write_text(
        "name: 32 slices\nwindows: [[-1024, 1024], [-135, 215], [0, 80]]\nslices: 32\n"
        "rule: even\npad_to_square: true\nreport_question: Describe the {region}.\n"
    )
    assistant = load_assistant(folder, device="cpu", dtype="float32")
    context = assistant.read(open_ct(chest)).context
    prompt = context.prompt(QUESTION)
    end = assistant.processor.special.end[0]
    answer = [*context.answer_ids(ANSWER), end]
    images = context.scan.pixel_values
    feature = assistant.processor.pixels(images)
    ids = torch.tensor([[*prompt.prefix, *prompt.ids, *answer]])
    types = assistant.processor.types(ids[0].tolist())
    model = assistant.model.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        logits = model(input_ids=ids, token_type_ids=types, **feature).logits[0]
        told = logits[-len(answer) - 1 : -1]
        loss = torch.nn.functional.cross_entropy(told, torch.tensor(answer))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.01:
            break
    print(f"taught: loss {loss.item():.3f}", flush=True)
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    assistant.model.save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--chest", type=Path, default=CHEST, help="folder of DICOM slices")
    said = parser.parse_args()
    said.out, said.chest = said.out.resolve(), said.chest.resolve()
    said.out.mkdir(parents=True, exist_ok=True)
    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        screens = save_tiny_colipri(place / "tiny-colipri", edge=96)
        change_config(
            screens, preprocessing={"orientation": "RAS", "spacing": 4.0, "input_size": 96}
        )
        # Short names, as of folders in the working directory.
        os.chdir(place)
        visit = Visit(said.chest, said.out, "colipri", screens.name)
        panel = visit.panel
        visit.click(panel.view_bar.window_buttons["Lung"])
        visit.click(panel.actions_row.findings_button)
        visit.idle()
        panel.tabs.setCurrentWidget(panel.findings_controller.tab)
        visit.pause()
        row = panel.findings.visualItemRect(panel.findings.item(1, 0))
        visit.click(panel.findings.viewport(), row.center())
        visit.pause()
        visit.idle()
        visit.pause(2)
        visit.shot("table")
        visit.close()
        slices = taught(place / "tiny-slices", said.chest)
        os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
        visit = Visit(said.chest, said.out, "slices", slices.name)
        panel = visit.panel
        visit.click(panel.view_bar.window_buttons["Lung"])
        visit.ask(QUESTION)
        visit.pause(2)
        visit.shot("answer")
        visit.close()


if __name__ == "__main__":
    main()
