"""LlamaIndex's nodes as records of the service, and back."""

from __future__ import annotations

from typing import Any

from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    MetadataMode,
    Node,
    TextNode,
)

from service.adapters.exact_metadata import REF_DOC_FIELD
from service.adapters.records import ReceivedText, sent_record

CLASSES: dict[str, type[BaseNode]] = {
    each.class_name(): each for each in (TextNode, IndexNode, ImageNode, Node, Document, ImageDocument)
}
NODE = "node"  # a part of a record: the settings of the node, with its `class_name`
_PLACE_FACTS = ("source", "passage", "start", "end", "location", "before", "after")  # that models need not read


def record_of(node: BaseNode) -> dict[str, Any]:
    """Return a node for the service, with its relationships and settings."""
    kept = node.model_dump(mode="json", exclude_defaults=True, exclude={"metadata", "embedding", "text", "id_"})
    if kept.get("text_resource"):
        kept["text_resource"]["text"] = None
    text = node.get_content(metadata_mode=MetadataMode.NONE)
    record = sent_record(node.node_id, text, node.metadata, {NODE: kept})
    if node.ref_doc_id:
        record["metadata"][REF_DOC_FIELD] = ref_doc_value(node.ref_doc_id)
    return record


def ref_doc_value(document_id: str) -> str:
    """Return the value of REF_DOC_FIELD, a text even for an id that looks like a date."""
    return f"id {document_id}"


def is_node(received: ReceivedText) -> bool:
    """Check whether a record was written from a node."""
    return NODE in received.parts


def node_of(document_id: str, received: ReceivedText) -> BaseNode:
    """Return a node as it was added, or a text node for a document of another origin.

    A part of a document has its place; models need not read the facts about that.
    """
    metadata = received.metadata
    values = {**received.parts.get(NODE, {}), "id_": document_id, "metadata": metadata}
    kind = CLASSES.get(values.pop("class_name", ""), TextNode)
    if issubclass(kind, TextNode):
        values["text"] = received.text
    else:
        values["text_resource"] = {**(values.get("text_resource") or {}), "text": received.text}
    passage = received.passage
    if passage is not None and issubclass(kind, TextNode):
        values |= {"start_char_idx": passage.start, "end_char_idx": passage.end}
        for name in ("excluded_embed_metadata_keys", "excluded_llm_metadata_keys"):
            values[name] = [*values.get(name, []), *(fact for fact in _PLACE_FACTS if fact in metadata)]
    return kind.model_validate(values)
