"""A model's reasoning, told apart from its answer by the marks around it.

Models mark what they think with tags (``<think>``, ``[THINK]``, ``◁think▷``, ``<seed:think>``,
``<|START_THINKING|>``), with channels (``<|channel|>analysis<|message|>``), or put the answer in tags of its
own. One rule reads them all: a mark is a word for thinking or answering between brackets, and opens or
closes.
What is thought is no answer, and an answer that never came after it was cut off.
"""

from __future__ import annotations

import re

_THINKING = (
    r"(?:inner[ _-]?|chain[ _-]of[ _-]?|internal[ _-]?|hidden[ _-]?|deep[ _-]?)?"
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|analy[sz]ing|reflect(?:ion|ing)?|scratch[ _-]?pad"
    r"|monologue|deliberation"
    r"|rationale|brainstorm(?:ing)?|cot|plan(?:ning)?|drafts?|working|self[ _-]?check"
    r"|ponder(?:ing)?|ruminat(?:ion|ions|ing|e)|mull(?:ing)?|mus(?:ing|ings|e)|contemplat(?:ion|ing|e)"
    r"|cogitat(?:ion|ing|e)|introspect(?:ion)?|deliberat(?:ing|e)|consider(?:ing|ations?)|dialogue|notepad"
    r"|workspace|sketch(?:es)?|gedanken|nachdenken|pensamientos?|pens[ée]es?|réflexions?"
    r"|思考|推理)(?:[ _-]?process|[ _-]?block|[ _-]?trace|[ _-]?steps?|[ _-]?content)?"
)
_ANSWER = r"(?:final[ _-]?)?(?:answer|response|output|result|final|solution|答案)"
_MARK = re.compile(
    r"(?P<open>◁|<\|?|\[\|?|【|⟨|«|\{\{|\|)\s?(?P<slash>/?)\|?(?P<begin>(?:begin|start|end|stop|eo|bo)[ "
    r"_-](?:of[ _-])?)?"
    r"(?:[A-Za-z]{1,12}:)?(?:(?P<think>" + _THINKING + r")|(?P<answer>" + _ANSWER + r"))"
    r"(?P<after>[ _-](?:begin|start|end|stop))?(?P<attributes>\s[^<>\[\]\n]{0,"
    r"80})?(?P<empty>/?)\s?\|?(?P<close>▷|>|\]|】|⟩|»|\}\})",
    re.IGNORECASE,
)
_PAIRS = {
    "◁": "▷",
    "<": ">",
    "<|": ">",
    "[": "]",
    "[|": "]",
    "【": "】",
    "⟨": "⟩",
    "«": "»",
    "{{": "}}",
    "|": ">",
}
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
# Blocks in tags of any other name. These names are of an answer, of its form, or of markup.
_BLOCK = re.compile(r"<(?P<tag>[A-Za-z][\w-]{2,30})>(?=.)", re.DOTALL)
_READ_TAG = re.compile(
    r"answer|answers|final|final_answer|finalanswer|response|output|result|results|solution|json|yaml"
    r"|xml|text|data|contact|contacts|contact_list|contact_map|interaction|people|orientation"
    r"|annotation|annotations|tool_call|tool|tool_code|tool_use|function|function_call|function_calls"
    r"|invoke|parameter|parameters|arguments|args|call|item|items|list|entry|entries|row|rows|pair"
    r"|pairs|person|person_left|person_right|left|right|body_part|part|side|confidence|code|pre|div"
    r"|span|html|body|table|thead|tbody|details|summary|strong|del|ins|mark|sub|sup|touching|touch"
    r"|image|section|article|main",
    re.IGNORECASE,
)
_CHANNEL = re.compile(
    r"<\|channel\|?>\s*(?P<name>[A-Za-z]{1,20})[^<{\[]{0,80}(?:<\|message\|?>)?", re.IGNORECASE
)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|?>", re.IGNORECASE)
_BARE_CHANNEL = re.compile(r"\s*(?:assistant)?(?:analysis|commentary)(?=[A-Z\s{\[])")
_BARE_FINAL = re.compile(r"assistant\s{0,4}final")
# What a draft of an answer has and words before one have not.
_STRUCTURE = re.compile(r"[{\[|]|^\s*[-*\d]", re.MULTILINE)
# Gemma's medical models open with <unused94>thought and close with <unused95>.
_UNUSED = re.compile(r"<unused94>(?:thought)?.*?(?:<unused95>|\Z)", re.DOTALL)


