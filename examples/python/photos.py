# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [markdown]
# # A folder of photographs
# Features of all, duplicates, what is like a picture, and a map of two components: `photos.py CHECKPOINT FOLDER [OUT]`.
# As a notebook: `jupytext --to notebook photos.py`, with the two paths set in the next cell.

# %%
import pathlib
import sys

import numpy as np

import vit22b

checkpoint, folder = sys.argv[1:3]
out = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else "photos.npz")
endings = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff"}
files = sorted(file for file in pathlib.Path(folder).rglob("*") if file.suffix.lower() in endings)

# %% [markdown]
# ## Features
# However many photographs there are, `batch` of them are in memory at a time.

# %%
with vit22b.Model(checkpoint) as model:
    features = model.embed(files, batch=16)
unit = features / np.linalg.norm(features, axis=1, keepdims=True)
print(len(files), "photographs,", features.shape[1], "numbers each")

# %% [markdown]
# ## Duplicates
# The same picture in another size or quality is alike to 0.98 and more with DINOv2; look at what is found before anything is deleted.

# %%
alike = unit @ unit.T
for i, j in zip(*np.nonzero(np.triu(alike > 0.98, k=1))):
    print(f"duplicates {alike[i, j]:.3f}: {files[i]}  {files[j]}")

# %% [markdown]
# ## What is like the first one

# %%
for i in np.argsort(-alike[0])[1:6]:
    print(f"like {files[0].name} {alike[0, i]:.3f}: {files[i]}")

# %% [markdown]
# ## A map
# The two directions in which the photographs differ most; points that lie together are of a kind.

# %%
centred = unit - unit.mean(axis=0)
_, sizes, directions = np.linalg.svd(centred, full_matrices=False)
places = centred @ directions[:2].T
print(f"two components of {100 * (sizes[:2] ** 2).sum() / (sizes ** 2).sum():.0f} % of the variance")
np.savez(out, files=[str(file) for file in files], features=features, places=places)
print("kept in", out)
