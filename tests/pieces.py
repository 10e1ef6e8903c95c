"""Tiny tokenizers of the three kinds, and an encoder on one of them, as multilingual encoders have it."""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

CHARACTERS = "一种发光二极管电路压第LEDVabcder012.5，"
WORDS = ("一种", "发光", "电路", "电压", "LED", "▁LED", "▁a", "ab", "abc", "der", "▁der", "二极管")


def unigram(words: tuple[str, ...] = WORDS) -> Tokenizer:
    """As XLM-R's: ``<s> <pad> </s> <unk>`` first, ``<mask>`` last; a blank is a ``▁`` before the word."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(word, -3.0 - number / 100) for number, word in enumerate(words)]
    pieces += [(character, -6.0 - number / 100) for number, character in enumerate(dict.fromkeys(CHARACTERS))]
    tokenizer = Tokenizer(models.Unigram([*pieces, ("〇", -9.0)], unk_id=3))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in ("<s>", "<pad>", "</s>", "<unk>")])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    return tokenizer


def sentencepiece_encoder(folder: Path, model_type: str = "bert") -> Path:
    """A folder with random weights, 2 layers of 16, whose special tokens are ``<s> </s> <mask> <pad>``."""
    import torch
    from transformers import AutoConfig, AutoModel

    tokenizer = unigram()
    positions = {"max_position_embeddings": 66 if "roberta" in model_type else 64}
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = AutoConfig.for_model(
        model_type, vocab_size=tokenizer.get_vocab_size() + 3, pad_token_id=1, **sizes, **positions
    )
    torch.manual_seed(3)
    AutoModel.from_config(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"cls_token": "<s>", "sep_token": "</s>", "mask_token": {"content": "<mask>"}, "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**names, "model_max_length": 64}))
    return folder