def reasoning_blocks(text: str) -> list[tuple[int, int]]:
    """Where a text thinks, ``(start, end)`` in order, without overlaps.

    Reasoning that never ends goes one past the end of the text. A closing mark alone ends reasoning that
    began
    with the text: its opening stood in the prompt. What stands before the last answer in tags is reasoning
    too.
    """
    blocks = [*_tagged(text), *_channels(text), *_bare_channels(text), *_other_blocks(text)]
    blocks += [match.span() for match in _COMMENT.finditer(text)] if "<!--" in text else []
    if "<unused94>" in text:
        for match in _UNUSED.finditer(text):
            blocks.append((match.start(), match.end() + (not match.group().endswith("<unused95>"))))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(blocks):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _tagged(text: str) -> list[tuple[int, int]]:
    """Blocks between tags. What stands before the last answer in tags is no answer, unless it is a few
    words.
    """
    blocks: list[tuple[int, int]] = []
    opened, last_answer = -1, -1
    for match in _MARK.finditer(text):
        if not _is_mark(match):
            continue
        closes = bool(match.group("slash")) or _word(match) in ("end", "stop", "eo")
        if match.group("answer"):
            if closes or match.group("open") == "{{":
                continue
            last_answer = match.start()
            if opened >= 0:
                blocks.append((opened, last_answer))
            opened = -1
        elif not closes:
            opened = match.start() if opened < 0 else opened
        elif opened >= 0:
            blocks.append((opened, match.end()))
            opened = -1
        else:
            blocks = [(0, match.end())]
            last_answer = last_answer if last_answer > match.end() else -1
    if opened >= 0:
        blocks.append((opened, len(text) + 1))
    if last_answer > 0 and _STRUCTURE.search(text, 0, last_answer):
        blocks.append((0, last_answer))
    return blocks


def _other_blocks(text: str) -> list[tuple[int, int]]:
    """Blocks in tags that no answer has (``<inner_voice>``), where an answer may stand after them."""
    blocks: list[tuple[int, int]] = []
    pos = looked = 0
    while looked < _MOST_BLOCKS and (match := _BLOCK.search(text, pos)) is not None:
        pos = match.end()
        tag = match.group("tag")
        if _READ_TAG.fullmatch(tag):
            continue
        looked += 1
        end = text.find(f"</{tag}>", match.end())
        if end >= 0:
            pos = end + len(tag) + 3
            blocks.append((match.start(), pos))
    return [block for block in blocks if _STRUCTURE.search(text, block[1])]


_MOST_BLOCKS = 50  # each is looked for up to the end of the text


def _word(match: re.Match[str]) -> str:
    begin = (match.group("begin") or match.group("after") or "").strip(" _-").lower()
    return re.split(r"[ _-]", begin)[0]


def _is_mark(match: re.Match[str]) -> bool:
    """Square and bare brackets are marks only where they cannot be a list; attributes stand in ``<>``
    only.
    """
    opener = match.group("open")
    if _PAIRS[opener] != match.group("close") or match.group("empty"):
        return False
    if opener in ("<", "<|", "◁"):
        return True
    return match.group("attributes") is None


def _channels(text: str) -> list[tuple[int, int]]:
    """Channels other than the final one."""
    blocks = []
    for match in _CHANNEL.finditer(text):
        if match.group("name").lower() == "final":
            continue
        end = _CHANNEL_END.search(text, match.end())
        blocks.append((match.start(), end.start() if end else len(text) + 1))
    return blocks


def _bare_channels(text: str) -> list[tuple[int, int]]:
    """``analysisThe faces ... assistantfinal{...}``: channels whose marks were stripped."""
    if _BARE_CHANNEL.match(text) is None:
        return []
    finals = [match.end() for match in _BARE_FINAL.finditer(text)]
    if finals:
        return [(0, finals[-1])]
    glued = re.match(r"\s*(?:assistant)?(?:analysis|commentary)(?=[A-Z])", text)
    return [(0, len(text) + 1)] if glued else []
