"""Features, a classifier on them, and what it thinks of a new image: probe.py CHECKPOINT FOLDER_A FOLDER_B IMAGE

Cells begin with "# %%": editors that know notebooks run them one by one.
"""
# %% The model
import pathlib
import sys

import numpy as np

import vit22b

checkpoint, folder_a, folder_b, image = sys.argv[1:]
model = vit22b.Model(checkpoint)
print("images of", model.image_shape, "through", model.transforms)

# %% Features of two folders
files = [sorted(pathlib.Path(folder).iterdir()) for folder in (folder_a, folder_b)]
features = model.features(model.preprocess(files[0] + files[1]))
labels = np.repeat([0, 1], [len(files[0]), len(files[1])])

# %% A classifier, and how sure it is
classifier = vit22b.train_classifier(features, labels, c=1.0)
print("right on its own images:", (classifier.predict(features) == labels).mean())
scores = classifier.scores(model.features(model.preprocess(image)))[0]
probability = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
print(image, "is of", (folder_a, folder_b)[probability.argmax()], f"with {100 * probability.max():.0f} %")
