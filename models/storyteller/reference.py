"""What transformers makes of the folder `model`: greedy texts for reference.json, a text to calibrate with, and samples to read."""

import json
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

HERE = Path(__file__).resolve().parent
# Tokens that each greedy text is long, unless it ends before.
GREEDY = 64
SAMPLED = 120
# Texts to calibrate with, and the tokens of each.
TEXTS, CALIBRATION = 10, 400
PROMPTS = (
    "Once upon a time there was a little girl",
    "The Lion looked at Dorothy and said,",
    "Alice had never seen",
    "It was very dark in the castle, and",
    "ROMEO:\n",
)
WISHES = (
    "Tell me a story about the Scarecrow and the road.",
    "A story about Alice and the Queen, please.",
    "Write about the Count and the letter.",
    "A scene with Romeo and Juliet.",
    "Tell me about Elizabeth and a letter.",
)


def main() -> None:
    torch.set_num_threads(1)
    model = LlamaForCausalLM.from_pretrained(HERE / "model", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(HERE / "model")
    write(HERE / "reference.json", model, tokenizer)
    write_calibration(HERE / "calibration.txt", model, tokenizer)
    show_samples(model, tokenizer)


def write(file: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase) -> None:
    """Greedy texts in single precision: of a prompt as it stands, and of a wish through the chat template."""
    answers = [{"prompt": prompt, **greedy(model, tokenizer, tokenizer(prompt).input_ids)} for prompt in PROMPTS]
    for wish in WISHES:
        messages = [{"role": "user", "content": wish}]
        answers.append({"messages": messages, **greedy(model, tokenizer, chat(tokenizer, messages))})
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in answers)
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def greedy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, prompt: list[int]) -> dict:
    """The prompt's tokens, the tokens that follow without any penalty, their text, and how it ended."""
    made = generate(model, prompt, GREEDY, do_sample=False, temperature=None, top_p=None, repetition_penalty=None)
    ended = made[-1] == tokenizer.eos_token_id
    return {
        "prompt_tokens": prompt,
        "tokens": made,
        "text": tokenizer.decode(made, skip_special_tokens=True),
        "finish_reason": "stop" if ended else "length",
    }


def write_calibration(file: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase) -> None:
    """What the model writes when nothing is asked: its layers see there what they see at work."""
    torch.manual_seed(1)
    begin = [tokenizer.bos_token_id]
    texts = [generate(model, begin, CALIBRATION, temperature=1.0, top_p=1.0, repetition_penalty=None) for _ in range(TEXTS)]
    decoded = [tokenizer.decode(text, skip_special_tokens=True).strip() for text in texts]
    file.write_text("\n".join(decoded) + "\n", encoding="utf-8")


def show_samples(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase) -> None:
    """Prints a text for every prompt and wish, sampled as generation_config.json says."""
    torch.manual_seed(0)
    for prompt in PROMPTS:
        made = generate(model, tokenizer(prompt).input_ids, SAMPLED)
        print(f"\n[{prompt.strip()}] {tokenizer.decode(made, skip_special_tokens=True)}")
    for wish in WISHES:
        made = generate(model, chat(tokenizer, [{"role": "user", "content": wish}]), SAMPLED)
        print(f"\n<{wish}> {tokenizer.decode(made, skip_special_tokens=True)}")


@torch.no_grad()
def generate(model: LlamaForCausalLM, prompt: list[int], tokens: int, **options) -> list[int]:
    ids = torch.tensor([prompt])
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, **options)
    return made[0, len(prompt) :].tolist()


def chat(tokenizer: PreTrainedTokenizerBase, messages: list[dict]) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False).input_ids


if __name__ == "__main__":
    main()
