"""What banking77 says of a model's vectors: how near they are to others, and how well they tell intents apart."""

import csv

import numpy as np

EXAMPLES = 30


class Banking77:
    """A folder with `train.csv` and `test.csv`, columns text and category."""

    def __init__(self, folder):
        self.train, self.train_labels = read(folder / "train.csv")
        self.texts, self.labels = read(folder / "test.csv")

    def nearest_centroid(self, embed, vectors):
        """The part of the test texts, given by their vectors, whose nearest class centroid is their own class."""
        seen, chosen = {}, []
        for index, label in enumerate(self.train_labels):
            seen[label] = seen.get(label, 0) + 1
            if seen[label] <= EXAMPLES:
                chosen.append(index)
        examples = embed([self.train[i] for i in chosen])
        labels = np.array([self.train_labels[i] for i in chosen])
        names = sorted(seen)
        centroids = np.stack([examples[labels == name].mean(0) for name in names])
        centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
        guesses = (vectors @ centroids.T).argmax(1)
        return float(np.mean([names[guess] == label for guess, label in zip(guesses, self.labels)]))


def read(file):
    with open(file, newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def cosines(vectors, reference):
    """Of vectors of unit length."""
    return (vectors * reference).sum(1)
