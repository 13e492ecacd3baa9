"""Text tokenizers beside `tokenizers` and `sentencepiece`: equal ids on 10,000 lines in 16 scripts."""

import base64
import json
import struct

import numpy as np
import pytest

from text_references import KINDS, lines, train

COUNT = 10_000


@pytest.fixture(scope="module")
def texts():
    return lines(COUNT)


@pytest.fixture
def ids(bench, tmp_path):
    """The program's ids of each line."""

    def run(texts, tokenizer, code=0):
        file, output = tmp_path / "lines.txt", tmp_path / "ids.npy"
        assert not any("\n" in text for text in texts)
        file.write_bytes("\n".join(texts).encode())
        result = bench("text", file, "--text-tokenizer", tokenizer, "-o", output, code=code)
        if code:
            return result.stderr
        flat = np.load(output)
        return [part[:-1].tolist() for part in np.split(flat, np.flatnonzero(flat == -1)[:-1] + 1)]

    return run


def _compare(texts, found, expected):
    assert len(found) == len(expected) == len(texts)
    wrong = [i for i in range(len(texts)) if found[i] != expected[i]]
    first = [(texts[i], found[i][:20], expected[i][:20]) for i in wrong[:3]]
    assert not wrong, f"{len(wrong)} lines differ: {first}"


def _compare_pieces(processor, texts, found):
    """Equal ids; where the library's versions (Debian has 0.1.97) cut equally likely ways, equal likelihood and text."""
    ties = 0
    for text, ids in zip(texts, found, strict=True):
        expected = processor.encode(text)
        if ids != expected:
            ties += 1
            scores = [sum(processor.get_score(i) for i in way) for way in (ids, expected)]
            assert abs(scores[0] - scores[1]) < 1e-4, (text, ids, expected)
            assert processor.decode(ids) == processor.decode(expected), text
    assert ties < len(texts) / 1000, ties


def _reference(tokenizer, texts):
    """Ids where special tokens in a text are text."""
    tokenizer.encode_special_tokens = True
    return [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]


@pytest.mark.parametrize("kind", KINDS)
def test_trained_tokenizers(ids, texts, tmp_path, kind):
    tokenizer = train(kind, texts[:3000])
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    sample = texts
    if kind == "t5":  # the reference finds the names of control tokens in texts, this program does not
        sample = [text for text in texts if "</s>" not in text and "<unk>" not in text and "<pad>" not in text]
        assert len(sample) > COUNT * 0.9
    _compare(sample, ids(sample, path), _reference(tokenizer, sample))


def test_gpt_neox(ids, texts, shared_data):
    from tokenizers import Tokenizer

    path = shared_data / "tokenizers" / "20B_tokenizer.json"
    _compare(texts, ids(texts, path), _reference(Tokenizer.from_file(str(path)), texts))


def test_sentencepiece(ids, texts, shared_data):
    import sentencepiece

    path = shared_data / "tokenizers" / "spm_test_model.model"
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    _compare_pieces(processor, texts, ids(texts, path))


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_trained_sentencepiece(ids, texts, tmp_path, model):
    import sentencepiece

    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(texts[:3000]))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(tmp_path / "m"), model_type=model, vocab_size=2500, byte_fallback=True,
        character_coverage=0.99, user_defined_symbols=["foo_bar"], minloglevel=2, num_threads=1,
    )
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "m.model"))
    _compare_pieces(processor, texts, ids(texts, tmp_path / "m.model"))


