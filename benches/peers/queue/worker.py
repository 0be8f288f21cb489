"""The peer: reads messages from SQS, embeds their texts with onnxruntime and tokenizers, writes each result into S3.

Called with the model, the tokenizer, the queue's URL, the bucket and the number of threads. A message is the body of a request
for embeddings; all texts of a batch are embedded together, sorted by length. Results are named by their content, so that a
message delivered twice makes one.
"""

import base64
import hashlib
import json
import pathlib
import sys

import boto3

sys.path.append(str(pathlib.Path(__file__).parents[1] / "encoders"))
from peer import Peer  # noqa: E402


def main():
    model, tokenizer, queue, bucket, threads = sys.argv[1:]
    peer = Peer(model, tokenizer, int(threads))
    sqs, s3 = boto3.client("sqs"), boto3.client("s3")
    print("ready", flush=True)
    while True:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20).get("Messages", [])
        if not messages:
            continue
        requests = [json.loads(message["Body"]) for message in messages]
        vectors = iter(peer.embed([text for request in requests for text in request["input"]]))
        for message, request in zip(messages, requests, strict=True):
            embeddings = [base64.b64encode(next(vectors).tobytes()).decode() for _ in request["input"]]
            line = json.dumps({"id": request["id"], "answer": {"data": [{"embedding": one} for one in embeddings]}})
            digest = hashlib.blake2b(message["Body"].encode()).hexdigest()
            s3.put_object(Bucket=bucket, Key=f"out/minilm/{digest}.jsonl", Body=line.encode() + b"\n")
        entries = [{"Id": str(place), "ReceiptHandle": one["ReceiptHandle"]} for place, one in enumerate(messages)]
        sqs.delete_message_batch(QueueUrl=queue, Entries=entries)


if __name__ == "__main__":
    main()
