"""Lines in many scripts, and tokenizers of every kind that the program reads, made by the real libraries."""

import random

# First and last letters of blocks; the program meets every one of them in words, numbers and marks.
SCRIPTS = {
    "latin": [(0x61, 0x7A), (0x41, 0x5A), (0xC0, 0xFF)],
    "greek": [(0x3B1, 0x3C9), (0x391, 0x3A9)],
    "cyrillic": [(0x430, 0x44F), (0x410, 0x42F)],
    "hebrew": [(0x5D0, 0x5EA)],
    "arabic": [(0x627, 0x64A), (0x64B, 0x652), (0x660, 0x669)],
    "devanagari": [(0x905, 0x939), (0x93E, 0x94D), (0x966, 0x96F)],
    "bengali": [(0x985, 0x98C), (0x995, 0x9A8), (0x9BE, 0x9C4)],
    "tamil": [(0xB85, 0xB8A), (0xBA3, 0xBAA), (0xBBE, 0xBC2)],
    "thai": [(0xE01, 0xE3A), (0xE40, 0xE4E)],
    "georgian": [(0x10D0, 0x10F0)],
    "armenian": [(0x561, 0x586), (0x531, 0x556)],
    "hiragana": [(0x3041, 0x3096)],
    "katakana": [(0x30A1, 0x30FA), (0xFF66, 0xFF9D)],
    "han": [(0x4E00, 0x4EFF), (0x5B00, 0x5BFF)],
    "hangul": [(0xAC00, 0xACFF), (0xD100, 0xD1FF)],
    "emoji": [(0x1F600, 0x1F64F), (0x1F300, 0x1F33F)],
}
MARKS = list(".,;:!?()[]{}<>\"'`~@#$%^&*-_=+/\\|") + ["…", "—", "。", "，", "«", "»", "¿", "€", "№", "½", "²", "Ⅷ"]
SPACES = [" "] * 12 + ["  ", "   ", "\t", " \t ", "\u00a0", "\u3000", "\u2009", "      ", "\r"]
TAILS = ["'s", "'re", "'VE", "'ll", "’s", "'t", "'ſ", "'d", "'M"]
CONTROL = ["<|endoftext|>", "<s>", "</s>", "[CLS]", "[MASK]", "<|im_start|>", "<unk>", "▁", "<0x0A>"]
EDGES = ["", " ", "   ", "\t", " a", "a ", "  a  b  ", "don't", "DON'T", "1234567", "٣٤٥", "e\u0301cole", "école",
         "ﬁne ﬂow", "Ａ１", "İstanbul", "ẞ", "ΣΑΣ", "👩‍👩‍👧‍👦 family", "नमस्ते दुनिया", "a\u200db", "\ufeffbom", "x" * 300, "中" * 120,
         "hello  world   !", "tab\tand\u00a0nbsp", "\u2028line", "a" + " " * 40 + "b", "....", "foo_bar2baz", "¼½¾", "㎏㌔"]


def lines(count, seed=0):
    """`count` lines: words of one or two scripts with numbers, marks, odd spaces and texts like control tokens."""
    source = random.Random(seed)
    words = {
        name: [
            "".join(chr(source.randint(*source.choice(blocks))) for _ in range(source.randint(1, 9)))
            for _ in range(400)
        ]
        for name, blocks in SCRIPTS.items()
    }
    names = list(SCRIPTS)
    result = list(EDGES)
    while len(result) < count:
        chosen = source.sample(names, source.randint(1, 2))
        parts = []
        for _ in range(source.randint(1, 14)):
            kind = source.random()
            if kind < 0.7:
                word = source.choice(words[source.choice(chosen)])
                parts.append(word + (source.choice(TAILS) if source.random() < 0.08 else ""))
            elif kind < 0.82:
                parts.append(str(source.randint(0, 10 ** source.randint(1, 9))))
            elif kind < 0.97:
                parts.append("".join(source.choice(MARKS) for _ in range(source.randint(1, 3))))
            else:
                parts.append(source.choice(CONTROL))
            if source.random() < 0.8:
                parts.append(source.choice(SPACES))
        result.append("".join(parts))
    return result


GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = GPT4.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KINDS = ["gpt2", "gpt4", "qwen", "o200k", "llama", "t5", "bert", "uncased", "digits", "clip", "words"]


def train(kind, texts):
    """A tokenizer of a kind, trained by `tokenizers` on the texts."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytes_alphabet = pre_tokenizers.ByteLevel.alphabet()

    def pairs(pre, normalizer=None, special=("<|endoftext|>", "<|im_start|>"), **options):
        tokenizer = Tokenizer(models.BPE(**options))
        tokenizer.pre_tokenizer = pre
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        trainer = trainers.BpeTrainer(
            vocab_size=3000, special_tokens=list(special), initial_alphabet=bytes_alphabet, show_progress=False,
            **({"end_of_word_suffix": "</w>"} if options.get("end_of_word_suffix") else {}),
        )
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer

    def split(pattern):
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), byte_level])

    if kind == "gpt2":
        tokenizer = pairs(pre_tokenizers.ByteLevel(add_prefix_space=True))
        tokenizer.post_processor = processors.ByteLevel()
        tokenizer.add_tokens([AddedToken("  ", normalized=True), AddedToken("foo_bar", single_word=True, lstrip=True)])
        return tokenizer
    if kind in ("gpt4", "qwen", "o200k"):
        pattern = {"gpt4": GPT4, "qwen": QWEN, "o200k": O200K}[kind]
        return pairs(split(pattern), normalizers.NFC() if kind == "qwen" else None, ignore_merges=kind == "gpt4")
    if kind == "digits":
        return pairs(pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation("contiguous"), byte_level]
        ), normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()]))
    if kind == "clip":
        return pairs(
            pre_tokenizers.Sequence([
                pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
                byte_level,
            ]),
            normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
            special=("<|startoftext|>", "<|endoftext|>"), end_of_word_suffix="</w>", unk_token="<|endoftext|>",
        )
    if kind == "llama":
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        fallback = [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(
            vocab_size=2500, special_tokens=["<unk>", "<s>", "</s>", *fallback], limit_alphabet=400, show_progress=False
        )
        tokenizer.train_from_iterator((word for text in texts for word in text.split(" ")), trainer)
        data = __import__("json").loads(tokenizer.to_str())
        # As in the released files: bytes are tokens of the model, no added ones.
        data["added_tokens"] = data["added_tokens"][:3]
        tokenizer = Tokenizer.from_str(__import__("json").dumps(data))
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
        return tokenizer
    if kind == "t5":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r" {2,}"), " ")])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        trainer = trainers.UnigramTrainer(
            vocab_size=2000, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer
    if kind in ("bert", "uncased"):
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=kind == "uncased")
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(
            vocab_size=3000, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer
    assert kind == "words"
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=3000, special_tokens=["[UNK]", "[PAD]"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
