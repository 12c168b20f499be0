"""Texts that a model may write and that nothing which reads them may stumble over."""


def hostile_texts(chars: int = 100_000) -> dict[str, str]:
    """Return name -> text: empty, endless, deeply nested, malformed, and aimed at what parses it.

    Args:
        chars: about how long the long ones are, >= 100.

    Example:
        >>> texts = hostile_texts(1000)
        >>> texts["blank"].strip(), len(texts["one character"])
        ('', 1000)
    """
    long = {
        "one character": "a",
        "one word": "word ",
        "different words": "".join(f"{number} " for number in range(max(1, chars // 6))),
        "digits": "9",
        "open brackets": "[",
        "open braces": '{"a":',
        "closing brackets": "]" * (chars // 2) + "}",
        "parentheses": "(" * (chars // 2) + ")",
        "open tags": "<think>",
        "empty tags": "<a></a>",
        "backticks": "`",
        "code fences": "```python\n",
        "asterisks": "*",
        "table": "|-",
        "headings": "# ",
        "quotes": '"',
        "backslashes": "\\",
        "white space": " \t\n",
        "line ends": "\r\n",
        "commas": ",",
        "dots": ".",
        "combining marks": "a\u0301\u0301\u0301",
        "emoji": "\U0001f469\u200d\U0001f680",
        "no spaces": "\u4e2d\u6587",
        "almost matches": "ab" * (chars // 2) + "!",
        "zero bytes": "\x00",
    }
    texts = {name: (text * (chars // len(text) + 1))[:chars] for name, text in long.items()}
    return texts | {
        "empty": "",
        "blank": " \n\t ",
        "lone surrogate": "answer \ud800 \udfff 42",
        "right to left": "\u202e42 si rewsna eht\u202c",
        "byte order mark": "\ufeff{}",
        "not a number": "nan inf -inf Infinity NaN",
        "huge exponent": "1e999999999 9**9**9**9 0x" + "f" * 400,
        "json of no number": '{"score": NaN, "score": 1e999}',
        "format string": "{0.__class__.__mro__} %s %n {response!r} ${env:HOME}",
        "code": "__import__('os').system('false')",
        "markup": "<script>alert(1)</script> <!DOCTYPE a [<!ENTITY b 'b'>]>&b;",
        "unclosed": '<answer>42 ```json {"a": [1, 2 **bold _it',
        "control characters": "".join(map(chr, range(32))) + "\x7f\x85\u2028\u2029",
    }
