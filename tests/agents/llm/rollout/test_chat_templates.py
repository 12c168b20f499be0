"""Chat templates of the shapes that real models have: what follows a message is what the whole rendering would have.

The templates are written after those of the models that they are named for.
"""

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from merging_tokenizers import merging_tokenizer

from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.errors import ConfigError

QWEN = """{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
{%- if message.role == 'user' or (message.role == 'system' and not loop.first) or message.role == 'assistant' %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- elif message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- endif %}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

LLAMA3 = """{{- '<s>' }}{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""

MISTRAL = """{{ '<s>' }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}
{%- else %}{% set rest = messages %}{% endif %}{% for message in rest %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('conversation roles must alternate user/assistant/user/assistant') }}{% endif %}
{%- if message['role'] == 'user' %}{% if loop.first and system is defined %}{{ '[INST] ' + system + '\\n\\n' + message['content'] + ' [/INST]' }}
{%- else %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% endif %}
{%- else %}{{ message['content'] + '</s>' }}{% endif %}{% endfor %}"""

GEMMA = """{{ '<s>' }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for message in messages %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}
{{- '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""

PHI = """{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ '</s>' }}{% endif %}"""

# Takes the thinking of all but the newest assistant message away, and opens the next one with it.
THINKING = """{% for message in messages %}{% set content = message.content %}
{%- if message.role == 'assistant' and '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}
{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"""

# No special token closes a turn; the model's end of sequence does.
BARE = """{% for message in messages %}{{ message.role + ': ' + message.content + '\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"""

NEEDS_SYSTEM = (
    "{% if messages[0].role != 'system' %}{{ raise_exception('a system message comes first') }}{% endif %}" + PHI
)

TEMPLATES = {
    "qwen": (QWEN, "<|im_end|>"),
    "llama3": (LLAMA3, "<|eot_id|>"),
    "mistral": (MISTRAL, "</s>"),
    "gemma": (GEMMA, "<end_of_turn>"),
    "phi": (PHI, "<|end|>"),
    "thinking": (THINKING, "<|im_end|>"),
}
every_template = pytest.mark.parametrize("name", TEMPLATES)


TOKENIZERS = {name: merging_tokenizer(template) for name, (template, _) in TEMPLATES.items()}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def whole(tokenizer, messages):
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@every_template
def test_the_token_that_closes_a_message_is_found(name):
    tokenizer = TOKENIZERS[name]
    assert ChatFormat(tokenizer).closing_id == tokenizer.convert_tokens_to_ids(TEMPLATES[name][1])


texts = st.text(st.characters(codec="utf-8", exclude_characters="<>[]|"), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    question=texts, answers=st.lists(texts, min_size=2, max_size=2), feedback=st.lists(texts, min_size=2, max_size=2)
)
@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "thinking"])  # that one keeps no past
def test_three_turns_are_the_rendering_of_the_whole_conversation(name, question, answers, feedback):
    tokenizer = TOKENIZERS[name]
    chat = ChatFormat(tokenizer)
    opening = [user(question)]
    grown = chat.prompt_ids(opening)
    messages = list(opening)
    trims, merges = name in ("llama3", "gemma"), False
    for answer, told in zip(answers, feedback, strict=True):
        answer = answer.strip() if trims else answer  # what is trimmed was never said; the policy did say it
        before = tokenizer.decode(grown)[-8:]
        merges |= ids_of(tokenizer, before + answer) != ids_of(tokenizer, before) + ids_of(tokenizer, answer)
        grown += [*tokenizer(answer, add_special_tokens=False)["input_ids"], chat.closing_id]
        grown += chat.feedback_ids(told, closing=chat.closing_id)
        messages += [assistant(answer), user(told)]
    expected = whole(tokenizer, messages)
    assert tokenizer.decode(grown) == tokenizer.decode(expected)
    # One rendering may join the end of a prompt and the start of an answer in a token that nobody sampled.
    assert grown == expected or merges


@every_template
def test_a_message_that_a_limit_cut_is_closed_by_the_template(name):
    tokenizer = TOKENIZERS[name]
    chat = ChatFormat(tokenizer)
    closed = chat.feedback_ids("no", closing=chat.closing_id)
    cut = chat.feedback_ids("no", closing=None)
    assert cut == [chat.closing_id, *closed]
    assert "no" in tokenizer.decode(closed)


def test_earlier_thinking_stays_what_the_policy_sampled():
    tokenizer = TOKENIZERS["thinking"]
    chat = ChatFormat(tokenizer)
    said = "it is 7</think>8"
    assert chat.prompt_ids([user("3+4")]) == whole(tokenizer, [user("3+4")])
    after = tokenizer.decode(chat.feedback_ids("no", chat.closing_id))
    assert after == "\n<|im_start|>user\nno<|im_end|>\n<|im_start|>assistant\n<think>\n"
    rendered = tokenizer.decode(whole(tokenizer, [user("3+4"), assistant(said), user("no")]))
    assert "it is 7" not in rendered  # what rendering everything again would take away from the policy


def test_a_default_system_prompt_is_said_once():
    tokenizer = TOKENIZERS["qwen"]
    chat = ChatFormat(tokenizer)
    assert tokenizer.decode(chat.prompt_ids([user("a")])).count("helpful assistant") == 1
    assert "helpful assistant" not in tokenizer.decode(chat.feedback_ids("b", None))
    own = tokenizer.decode(chat.prompt_ids([{"role": "system", "content": "be short"}, user("a")]))
    assert ("be short" in own, "helpful" in own) == (True, False)


def test_feedback_has_the_role_that_the_environment_gave_it():
    tokenizer = TOKENIZERS["qwen"]
    chat = ChatFormat(tokenizer)
    tool = [{"role": "tool", "content": "42"}]
    expected = "\n<|im_start|>user\n<tool_response>\n42\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(chat.feedback_ids(tool, chat.closing_id)) == expected
    two = [{"role": "system", "content": "hurry"}, user("go on")]
    text = tokenizer.decode(chat.feedback_ids(two, chat.closing_id))
    assert text == "\n<|im_start|>system\nhurry<|im_end|>\n<|im_start|>user\ngo on<|im_end|>\n<|im_start|>assistant\n"
    with pytest.raises(ConfigError, match=r"refuses a conversation of user, assistant, tool.*must alternate.*plain"):
        ChatFormat(TOKENIZERS["mistral"]).feedback_ids(tool, None)


def test_a_system_message_that_the_template_does_not_take_is_one_clear_line():
    chat = ChatFormat(TOKENIZERS["gemma"])
    with pytest.raises(
        ConfigError,
        match=r"^the chat template .* refuses a conversation of system, user: System role not supported; use policy.prompt_format=plain$",
    ):
        chat.prompt_ids([{"role": "system", "content": "be short"}, user("1")])


def test_a_template_that_needs_a_system_message_can_be_continued():
    tokenizer = merging_tokenizer(NEEDS_SYSTEM)
    chat = ChatFormat(tokenizer)
    start = [{"role": "system", "content": "s"}, user("q")]
    grown = [*chat.prompt_ids(start), *chat.answer_ids("a"), *chat.feedback_ids("f", chat.closing_id)]
    assert grown == whole(tokenizer, [*start, assistant("a"), user("f")])


def test_turns_without_a_closing_token_end_with_the_end_of_sequence():
    tokenizer = merging_tokenizer(BARE)
    chat = ChatFormat(tokenizer)
    assert chat.closing_id == tokenizer.eos_token_id
    assert tokenizer.decode(chat.feedback_ids("no", chat.closing_id)) == "\nuser: no\nassistant: "


def test_a_message_closed_by_another_token_than_the_templates_is_closed_again():
    tokenizer = TOKENIZERS["qwen"]
    chat = ChatFormat(tokenizer)
    assert chat.feedback_ids("no", closing=tokenizer.eos_token_id) == chat.feedback_ids("no", closing=None)


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{% if m.role != 'assistant' %}{{ m.content }}{% endif %}{% endfor %}",
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
        "{% for m in messages %}{{ m.content + m.content }}{% endfor %}",
        "{{ messages[-1].content }}",
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content[:5] }}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    ],
    ids=["drops", "alters", "repeats", "newest only", "shortens"],
)
def test_templates_that_do_not_keep_what_was_said_are_refused(template):
    with pytest.raises(ConfigError, match=r"^the chat template .* drops, repeats or alters .*prompt_format=plain$"):
        ChatFormat(merging_tokenizer(template))
    assert ChatFormat(merging_tokenizer(template), "plain").uses_template is False


def test_a_broken_template_is_one_clear_line():
    with pytest.raises(
        ConfigError, match=r"^the chat template of the tokenizer refuses a conversation of user, assistant"
    ):
        ChatFormat(merging_tokenizer("{% for m in messages %}{{ m.content"))
    with pytest.raises(ConfigError, match="never; use policy"):
        ChatFormat(merging_tokenizer("{{ raise_exception('never') }}"))


def test_plain_text_is_the_messages_line_by_line_and_feedback_as_it_is():
    tokenizer = merging_tokenizer()
    chat = ChatFormat(tokenizer)
    assert tokenizer.decode(chat.prompt_ids([{"role": "system", "content": "s"}, user("q")])) == "s\nq"
    assert tokenizer.decode(chat.feedback_ids([user("a"), user("b")], None)) == "a\nb"
    assert chat.answer_ids("12") == [*tokenizer("12")["input_ids"], tokenizer.eos_token_id]


def test_an_end_that_the_tokenizer_puts_after_every_text_is_no_part_of_a_prompt():
    tokenizer = merging_tokenizer()
    tokenizer.backend_tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    ids = ChatFormat(tokenizer).prompt_ids([user("12")])
    assert (ids[0], ids[-1] != tokenizer.eos_token_id) == (1, True)
