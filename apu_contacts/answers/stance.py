"""What words say about contact: that there is one, that there is none, that it is doubted or taken back.

One grammar for every place that can deny a contact: headings, keys, cells, check marks, remarks, the line
that
leads to a list, and words beside an answer. It never finds a contact; it only says whether one may stand.

Words are read clause by clause. A negation denies where its clause speaks of touching, or where it stands
alone; words for a distance deny by themselves. "No gap" is a contact, and "no other contact" denies none of
those that are listed.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

MOST = 20_000
"""Characters of words that are weighed; longer ones count as not understood."""


class Stance(Enum):
    """What words say about the contacts in their scope."""

    AFFIRMS = "affirms"
    DENIES = "denies"
    DOUBTS = "doubts"
    SAMPLE = "shows the form"
    DRAFT = "is a draft"
    FINAL = "is final"
    NEUTRAL = "says nothing about them"
    UNKNOWN = "not understood"


KEEPS = frozenset({Stance.AFFIRMS, Stance.NEUTRAL, Stance.FINAL})
"""Stances under which a contact stands."""


def _words(*groups: str) -> str:
    return "(?:" + "|".join("|".join(group.split("; ")) for group in groups) + ")"


# German, Spanish, French and Chinese beside English; Chinese has no spaces, so its words stand without \b.
_NEGATION = re.compile(
    r"(?<![^\W_])"
    + _words(
        "not; no; never; none; nothing; neither; nor; without; cannot; nobody; nowhere; zero; non; lacks?;"
        " lacking",
        "(?:is|are|was|were|do|does|did|ca|can|could|wo|would|has|have|had|ai)n['’]?t; false; negative; "
        "negatives",
        r"nicht; kein\w*; nirgends; nirgendwo; ohne; weder; nie; nichts; falsch; nein",
        r"ning[uú]n\w*; nunca; sin; tampoco; nada; ni; jam[aá]s; falso",
        r"pas; aucune?; sans; rien; nulle part; jamais; faux",
        "nessun[oa]?; senza; não; nenhum\\w*; sem",
        "b[uùú]; m[eéè]i(?:[ -]?y[oǒ]u)?; w[uú]",  # Chinese in Latin letters
    )
    + r"(?![^\W_])|没有|沒有|没|沒|不(?!同)|未|无|無|并非|勿|否|ない|ません|なし",
    re.IGNORECASE,
)
_TOUCH = re.compile(
    r"(?<![^\W_])"
    + _words(
        r"contacts?; contacting; contacted; touch\w*; physical interaction; overlap\w*; connect\w*; "
        r"pairs?; press\w*; meets?",
        r"(?:haut|körper)?kontakt\w*; berühr\w*; (?:ge|be)rühr\w*",
        r"contactos?; toca\w*; tocan; toque\w*; contatt[oi]; contato",
        r"touche\w*; touchent; tocc\w*",
        r"p[eè]ng(?:[ -]?(?:d[aà]o|zhe?|ch[uù]))?; ji[eē][ -]?ch[uù]\w*; ch[uù][ -]?(?:m[oō]|p[eè]ng)",
    )
    + r"(?![^\W_])|接触|接觸|触碰|触摸|碰到|碰触|相触|相碰|贴在|挨着",
    re.IGNORECASE,
)
# Words for a hold that only make sense where two bodies meet; they speak of touching, but are no noun for it.
_HOLD = re.compile(
    r"(?<![^\W_])(?:rest(?:s|ing|ed)?|l(?:ies|ying) (?:flat )?(?:on|across|against)|lean(?:s|ing)?"
    r"|hold(?:s|ing)?"
    r"|grip(?:s|ping)?|grasp(?:s|ing)?|wrap(?:s|ped|ping)?|clasp(?:s|ed|ing)?|hug(?:s|ging)?|embrac(?:e|es"
    r"|ing)"
    r"|push(?:es|ing)?|flat (?:on|against)|against|firm|firmly|skin[- ]to[- ]skin|interlock\w*|interlac\w*"
    r"|cup(?:s|ping)?|pull(?:s|ing)|squeez\w*|direct|directly|yes|certain|definite|confirmed)(?![^\W_])",
    re.IGNORECASE,
)
_APART = re.compile(
    r"(?<![^\W_])"
    + _words(
        r"gap; gaps; apart; hover\w*; separat\w*; distan(?:ce|t); (?:centi|milli)?met(?:er|re)s?; cm; mm; "
        r"inch(?:es)?",
        r"almost; nearly; short of; not quite; about to; air; out of reach; away from; clear of; misses; "
        r"missing",
        "spaced; detached; (?:some |a )?(?:space|room|daylight) between; near[- ]contact; (?:close"
        "|near)[- ](?:by )?only; only (?:close|near)\\w*; near[- ]?miss\\w*; mid-?air; absent",
        r"schweb\w*; knapp (?:über|neben|vor); flot\w*; sin llegar; survol\w*",
        r"proximity(?: only)?; near(?: contact)?(?=\W*$); close(?=\W*$); adjacent(?=\W*$); visual(?: "
        r"only)?(?=\W*$)",
        r"abstand; lücke\w*; getrennt; beinahe; fast; entfernt; nur nah\w*",
        r"separad\w*; hueco; distancia; casi; cerca(?=\W*$)",
        r"écart; éloign\w*; séparé\w*; presque; à distance; proches?(?=\W*$)",
    )
    + r"(?![^\W_])|(?<![^\W_])(?:un|non)[-_ ]?(?:touch\w*|contacts?|contacting|connected)|间隙|空隙|分开"
    r"|悬空|悬在|快要|差一点|分離|距离|几乎|差点",
    re.IGNORECASE,
)
# Negations of languages of which nothing else is read: words beside a contact that hold one are not
# understood.
_UNREAD_NEGATION = re.compile(
    r"(?<![^\W_])(?:niet|geen|ikke|ingen|inte|nem|nie|nincs|değil|degil|yok|không|khong|tidak|tiada|bukan"
    r"|hindi|wala|nai|inai|nashi|masen|arimasen|anhi?da|eopda|eopseo|nejsou|nu se|nije|niekas)(?![^\W_])",
    re.IGNORECASE,
)
# What is seen where bodies seem to meet and is none.
_APPEARANCE = re.compile(
    r"(?<![^\W_])(?:shadows?|reflect(?:ion|ions|ed)|mirror(?: image)?|silhouettes?|perspective"
    r"|foreshorten\w*|line of sight|depth illusion"
    r"|schatten|spiegel\w*|sombras?|reflejos?|ombres?|reflets?)(?![^\W_])|影子|倒影|镜子",
    re.IGNORECASE,
)
_IN_THE_PLANE = re.compile(
    r"\boverlap\w*\b[^.;]{0,60}\b(?:image|picture|photo\w*|plane|view|viewpoint|perspective|projection|2d"
    r"|frame|background|visual\w*)\b"
    r"|\b(?:visual\w*|projected|2d|image)[- ](?:plane )?overlap",
    re.IGNORECASE,
)
# A contact under a condition, or with a thing, is none that is stated of two people.
_CONDITION = re.compile(
    r"^\W*(?:only )?(?:if|unless|provided that|assuming|wenn|falls|si|s['’]il|à moins)(?![^\W_])"
    r"|(?<![^\W_])(?:would|could|might) (?:touch|meet|be touching|be in contact)(?![^\W_])|如果|假如|要是",
    re.IGNORECASE,
)
_ONLY_WHAT = re.compile(
    r"(?<![^\W_])(?:touch\w*|rest\w*|hold\w*|grip\w*|grasp\w*|l(?:ies|ying))\s+(?:only|just|merely)\s+"
    r"(?:on\s+|against\s+)?(?P<what>[^.;,()]+)",
    re.IGNORECASE,
)
# Of when or in which picture something is seen, beside the moment of the picture that was asked about.
_ANOTHER_MOMENT = re.compile(
    r"(?<![^\W_])(?:previous\w*|earlier|before|prior|next|later|after|following|past|future|last|other|another"
    r"|example|reference|vorher\w*|später|anterior|siguiente|précédente?|suivante?)(?![^\W_])"
    r"|之前|之后|上一|下一|另一",
    re.IGNORECASE,
)
_SOMEBODY_ELSE = re.compile(
    r"\b(?:third|fourth|extra|unrelated) (?:person|individual|party|man|woman|child|player|body|figure)\b"
    r"|\b(?:someone|somebody) else\b|\bbystanders?\b|\bonlookers?\b"
    r"|dritte[nr]? person|tercera persona|troisième personne|第三",
    re.IGNORECASE,
)
_NEAR = re.compile(
    r"(?<![^\W_])(?:near|nearby|close(?! (?:hold|embrace|hug|contact|dance))|beside|next to|adjacent"
    r"|alongside|above|behind"
    r"|in front of|reach(?:es|ing)|approach\w*|neben|nahe?|cerca|près|proches?)(?![^\W_])"
    r"|靠近|接近|附近|旁边",
    re.IGNORECASE,
)
_EXCLUDED = re.compile(
    r"(?<![^\W_])"
    + _words(
        r"rul(?:ed|ing) out; reject\w*; exclu\w*; discard\w*; dismiss\w*; eliminat\w*; disprov\w*; "
        r"omit\w*; omission\w*",
        r"remov\w*; drop(?:ped|s)?; ignor\w*; disregard\w*; except\w*; avoid\w*; free of; impossible; "
        r"unlikely; skip\w*",
        r"improbable; incorrect; invalid; wrong; wrongly; fake; decoys?; distractors?; untrue; "
        r"disqualif\w*; refut\w*",
        r"left out; imagin\w*; contactless; den(?:y|ies|ied); crossed out; struck; withdrawn?; retract\w*;"
        r" scratch(?:ed)?",
        r"mistak\w*; fail(?:s|ed)?; negated; cancel\w*; void; revoked?; mirage; optical; illusion\w*; "
        r"misread",
        r"ausgeschlossen\w*; verworfen\w*; abgelehnt\w*; entfällt; unwahrscheinlich",
        r"descartad\w*; excluid\w*; rechazad\w*; improbable\w*",
        r"exclus?\w*; écarté\w*; rejet\w*",
    )
    + r"(?![^\W_])|排除|否定|忽略|错误|取消",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"(?<![^\W_])"
    + _words(
        r"possibl\w*; possibilit\w*; potential\w*; perhaps; maybe; might; could; would; may; candidat\w*; "
        r"consider\w*",
        r"check(?:ed|ing)?(?! (?:box|mark)); tested; examin\w*; evaluat\w*; inspect\w*; compar\w*; "
        r"look(?:ed)? (?:into|at)",
        r"hypothe\w*; uncertain\w*; unsure; unclear; un(?:confirmed|verified|resolved|decided); ambiguous;"
        r" suspect\w*",
        r"plausib\w*; if; whether; guess\w*; speculat\w*; conceivabl\w*; tentativ\w*; questionable; "
        r"doubt\w*; seems?",
        r"seemingly; appears?; apparently; tempt\w*; borderline; unable; open questions?; to (?:verify"
        r"|confirm|check)",
        r"would-be; expected; planned; pending; tb[cd]; to be (?:verified|confirmed|checked|determined);"
        r" unchecked; next; soon; later; earlier; before; previous\w*; past; used to",
        r"vielleicht; möglich\w*; eventuell\w*; könnte\w*; unsicher\w*; vermut\w*; geprüft\w*",
        r"posible\w*; quiz[aá]s?; tal vez; podr[ií]a\w*; dudos\w*; revisad\w*; peut-être; pourrai\w*; "
        r"incertain\w*; vérifié\w*",
    )
    + r"(?![^\W_])|可能|也许|或许|大概|疑似|似乎|候选|不确定",
    re.IGNORECASE,
)
_SAMPLE = re.compile(
    r"(?<![^\W_])(?:(?:an |the |for |in[- ]context )?examples?|for instance|e\.g\.?|template|placeholder"
    r"|sample|schema"
    r"|(?:would|should|could|must|has to|have to|is to|are to|will|can) be (?:written|given|listed"
    r"|reported|of the form)|written as|such as"
    r"|of the form|illustrat\w*|hypothetical\w*|dummy|format is|expected format|(?:the|this|following) "
    r"(?:form|format)|zum Beispiel"
    r"|z\. ?B\.|Beispiel\w*|por ejemplo|ejemplo|par exemple|exemple)(?![^\W_])|例如|比如|示例|示範|范例|格式",
    re.IGNORECASE,
)
_DRAFT = re.compile(
    r"(?<![^\W_])(?:(?:first|rough|initial|early|preliminary|old|previous|provisional|tentative|working)[ -]?"
    r"(?:\w+ )?(?:drafts?|lists?|attempts?|guess\w*|versions?|pass|answers?|thoughts?|ideas?|annotations?"
    r"|impressions?|takes?|jsons?)"
    r"|drafts?|drafted|brainstorm\w*|scratch(?:pad)?|thinking|thoughts?|reasoning|step \d+|let me think"
    r"|hmm|at first"
    r"|first (?:look|glance)|entwurf|borrador|brouillon)(?![^\W_])|草稿|初稿|思考",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"(?<![^\W_])(?:final(?:ly|ized|ised)?(?: \w+)?|correct(?:ed|ion)(?: \w+)?|revis(?:ed|ion)|updated"
    r"|improved|definitive|conclusion"
    r"|so the answer|my answer|the answer is|result|endgültig\w*|antwort|respuesta(?: final)?|réponse(?: "
    r"finale)?)(?![^\W_])"
    r"|最终|最后|答案|修正后",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"\W*(?:(?:my|the|here is the|here is my|now the|so the) )?(?:answer|output|response|annotation"
    r"|solution)\W*",
    re.I,
)
_CLAUSE = re.compile(
    r"[.!?](?=\s|$)|[;\n。；！？]|\b(?:but|however|though|although|yet|aber|jedoch|pero|mais)\b|但是?|然而",
    re.I,
)
_COMMA = re.compile(r"[,，、:：–—(]|\b(?:since|because|while|as|and)\b")
# Phrases in which a negation or a distance says that two bodies meet, or says nothing about them.
_HARMLESS = re.compile(
    r"\b(?:no|without(?: an?y?)?|not? any|zero|kein\w*|ohne|sans|sin|pas d['e]|aucun)[- ]"
    r"(?:(?:visible|clear|discernible|any|real|apparent|sichtbare\w*) )?(?:gaps?|space|distance|separation"
    r"|air|doubt|"
    r"question|lücke|abstand|écart|hueco|espacio|zweifel)(?: (?:between|in between)(?: \w+){0,3})?"
    r"|\bno\.? ?#?\d+|\b(?:nothing|not|none|no) (?:is |are |was )?(?:left out|omitted|missing)"
    r"|\b(?:no|without)(?: any)? (?:additional|extra|further|other) (?!contact|touch|pair)\w+"
    r"|\bwithout(?: any)? (?:\w+ )?(?:explanation|comment\w*|text|markdown|prose|fences?|formatting)"
    r"|\bnot only\b|\bnot just\b|\bno problem\b|\bnot (?:fully |entirely |completely |clearly |directly "
    r")?visible\b"
    r"|\b(?:close|tight)[- ](?:hold|embrace|hug|contact|dance)\w*|没有(?:间隙|空隙|距离)|无间隙",
    re.IGNORECASE,
)
_SEE = re.compile(
    r"\b(?:can|could)(?:not| ?not|n['’]?t) (?:see|observe|spot|find|identify|detect|make out|discern) ", re.I
)
_ONLY_THESE = re.compile(
    r"(?<!each )\b(?:other|others|else|further|additional|additionally|more|elsewhere|beyond|besides"
    r"|apart from|rest of|otherwise"
    r"|remaining|anything else|andere\w*|weitere\w*|sonst|otr[oa]s?|m[aá]s|autres?|d['’]autres?)\b|其他|其它"
    r"|别的|更多",
    re.IGNORECASE,
)
_ALONE = re.compile(
    r"(?:\W|_)*(?:no|none|nope|false|n|0|not|nein|non|否|无|没有|✗|✘|❌|×|ninguno|aucun|keine?r?|👎|🚫|⛔)(?:\W|_)*",
    re.I,
)
_YES = re.compile(
    r"(?:\W|_)*(?:yes|y|true|ja|oui|s[ií]|是|有|✓|✔|✅|☑|x|1|contact|touching|touch|👍)(?:\W|_)*", re.I
)
_RETRACTS = re.compile(
    r"(?<![^\W_])(?:ignore|disregard|drop|remove|delete|discard|scratch|strike|retract|withdraw|omit"
    r"|exclude|cancel"
    r"|take (?:that |it |this |these |them )?(?:back|out)|leave (?:that|it|this|these|them) out|forget"
    r"|correction|correct(?:ing)? (?:myself|that|this)|"
    r"(?:is|are|was|were) (?:wrong|incorrect|mistaken|false|an error|a mistake|not right|invented"
    r"|superfluous|doubtful after all)"
    r"|as noise|spurious|bogus|false positives?|artefacts?|artifacts?"
    r"|my mistake|i was wrong|i made an? (?:error|mistake)|wait|actually|on second (?:look|thought"
    r"|glance)\w*|"
    r"looking again|look again|after all|instead|rather|should (?:be|have been|read|not)|shouldn['’]t"
    r"|must be (?:removed|dropped)|"
    r"erratum|edit|swap(?:ped)?|exchang\w+|revers\w+|mixed up|other way round|mirrored|"
    r"entry \d+ (?:is|was)|korrektur|streiche\w*|ignorier\w*|correcci[oó]n|ignor[ae]\w*|elimin[ae]\w*|"
    r"supprim\w*|rectification)(?![^\W_])|更正|纠正|忽略|删除|去掉|其实|应该是",
    re.IGNORECASE,
)


# Scripts of which no word is known: Cyrillic, Hebrew and Arabic, those of India, Thai, kana, Hangul.
_UNREAD_SCRIPT = re.compile(r"[\u0400-\u052f\u0590-\u109f\u3040-\u30ff\uac00-\ud7af]")
# Signs in place of words, such as an emoji; marks that only set words apart are none.
_SIGN = re.compile(r"[\u2190-\u2bff\U0001f000-\U0001faff]")
_SHORT = 80
"""Characters of a bare yes or no, with the marks around it; a bound, since the marks are tried one by one."""


def _only_signs(words: str) -> bool:
    return _SIGN.search(words) is not None and re.search(r"[^\W_]", words) is None


def _is_alone(words: str) -> bool:
    return len(words) <= _SHORT and _ALONE.fullmatch(words) is not None


def _is_yes(words: str) -> bool:
    return len(words) <= _SHORT and _YES.fullmatch(words) is not None


def in_unread_script(words: str) -> bool:
    """Whether the words are in a script that no rule here reads."""
    return _UNREAD_SCRIPT.search(words) is not None


def _negates_touch(clause: str) -> bool:
    """Whether a negation in the clause belongs to its words for touching, or stands alone."""
    found = _NEGATION.search(clause)
    if found is None:
        return False
    return _TOUCH.search(clause) is not None or _is_alone(clause)


def clauses(words: str) -> list[str]:
    """Return the words without emphasis and harmless negations, cut at ends of sentences and at "but"."""
    plain = _HARMLESS.sub(" contact ", words.replace("*", "").replace("`", "").replace("_", " "))
    return [clause.strip() for clause in _CLAUSE.split(plain) if clause and clause.strip(" \t\r\n-–—:,.")]


def denies(words: str) -> bool:
    """Whether words beside a contact (a remark, a cell, a field) say that there is none."""
    return remark_stance(words[:MOST]) is Stance.DENIES


@lru_cache(maxsize=4096)
def remark_stance(words: str) -> Stance:
    """Return what a remark, a cell or a field says about the contact it stands beside."""
    if len(words) > MOST:
        return Stance.UNKNOWN
    if _is_alone(words):
        return Stance.DENIES
    if _is_yes(words):
        return Stance.AFFIRMS
    affirmed = doubted = near = False
    unread = in_unread_script(words) or _only_signs(words) or _UNREAD_NEGATION.search(words) is not None
    unread |= _SOMEBODY_ELSE.search(words) is not None or _CONDITION.search(words) is not None
    unread |= any(not _mentions_parts(match.group("what")) for match in _ONLY_WHAT.finditer(words))
    for clause in clauses(words):
        if (
            _negates_touch(clause)
            or _APART.search(clause)
            or _EXCLUDED.search(clause)
            or _is_alone(clause)
            or any(_is_alone(piece) for piece in _COMMA.split(clause) if piece)
            or _IN_THE_PLANE.search(clause)
            or (_APPEARANCE.search(clause) and not _TOUCH.search(clause) and not _HOLD.search(clause))
        ):
            return Stance.DENIES
        holds = _TOUCH.search(clause) is not None or _HOLD.search(clause) is not None
        negated = _NEGATION.search(clause) is not None
        near |= _NEAR.search(clause) is not None and not holds
        if holds and negated and _HOLD.search(clause[_NEGATION.search(clause).end() :][:40]):  # type: ignore[union-attr]
            return Stance.DENIES
        affirmed |= holds
        doubted |= _DOUBT.search(clause) is not None and not holds
    if unread:
        return Stance.UNKNOWN
    if affirmed:
        return Stance.AFFIRMS
    if near:
        return Stance.DENIES
    return Stance.DOUBTS if doubted else Stance.NEUTRAL


# Words of headings that say nothing about whether what stands under them touches.
_PLAIN = frozenset(
    [
        "a",
        "about",
        "above",
        "all",
        "also",
        "an",
        "analysis",
        "and",
        "annotated",
        "annotation",
        "annotations",
        "answer",
        "areas",
        "are",
        "as",
        "at",
        "based",
        "be",
        "below",
        "between",
        "bodies",
        "bodily",
        "body",
        "both",
        "bullet",
        "by",
        "can",
        "certain",
        "confidence",
        "conf",
        "clear",
        "confirmed",
        "definite",
        "details",
        "described",
        "description",
        "detected",
        "direct",
        "do",
        "each",
        "everything",
        "evident",
        "find",
        "first",
        "following",
        "follows",
        "for",
        "form",
        "found",
        "four",
        "five",
        "from",
        "full",
        "given",
        "go",
        "here",
        "i",
        "identified",
        "if",
        "image",
        "images",
        "in",
        "interaction",
        "is",
        "it",
        "item",
        "items",
        "json",
        "key",
        "let",
        "like",
        "list",
        "listed",
        "lists",
        "locations",
        "main",
        "me",
        "my",
        "name",
        "number",
        "numbered",
        "observations",
        "observed",
        "observable",
        "of",
        "ok",
        "okay",
        "on",
        "one",
        "ones",
        "or",
        "order",
        "other",
        "our",
        "output",
        "overall",
        "overview",
        "pair",
        "pairs",
        "part",
        "parts",
        "people",
        "person",
        "persons",
        "photo",
        "photograph",
        "picture",
        "place",
        "places",
        "please",
        "point",
        "points",
        "position",
        "positions",
        "prompt",
        "provide",
        "provided",
        "ready",
        "region",
        "regions",
        "report",
        "reported",
        "requested",
        "response",
        "result",
        "results",
        "room",
        "s",
        "scene",
        "score",
        "scores",
        "second",
        "section",
        "see",
        "seen",
        "sentence",
        "set",
        "shown",
        "side",
        "sides",
        "so",
        "subject",
        "subjects",
        "summary",
        "sure",
        "table",
        "task",
        "text",
        "that",
        "the",
        "their",
        "them",
        "there",
        "these",
        "they",
        "third",
        "this",
        "three",
        "to",
        "two",
        "us",
        "valid",
        "various",
        "view",
        "visible",
        "was",
        "we",
        "well",
        "were",
        "what",
        "where",
        "which",
        "who",
        "with",
        "you",
        "your",
        "individual",
        "individuals",
        "right",
        "left",
        "upper",
        "lower",
        "front",
        "man",
        "woman",
        "boy",
        "girl",
        "child",
        "couple",
        "orientation",
        "hug",
        "hugging",
        "dance",
        "dancing",
        "final",
        "step",
        "present",
        "schema",
        "structured",
        "data",
        "format",
        "requested",
        "asked",
        "per",
        "found-in",
        "most",
        "likely",
        "probable",
        "strong",
        "firm",
        "active",
        "type",
        "kind",
        "level",
        "high",
        "medium",
        "low",
        "der",
        "die",
        "das",
        "den",
        "und",
        "oder",
        "von",
        "zwischen",
        "personen",
        "person",
        "teile",
        "hier",
        "ist",
        "sind",
        "folgende",
        "folgenden",
        "bild",
        "liste",
        "ergebnis",
        "antwort",
        "los",
        "las",
        "el",
        "la",
        "de",
        "entre",
        "y",
        "personas",
        "lista",
        "respuesta",
        "imagen",
        "partes",
        "cuerpo",
        "aquí",
        "están",
        "son",
        "siguientes",
        "siguiente",
        "le",
        "les",
        "des",
        "du",
        "et",
        "dans",
        "sur",
        "voici",
        "liste",
        "réponse",
        "image",
        "corps",
        "parties",
        "personnes",
        "suivants",
        "suivantes",
    ]
)
_LABEL_ONLY = re.compile(
    r"(?:(?:contact|pair|item|entry|point|touch|no|nr|kontakt|contacto|接触)(?:(?:\W|_)+"
    r"|(?=\d)))?[#(]?(?:\d{1,3}|[a-z])[)]?\W*",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


@lru_cache(maxsize=4096)
def heading_stance(words: str) -> Stance:
    """Return what a heading, a key, or the line that leads to a list says about what stands under it.

    Names of body parts say nothing; words that are not known make it a heading that is not understood.
    """
    words = words[:600]
    if _LABEL_ONLY.fullmatch(words.strip(" *_#:-\t")):
        return Stance.NEUTRAL
    found = clauses(words)
    if not found:
        return Stance.NEUTRAL
    last = found[-1]
    pieces = [piece for piece in _COMMA.split(last) if _TOKEN.search(piece)]
    if len(found) > 1 and _TOUCH.search(last) and not _NEGATION.search(last):
        found = [last]  # "I cannot name them, but here are the contacts:"
    whole = " . ".join(found)
    if _NEGATION.search(whole) or _APART.search(whole) or _EXCLUDED.search(whole) or _is_alone(whole):
        return Stance.DENIES
    if _SAMPLE.search(whole):
        return Stance.SAMPLE
    if _FINAL.search(last) or _ANSWER.fullmatch(last):
        return Stance.FINAL
    if _DRAFT.search(whole):
        return Stance.DRAFT
    if _DOUBT.search(last if len(pieces) else whole):
        return Stance.DOUBTS
    near = _NEAR.search(last)
    if near is not None and not _TOUCH.search(last):
        return Stance.DENIES
    if _TOUCH.search(last):
        return Stance.AFFIRMS
    unknown = [
        word
        for word in map(str.lower, _TOKEN.findall(last))
        if len(word) > 1 and re.split("['’]", word)[0] not in _PLAIN and not _is_part(word)
    ]
    return Stance.UNKNOWN if unknown else Stance.NEUTRAL


def _is_part(word: str) -> bool:
    from apu_contacts.answers.vocabulary import VOCABULARY  # the vocabulary reads sides and parts only

    return word in VOCABULARY


_MARKED = re.compile(r"^\s*[#*_]|[:：][\s*_]*$")


def _mentions_parts(sentence: str) -> bool:
    return any(_is_part(word) for word in map(str.lower, _TOKEN.findall(sentence)))


def is_label(words: str) -> bool:
    """Whether the words are no more than a number or "Contact 2"."""
    return _LABEL_ONLY.fullmatch(words.strip(" *_#:-\t")) is not None


def marks_a_heading(words: str) -> bool:
    """Whether the last line is marked as a heading, by number signs, emphasis or a colon."""
    last = words.strip().splitlines()[-1:]
    return bool(last) and _MARKED.search(last[0]) is not None


def lead_in_stance(words: str) -> Stance:
    """Return what the sentence before a value says about it: a heading is read strictly, a long sentence by
    its denials.
    """
    last = [piece for piece in re.split(r"(?<=[.!?。])\s+|\n", words.strip()[-600:]) if _TOKEN.search(piece)]
    if not last:
        return Stance.NEUTRAL
    sentence = last[-1]
    stance = heading_stance(sentence)
    short = len(_TOKEN.findall(sentence)) <= 6
    like_heading = short or _MARKED.search(sentence) is not None
    if stance is Stance.UNKNOWN and not (short and _MARKED.search(sentence)):
        return Stance.NEUTRAL
    if stance is Stance.DENIES and not _MARKED.search(sentence) and _mentions_parts(sentence):
        return Stance.NEUTRAL  # it is about those parts; the words are weighed as a whole later
    if stance is Stance.DENIES and not like_heading:
        # A sentence of its own: it denies only what `denial_of` finds in it.
        return Stance.NEUTRAL if denial_of(sentence) is None else Stance.DENIES
    if stance is Stance.DOUBTS and not like_heading:
        return Stance.NEUTRAL
    return stance


# Adjectives of a contact that say nothing of two bodies by themselves.
_SURE = re.compile(r"\b(?:certain|definite|confirmed|yes|direct|directly|firm|firmly)\b", re.IGNORECASE)


def denial_of(sentence: str) -> str | None:
    """Return the clause of a sentence that says that something does not touch; None if there is none."""
    for clause in clauses(sentence):
        seen = _SEE.search(clause) is not None
        if _ONLY_THESE.search(clause):
            continue
        if _negates_touch(clause) or (seen and _TOUCH.search(clause)):
            return clause
        apart = _APART.search(clause)
        if apart is not None and not _HOLD.search(_SURE.sub(" ", clause)):
            return clause
    return None


def is_another_moment(words: str) -> bool:
    """Whether the words name another moment or picture than the one that was asked about."""
    return _ANOTHER_MOMENT.search(words) is not None


def retracts(sentence: str) -> bool:
    """Whether a sentence takes back, corrects or exchanges what was said."""
    return _RETRACTS.search(sentence) is not None


def speaks_of_touch(words: str) -> bool:
    """Whether the words speak of touching at all."""
    return _TOUCH.search(words) is not None


def doubts(words: str) -> bool:
    """Whether the words leave something open."""
    return _DOUBT.search(words) is not None


def holds(words: str) -> bool:
    """Whether the words say that two bodies meet."""
    return _TOUCH.search(words) is not None or _HOLD.search(words) is not None


def negates(words: str) -> bool:
    """Whether the words hold a negation that is not harmless."""
    return any(_NEGATION.search(clause) for clause in clauses(words))


def only_these(words: str) -> bool:
    """Whether the words speak of others than those that are listed."""
    return _ONLY_THESE.search(words) is not None


def says_yes_or_no(words: str) -> Stance | None:
    """AFFIRMS or DENIES for a bare "yes" or "no" in any spelling or mark; None for other words."""
    if _is_alone(words):
        return Stance.DENIES
    return Stance.AFFIRMS if _is_yes(words) else None
