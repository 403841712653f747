"""Messages of webhooks: a damaged one does not stop the others of its host."""

from __future__ import annotations

from pathlib import Path

from retrieval.index.collection.standing_queries import Webhook
from service.runtime.webhook_sender import Delivery, WebhookMessage, WebhookSender, new_secret
from tests.service.conftest import eventually
from tests.service.test_jobs import receiver


def test_a_damaged_key_does_not_stop_the_other_messages_to_a_host(tmp_path: Path) -> None:
    states: list[Webhook] = []

    def offer(key: str, secret: str) -> None:
        message = WebhookMessage(key, b"{}", 1)
        sender.offer(Delivery((tmp_path, key), Webhook(url, secret), message, states.append))

    sender = WebhookSender(allow_private=True)
    with receiver() as (url, got):
        offer("damaged", "whsec_x")
        eventually(lambda: states)
        assert states[0].failures == 1
        assert "the stored key is damaged" in states[0].error
        offer("whole", new_secret())
        eventually(lambda: len(states) == 2)
        assert (states[1].delivered, got) == (1, [{}])
    sender.close()