def test_a_compiled_normalizer(ids, texts, tmp_path):
    """SentencePiece's own rules in a tokenizer.json, as T5 and XLM-R have them."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(texts[:2000]))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(tmp_path / "m"), vocab_size=1500, minloglevel=2, num_threads=1,
        character_coverage=0.98,
    )
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString((tmp_path / "m.model").read_bytes())
    tokenizer = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=0))
    tokenizer.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    _compare(texts, ids(texts, path), _reference(tokenizer, texts))


def test_control_tokens_are_text(ids, tmp_path):
    """No line becomes a control token, whatever the model."""
    evil = ["<s>", "</s>", "<unk>", "<pad>", "[CLS]", "a</s>b", "<|endoftext|>", "<|im_start|> x", "[MASK] [SEP]"]
    for kind in ("gpt2", "gpt4", "llama", "t5", "bert", "words"):
        tokenizer = train(kind, lines(400, seed=3) + evil)
        path = tmp_path / f"{kind}.json"
        tokenizer.save(str(path))
        added = json.loads(path.read_text())["added_tokens"]
        unknown = {tokenizer.token_to_id(name) for name in ("<unk>", "[UNK]")}
        special = {token["id"] for token in added if token["special"]} - unknown
        assert special
        for line in ids(evil, path):
            assert not special & set(line), (kind, line)


def _table(root=256, leaf=256 ^ 0x61 ^ 512, value=0, text=b"b\0"):
    """SentencePiece's compiled rules with one key, `a`: a double array, then the texts; in base64."""
    units = [0] * 768
    units[0], units[256 ^ 0x61], units[512] = root << 10, 0x61 | 1 << 8 | leaf << 10, value | 1 << 31
    units[256] = 1 << 31  # no key goes on with a zero
    array = struct.pack("<768I", *units)
    return base64.b64encode(struct.pack("<I", len(array)) + array + text).decode()


def _minimal(**changes):
    data = {
        "version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None,
        "decoder": None, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
    }
    return json.dumps(data | changes)


