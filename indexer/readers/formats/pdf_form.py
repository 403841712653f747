"""What somebody has typed into a PDF: values of form fields and notes on top of a page, which its text layer lacks."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
from typing import Any

from indexer.readers.text.text_builder import one_line

MOST_ANNOTATIONS = 2_000  # of one page
PLAIN_NAME = re.compile(r"[^\W\d_][\w -]*")  # others are a program's: form1[0].TextField2[0]
CLOSING_ZERO_BYTES = 2


def prepare_forms(document: Any) -> None:
    """Make the fields of `document` known; to be called before its first page is opened."""
    if document.get_formtype():
        document.init_forms()


def typed_in(document: Any, page: Any) -> Iterator[str]:
    """Lines "label: value" of the page's fields, and notes that stand on the page itself."""
    import pypdfium2.raw as pdfium

    shown = {pdfium.FPDF_FORMFIELD_TEXTFIELD, pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX}
    for number in range(min(pdfium.FPDFPage_GetAnnotCount(page), MOST_ANNOTATIONS)):
        note = pdfium.FPDFPage_GetAnnot(page, number)
        kind = pdfium.FPDFAnnot_GetSubtype(note)
        if kind == pdfium.FPDF_ANNOT_FREETEXT:
            yield _text(pdfium.FPDFAnnot_GetStringValue, note, b"Contents")
        elif kind == pdfium.FPDF_ANNOT_WIDGET and document.formenv:
            form = document.formenv
            if pdfium.FPDFAnnot_GetFormFieldType(form, note) in shown:
                yield _field(form, note)
        pdfium.FPDFPage_CloseAnnot(note)


def _field(form: Any, note: Any) -> str:
    """The field's value after its label; "" for an empty one."""
    import pypdfium2.raw as pdfium

    value = _text(pdfium.FPDFAnnot_GetFormFieldValue, form, note)
    name = _text(pdfium.FPDFAnnot_GetFormFieldName, form, note)
    label = _text(pdfium.FPDFAnnot_GetFormFieldAlternateName, form, note) or name
    named = label and (label != name or PLAIN_NAME.fullmatch(name))
    return f"{label}: {value}" if value and named else value


def _text(function: Callable[..., int], *arguments: Any) -> str:
    """A string as pdfium gives it: asked for its length, then for itself."""
    length = function(*arguments, None, 0)
    if length <= CLOSING_ZERO_BYTES:
        return ""
    buffer = ctypes.create_string_buffer(length)
    function(*arguments, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), length)
    return one_line(buffer.raw[: length - CLOSING_ZERO_BYTES].decode("utf-16-le", "replace"))
