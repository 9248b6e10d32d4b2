"""Checkpoints of transformers with a few dozen units, at weights of their own, made where a test asks for them."""

import io
import json

import sentencepiece
import torch
import transformers

BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
DISTILBERT = {"dim": 32, "hidden_dim": 32, "n_layers": 2, "n_heads": 2}
MARKS = {"pad_token_id": 0, "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "bos_token_id": 2, "eos_token_id": 3}
XLNET = {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 32}
WAV2VEC2 = {"conv_dim": (8, 8), "conv_kernel": (10, 8), "conv_stride": (40, 8), "num_feat_extract_layers": 2}
WAV2VEC2 |= {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
HEARING = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
KINDS = {
    "Albert": BERT | {"embedding_size": 16},
    "Bert": BERT,
    "DebertaV2": BERT,
    "DistilBert": DISTILBERT,
    "GPT2": GPT2,
    "ModernBert": BERT | MARKS,
    "Roberta": BERT,
    "XLNet": XLNET,
    "AST": HEARING | {"max_length": 100, "num_mel_bins": 32},
    "Wav2Vec2": HEARING | WAV2VEC2,
}
"""Of each architecture what its configuration says, besides 64 pieces."""

PIECES = 64


def plant(folder, kind, form="Model", **settings):
    """A checkpoint of `transformers.<kind><form>` and its weights."""
    words = {} if kind in ("AST", "Wav2Vec2") else {"vocab_size": PIECES}
    config = getattr(transformers, f"{kind}Config")(**words | KINDS[kind] | settings)
    torch.manual_seed(99)
    model = getattr(transformers, f"{kind}{form}")(config)
    model.save_pretrained(folder)
    return model.state_dict()


def plant_pieces(folder, texts):
    """A tokenizer of DeBERTa-v3's kind: a model of SentencePiece, of 48 pieces, and no more."""
    file = io.BytesIO()
    marks = {"pad_id": 0, "pad_piece": "[PAD]", "bos_id": 1, "bos_piece": "[CLS]"}
    marks |= {"eos_id": 2, "eos_piece": "[SEP]", "unk_id": 3, "unk_piece": "[UNK]"}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=file, vocab_size=48, minloglevel=2, **marks
    )
    (folder / "spm.model").write_bytes(file.getvalue())
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "DebertaV2Tokenizer"}))