def _split(pattern):
    return _minimal(pre_tokenizer={"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False})


@pytest.mark.parametrize(
    "model",
    [
        {"type": "BPE", "vocab": {"<unk>": 0, "<0xC3>": 1, "<0xA9>": 2, "a": 3}, "merges": [], "unk_token": "<unk>", "byte_fallback": True},
        {"type": "Unigram", "vocab": [["<unk>", 0], ["<0xC3>", -5], ["<0xA9>", -5], ["a", -1]], "unk_id": 0, "byte_fallback": True},
    ],
)
def test_bytes_that_have_no_token(ids, tmp_path, model):
    """A scalar falls back to its bytes where each of them is in the vocabulary, whatever others are."""
    from tokenizers import Tokenizer

    path, texts = tmp_path / "tokenizer.json", ["aé", "aè", "éa", "éèa"]
    path.write_text(_minimal(model=model))
    _compare(texts, ids(texts, path), _reference(Tokenizer.from_file(str(path)), texts))


@pytest.mark.parametrize(
    "text, code, part",
    [
        (_minimal(normalizer={"type": "Magic"}), 4, "Magic"),
        (_minimal(pre_tokenizer={"type": "UnicodeScripts"}), 4, "UnicodeScripts"),
        (_minimal(pre_tokenizer={"type": "Split", "pattern": {"Regex": "a(?<=b)"}, "behavior": "Isolated"}), 4, "(?<"),
        (_minimal(pre_tokenizer={"type": "Split", "pattern": {"Regex": "a+?"}, "behavior": "Isolated"}), 4, "lazy"),
        (_minimal(pre_tokenizer={"type": "Split", "pattern": {"Regex": r"\p{Greek}"}, "behavior": "Isolated"}), 4, "Greek"),
        (_minimal(post_processor={"type": "Odd"}), 4, "Odd"),
        (_minimal(model={"type": "Neural", "vocab": {"a": 0}}), 4, "Neural"),
        (_minimal(model={"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}), 3, "merges[0]"),
        (_minimal(model={"type": "BPE", "vocab": {"a": -1}, "merges": []}), 3, "vocab"),
        (_minimal(model={"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.1}), 4, "dropout"),
        (_minimal(model={"type": "Unigram", "vocab": [["a", 0]], "unk_id": 5}), 3, "unk_id"),
        (_minimal(model={"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "[UNK]"}), 3, "unk_token"),
        (_minimal(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}), 3, "precompiled_charsmap"),
        (_minimal(normalizer={"type": "Precompiled", "precompiled_charsmap": _table(text=b"\xf0\0")}), 3, "precompiled_charsmap"),
        (_split("(?:(?:(?:ab){1000}){1000}){1000}"), 4, "parts"),
        (_split("(?:(?:(?:){1000}){1000}){1000}"), 4, "parts"),
        (_split("a{1,2}+"), 4, "'}+'"),
        (_split("(?i:é)"), 4, "ASCII"),
        (_split("(?i:Ss)"), 4, "'ss'"),
        (_minimal(pre_tokenizer={"type": "Sequence", "pretokenizers": [
            {"type": "ByteLevel", "add_prefix_space": False}, {"type": "Digits", "individual_digits": True}]}), 4, "behind ByteLevel"),
        (_minimal(pre_tokenizer={"type": "Metaspace", "replacement": "ab"}), 3, "replacement"),
        (_minimal(normalizer={"type": "Replace", "pattern": {"Regex": "b*"}, "content": "x"}), 4, "nothing at all"),
        (_minimal(model={"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a", "max_input_chars_per_word": 10**9}), 3, "max_input"),
        ("{", 3, "no name of a member"),
        ("{}", 3, "model"),
        ('{"model": {"vocab": {"\\ud800": 1}}}', 3, "surrogate"),
        ("[" * 200, 3, "SentencePiece"),
        ("", 3, "its download failed"),
        ("\x08\x01 no model", 3, "SentencePiece"),
    ],
)
def test_what_is_refused(ids, tmp_path, text, code, part):
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    message = ids(["ab"], path, code=code)
    assert message.splitlines()[-1].startswith("Error: ") and part in message and str(path) in message
    assert len([line for line in message.splitlines() if line.startswith("Error")]) == 1


def _pieces(model, **table):
    """A SentencePiece model of three pieces whose normalizer has a table."""
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    for piece, score, kind in (("<unk>", 0, 2), ("▁", -1, 1), ("a", -2, 1), ("b", -3, 1)):
        proto.pieces.add(piece=piece, score=score, type=kind)
    proto.trainer_spec.model_type = model
    proto.normalizer_spec.precompiled_charsmap = base64.b64decode(_table(**table))
    return proto


def test_models_whose_tables_lead_out_of_them(ids, tmp_path):
    """The library would follow them, and crash."""
    path = tmp_path / "m.model"
    path.write_bytes(_pieces(1).SerializeToString())
    assert ids(["ab"], path) == [[1, 3, 3]]
    for table in ({"root": 1 << 21}, {"leaf": (1 << 21) - 1}, {"leaf": 0x61}, {"value": 1 << 30}, {"text": b"b"}, {"text": b"\xf0\0"}):
        path.write_bytes(_pieces(1, **table).SerializeToString())
        assert "precompiled_charsmap" in ids(["ab"], path, code=3), table
    proto = _pieces(1)
    proto.denormalizer_spec.precompiled_charsmap = base64.b64decode(_table(value=1 << 30))
    path.write_bytes(proto.SerializeToString())
    assert "precompiled_charsmap" in ids(["ab"], path, code=3)
    proto = _pieces(1)
    proto.pieces.add(piece="a" * (1 << 20), score=-1, type=4)
    path.write_bytes(proto.SerializeToString())
    assert "piece" in ids(["ab"], path, code=3)


def test_rules_that_make_texts_without_end(ids, tmp_path):
    """Twelve times ten letters for each one; alternatives in every order: a line is refused, and soon."""
    path = tmp_path / "tokenizer.json"
    tenfold = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
    path.write_text(_minimal(normalizer={"type": "Sequence", "normalizers": [tenfold] * 12}))
    assert "8 times" in ids(["a"], path, code=3)
    path.write_text(_split("(?:a|aa)+c"))
    assert "backtracks" in ids(["a" * 40], path, code=3)
