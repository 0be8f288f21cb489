"""The peer: embeds one text with onnxruntime and tokenizers, prints its vector as JSON, and ends.

Called with the text, the model and the tokenizer; the two are paths or s3:// URLs. It has no server: what it is timed for
is what a function's handler would do in its first call, and less than that.
"""

import functools
import json
import resource
import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def read(source: str) -> bytes:
    if not source.startswith("s3://"):
        with open(source, "rb") as file:
            return file.read()
    bucket, key = source.removeprefix("s3://").split("/", 1)
    return client().get_object(Bucket=bucket, Key=key)["Body"].read()


@functools.cache
def client():
    import boto3

    return boto3.client("s3")


text, model, tokenizer = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 2
source = model if not model.startswith("s3://") else read(model)
session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
tokens = Tokenizer.from_buffer(read(tokenizer))
tokens.no_padding()
ids = np.array([tokens.encode(text).ids])
feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
vector = session.run(None, feed)[0].mean(1)[0]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"vector": (vector / np.linalg.norm(vector)).tolist(), "peak_bytes": peak}), flush=True)
