"""Titles and authors that a program wrote because a person gave none."""

from __future__ import annotations

import re

from indexer.readers.text.text_builder import one_line

FILE_NAME = re.compile(
    r".*\.(?:docx?|docm|dotx?|pptx?|ppsx?|xlsx?|csv|pdf|indd|qxd|qxp|tex|dvi|ps|eps|pub|od[tpsg]|rtf|txt|html?|pmd|p65|fm|ai"
    r"|cdr|dwg|wp[sd]|pages|key|numbers|hwp|md|xml|jpe?g|png|tiff?)",
    re.IGNORECASE,
)
PROGRAM_NAME = re.compile(
    r"(?:microsoft|adobe|libreoffice|openoffice|corel|google)(?: office)? \w+ ?[-–—:] ?(.*)", re.I
)
PLACEHOLDER = re.compile(
    r"""[\s(\[<«"'„“]*(?:
    untitled(?:[\s_-]++(?:document|presentation|spreadsheet|design|page|form|report))?
    |no\ title|title|anonymous|unspecified|unknown|none|null|undefined|n/?a|not\ set|default|blank|empty|test
    |draft|output|print|pdf|latex|about:blank|full\ page\ (?:photo|fax\ print)
    |unbenannt|ohne\ titel|kein\ titel|sans[\ -]titre|sin\ t[íi]tulo|senza\ titolo|sem\ t[íi]tulo|bez\ nazwy
    |без\ названия|naamloos|namnlös|uden\ titel|无标题|無標題|未命名|未标题|名称未設定|無題|タイトルなし|제목\ ?없음
    |(?:microsoft\ )?(?:word|excel|powerpoint)(?:\ (?:document|presentation|workbook|worksheet))?
    |powerpoint[\ -](?:presentation|präsentation|presentatie)|pr[ée]sentation\ powerpoint
    |presentaci[óo]n\ de\ powerpoint|presentazione(?:\ standard)?\ di\ powerpoint
    |apresenta[çc][ãa]o\ do\ powerpoint|prezentacja\ programu\ powerpoint|презентация\ powerpoint
    |powerpoint\ ?(?:演示文稿|簡報|プレゼンテーション|프레젠테이션)
    |(?:new\ )?(?:document|dokument|documento|presentation|präsentation|présentation|presentación|apresentação
    |workbook|book|mappe|classeur|libro|sheet|slide|folie|diapositiva|diapositive|layout|page|seite|scan|image|img
    |drawing|file|文档|文稿|演示文稿|幻灯片|工作簿|文書|スライド|문서|슬라이드)
    )[\s_-]*+\(?\d*+\)?[\s)\]>»"'”“]*""",
    re.IGNORECASE | re.VERBOSE,
)
ADDRESS = re.compile(r"(?:https?://|www\.|file:|doi:|[a-z]:\\|/)\S*", re.IGNORECASE)
WORD = re.compile(r"(?<![\w.-])[^\W\d_]{2,}(?!\w)|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2}")
NO_AUTHOR = re.compile(
    r"[\s(\[<]*(?:anonymous|unspecified|unknown|none|null|n/?a|users?\ ?\d*|admin(?:istrator)?|owner|author|default"
    r"|root|python-docx|openpyxl|apache poi|unbekannt|inconnu|desconocido|匿名|未知|作者)[\s)\]>]*",
    re.IGNORECASE,
)


def usable_title(text: str) -> str:
    """Return a title of a file's metadata; "" for a file name or a placeholder."""
    title = one_line(text)
    if named := PROGRAM_NAME.fullmatch(title):
        title = named.group(1).strip()
    is_name = FILE_NAME.fullmatch(title) or ADDRESS.fullmatch(title) or ("_" in title and " " not in title)
    return "" if is_name or PLACEHOLDER.fullmatch(title) or not WORD.search(title) else title


def usable_author(text: str) -> str:
    """Return an author of a file's metadata; "" for a placeholder."""
    author = one_line(text)
    return "" if NO_AUTHOR.fullmatch(author) else author
