"""onnxruntime and tokenizers, as a user would put them together. Run alone, it embeds one text and ends."""

import sys
import time

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

MAX_TOKENS = 256
BATCH = 32


class Peer:
    """A session of onnxruntime, with the mean pooling that sentence-transformers adds."""

    def __init__(self, model, tokenizer, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)

    def hidden(self, ids, mask):
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return self.session.run(None, feed)[0]

    def infer_ms(self, ids):
        """How long the session runs on token ids, `[batch, tokens]`; pooling is left out."""
        mask = np.ones_like(ids)
        start = time.perf_counter()
        self.hidden(ids, mask)
        return (time.perf_counter() - start) * 1000

    def embed(self, texts):
        """A vector of unit length for each text: sorted by length, in padded batches."""
        encoded = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
        out = np.zeros((len(texts), 384), np.float32)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            longest = max(len(encoded[i]) for i in batch)
            ids = np.zeros((len(batch), longest), np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(batch):
                ids[row, : len(encoded[i])] = encoded[i]
                mask[row, : len(encoded[i])] = 1
            out[batch] = (self.hidden(ids, mask) * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return out / np.linalg.norm(out, axis=1, keepdims=True)


if __name__ == "__main__":
    model, tokenizer = sys.argv[1:]
    Peer(model, tokenizer, 1).embed(["How do I locate my card?"])
