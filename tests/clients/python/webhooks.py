"""A receiver's check of our messages, by the official library of the Standard Webhooks specification.

Usage: webhooks.py SECRET
    stdin    one JSON line a message: {"headers": {...}, "body": "..."}

Prints how many were verified; ends with a traceback if one is not, or if one that was altered is.
"""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(sys.argv[1])
verified = 0
for line in sys.stdin:
    message = json.loads(line)
    headers, body = message["headers"], message["body"]
    event = webhook.verify(body, headers)
    assert event["id"] == headers["webhook-id"], event
    for altered, under in [
        (body.replace('"type"', '"typ"'), headers),
        (body, {**headers, "webhook-id": headers["webhook-id"] + "1"}),
        (body, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}),
    ]:
        try:
            webhook.verify(altered, under)
        except WebhookVerificationError:
            continue
        raise AssertionError(f"an altered message passes: {altered}")
    verified += 1
print(verified)
