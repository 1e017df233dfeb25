"""Fine-tunes all of a checkpoint on two folders of images, step by step: finetune.py CHECKPOINT FOLDER_A FOLDER_B OUT [STEPS]"""
# %% The model of the checkpoint, with a fresh head of two classes.
import pathlib
import sys

import numpy as np

import vit22b

checkpoint, folder_a, folder_b, out = sys.argv[1:5]
steps = int(sys.argv[5]) if len(sys.argv) > 5 else 100
trainer = vit22b.Trainer(checkpoint, {"model.num_classes": 2, "total_steps": steps, "optim.lr": 3e-4})

# %% Batches are the caller's: here 16 images of both folders, drawn anew for each step.
files = [(file, label) for label, folder in enumerate((folder_a, folder_b)) for file in sorted(pathlib.Path(folder).iterdir())]
random = np.random.default_rng(0)
for step in range(steps):
    chosen = [files[i] for i in random.choice(len(files), 16)]
    loss = trainer.step(trainer.preprocess([file for file, _ in chosen]), [label for _, label in chosen])
    if step % 10 == 0:
        print(f"step {step}  loss {loss:.4f}  lr {trainer.learning_rate:.1e}")

# %% The same checkpoint as any other: for Model, for `vit22b predict`, for timm.
trainer.save(out)
print("saved", out)
