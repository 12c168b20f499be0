from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.envs.incremental_text import IncrementalText, PrefixProgress


def decode_bytes(ids):
    return bytes(ids).decode("utf-8", "replace")


def decode_words(ids):
    """Like sentence-piece tokenizers: the space before a word is dropped at the very start."""
    return "".join(f" w{i}" for i in ids).removeprefix(" ")


@settings(deadline=None)
@given(st.text(max_size=30))
def test_characters_of_several_bytes_come_out_whole(text):
    growing = IncrementalText(decode_bytes)
    pieces = [growing.push(byte) for byte in text.encode()]
    assert "".join(pieces) + growing.finish() == text == growing.value
    if "\ufffd" not in text:
        assert "\ufffd" not in "".join(pieces)


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), max_size=30))
def test_no_bytes_get_lost_at_the_end(ids):
    growing = IncrementalText(decode_bytes)
    text = "".join([growing.push(byte) for byte in ids])
    text += growing.finish()
    assert growing.finish() == ""
    assert text == growing.value
    if ids:
        assert text


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=20))
def test_spaces_between_words_survive(ids):
    growing = IncrementalText(decode_words)
    assert "".join([growing.push(word) for word in ids]) == decode_words(ids)


def test_a_token_is_decoded_with_few_others_however_long_the_text():
    longest = 0

    def decode(ids):
        nonlocal longest
        longest = max(longest, len(ids))
        return "".join(map(chr, ids))

    growing = IncrementalText(decode)
    for _ in range(5000):
        growing.push(97)
    assert growing.value == "a" * 5000
    assert longest <= 2


def share_by_definition(target, text):
    """A second algorithm: from the whole text at once."""
    if text == target:
        return 1.0
    matched = next((i for i, (a, b) in enumerate(zip(target, text, strict=False)) if a != b), None)
    if matched is None:  # one is a prefix of the other
        if len(text) < len(target):
            return len(text) / len(target)
        return (len(target) - 1) / len(target) if target else 0.0
    return matched / len(target)


@settings(deadline=None)
@given(st.text("ab", max_size=5), st.lists(st.text("ab", max_size=3), max_size=6))
def test_progress_is_the_share_matched_from_the_start(target, pieces):
    progress, text = PrefixProgress(target), ""
    for piece in pieces:
        text += piece
        assert progress.push(piece) == progress.share == share_by_definition(target, text)


def test_progress_of_one_response():
    progress = PrefixProgress("185")
    assert [progress.push(c) for c in "1"] == [1 / 3]
    assert [progress.push(c) for c in "85"] == [2 / 3, 1.0]
    assert [progress.push(c) for c in "0"] == [2 / 3]
