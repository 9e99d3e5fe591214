"""The tokenizer gives the ids of transformers.CLIPTokenizer (5.24.0), with CLIP's own vocabulary, out of the package open_clip_torch."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import pathlib
import random
import subprocess
import unicodedata

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZE = pathlib.Path(os.environ.get("VIDLOOM_COMMAND", ROOT / "build/bin/vidloom")).parent / "vidloom_tokenize"

# utf8proc of Debian 12 knows Unicode 15: with a Python that knows more, the characters of 3.2 are compared, the other table Python has.
UNICODE = unicodedata if tuple(map(int, unicodedata.unidata_version.split("."))) <= (15, 0, 0) else unicodedata.ucd_3_2_0
# Of the private characters, all alike, one in 97.
KNOWN = [
    chr(c) for c in range(1, 0x110000) if (category := UNICODE.category(chr(c))) not in ("Cn", "Cs") and (category != "Co" or c % 97 == 0)
]
MARKS = [c for c in KNOWN if UNICODE.combining(c)]


def theirs(folder: pathlib.Path):
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: make test installs it")
    return transformers.CLIPTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> pathlib.Path:
    """vocab.json and merges.txt as openai/clip-vit-base-patch32 has them."""
    package = importlib.util.find_spec("open_clip")  # never imported: it wants torchvision and timm
    if package is None:
        pytest.skip("open_clip_torch is not installed: make test installs it, alone")
    with gzip.open(pathlib.Path(package.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8") as file:
        merges = file.read().split("\n")[1:48895]
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(b) for b in printable] + [chr(0x100 + i) for i in range(256 - len(printable))]
    tokens = letters + [letter + "</w>" for letter in letters] + ["".join(merge.split()) for merge in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    assert len(set(tokens)) == 49408
    folder = tmp_path_factory.mktemp("clip")
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    return folder


def ours(folder: pathlib.Path, texts: list[str], context: int) -> list[list[int]]:
    if not TOKENIZE.exists():
        pytest.skip(f"{TOKENIZE} is not built: cmake --build build --target vidloom_tokenize (apt-get install libutf8proc-dev)")
    sent = "".join(text + "\0" for text in texts).encode()
    run = subprocess.run([TOKENIZE, folder, str(context)], input=sent, capture_output=True, timeout=300)
    assert run.returncode == 0, run.stderr.decode()
    lines = run.stdout.decode().splitlines()
    assert len(lines) == len(texts)
    return [[int(id) for id in line.split()] for line in lines]


def compare(folder: pathlib.Path, texts: list[str], contexts: tuple[int, ...] = (77, 100_000)) -> int:
    """Returns how many ids were compared."""
    reference = theirs(folder)
    count = 0
    for context in contexts:
        expected = reference(texts, truncation=True, max_length=context).input_ids
        for text, mine, wanted in zip(texts, ours(folder, texts, context), expected, strict=True):
            assert mine == wanted, f"{text!a} at most {context}"
            count += len(wanted)
    return count


def comparable(texts: list[str]) -> list[str]:
    """Those whose NFC the reference gives as Python does: its tables know no order of marks that are newer than Unicode 9."""
    nfc = pytest.importorskip("tokenizers").normalizers.NFC()
    kept = [text for text in texts if nfc.normalize_str(text) == unicodedata.normalize("NFC", text)]
    assert len(kept) > 0.9 * len(texts)
    return kept


def test_the_first_ids_are_those_that_everybody_knows(clip):
    assert ours(clip, ["a photo of a cat", ""], 77) == [[49406, 320, 1125, 539, 320, 2368, 49407], [49406, 49407]]


def test_every_character(clip):
    rows = [KNOWN[i : i + 64] for i in range(0, len(KNOWN), 64)]
    texts = [" ".join(row) for row in rows] + ["a".join(row) for row in rows]
    assert len(texts) > 2000
    assert compare(clip, comparable(texts), contexts=(100_000,)) > 500_000


PHRASES = [
    *"a photo of the cat's dog It's WE'LL I'd they've I'm don't '' 's 'S 'LL 2024 3.14 ½ ٣ Ⅷ ...!!! --- #tag @me http://x.y/z?q=1".split(),
    *"<|startoftext|> <|endoftext|> <|StartOfText|> <|ENDOFTEXT|> <|endoftext <| |> &amp; &lt;b&gt; &#39; l\u2019été “quoted”".split(),
    *"ẛ̣ İstanbul Σας ΑΣ straße ǅ ﬁ \uff21 Å Å K 각 각 你好世界 வணக்கம் नमस्ते สวัสดี שלום مرحبا e\u0301\u0323".split(),
    *"👨\u200d👩\u200d👧 🇩🇪 👍🏽 ❤\ufe0f 1\ufe0f\u20e3 🏴\U000e0067\U000e0062\U000e007f \u200b \u2060 \ufeff \ufffd \x1b[31m".split(),
]
SPACES = [*" \t\n\v\f\x1c\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000", "  ", "\r\n"]


def random_text(chance: random.Random, kind: int) -> str:
    many = chance.randint
    match kind:
        case 0:
            return "".join(chance.choice(KNOWN) for _ in range(many(1, 40)))
        case 1:
            return "".join(chance.choice([*SPACES, "", "'", "\u200b"]) + chance.choice(PHRASES) for _ in range(many(0, 25)))
        case 2:
            return "".join(chance.choice("abcdefghijklmnopqrstuvwxyzABC  '!<|>") for _ in range(many(1, 150)))
        case 3:
            return "".join(chance.choice("aeouäấqĠ") + "".join(chance.choice(MARKS) for _ in range(many(0, 5))) for _ in range(many(1, 8)))
        case 4:
            return "".join(chr(many(1, 0x2FF)) for _ in range(many(1, 60)))
        case 5:
            return chance.choice(["a", "ab", "é", "你", "!", "9", "\u0301", "x ", "ΣA"]) * many(1, 1500)
        case 6:
            block = chance.choice(KNOWN)
            near = [c for i in range(-40, 40) if (c := chr(max(1, ord(block) + i) % 0x110000)) and UNICODE.category(c) not in ("Cn", "Cs")]
            return "".join(chance.choice([chance.choice(near), chance.choice(PHRASES)]) for _ in range(25))
        case _:
            parts = ["<|endoftext|>", "<|startoftext|>", "<|", "|>", "x", " ", "<|EndofText|>", "'s", "!", "<|STARTOFTEXT|>"]
            return "".join(chance.choice(parts) for _ in range(many(1, 12)))


def test_eight_thousand_texts_of_every_kind(clip):
    chance = random.Random(20)
    texts = [random_text(chance, count % 8) for count in range(8000)]
    assert compare(clip, ["", *PHRASES, *SPACES, *comparable(texts)]) > 200_000


def token(text: str, normalized: bool) -> dict:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": normalized, "special": True}
    return {"content": text, **flags, "__type": "AddedToken"}


CONFIGURATIONS = {
    "as openai's": {name: token(text, True) for name, text in [("bos_token", "<|startoftext|>"), ("eos_token", "<|endoftext|>")]}
    | {"unk_token": token("<|endoftext|>", True), "pad_token": "<|endoftext|>"},
    "padded with a mark": {"pad_token": "!", "eos_token": token("<|endoftext|>", True), "unk_token": token("<|endoftext|>", True)},
    "listed": {
        "added_tokens_decoder": {
            "49406": token("<|startoftext|>", True),
            "49407": token("<|endoftext|>", False),
            "49408": token("<Cat-toy>", True),
            "49409": token("<Cat-toy>s", False),
        }
    },
}


@pytest.mark.parametrize("saved", [False, True], ids=["vocab.json", "tokenizer.json"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_special_tokens_of_a_folder_are_found_as_transformers_finds_them(clip, tmp_path, name, saved):
    for file in ("vocab.json", "merges.txt"):
        (tmp_path / file).write_bytes((clip / file).read_bytes())
    config = {"tokenizer_class": "CLIPTokenizer"} | CONFIGURATIONS[name]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    folder = tmp_path
    if saved:
        folder = tmp_path / "saved"
        theirs(tmp_path).save_pretrained(folder)
        assert not (folder / "vocab.json").exists()
    chance = random.Random(name)
    parts = [*"<|endoftext|> <|STARTOFTEXT|> <|EndOfText|> <|startoftext|> ! x <| <Cat-toy> <CAT-TOY>s <cat-toy>".split(), " "]
    texts = ["".join(chance.choice(parts) for _ in range(chance.randint(1, 15))) for _ in range(500)]
    assert compare(folder, texts) > 5000
