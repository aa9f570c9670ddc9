"""A user is asked in place, through the official Python SDK as the client, in both eras of MCP.

Usage: elicitation.py SEGUE PLAYLIST MODE
    SEGUE     the program under test; its settings come by the environment
    PLAYLIST  the playlist that the song goes to
    MODE      how the client connects: legacy, or a protocol version

Prints one JSON line a chapter on stdout; ends with a traceback if one goes wrong.
"""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters
from mcp.types import ElicitResult

SEGUE, PLAYLIST, MODE = sys.argv[1:]
SONG = {
    "title": "Clockz",
    "artist": "Coldplay",
    "playlist": PLAYLIST,
    "match_threshold": 1.0,
    "on_ambiguous": "review",
    "wait_seconds": 40,
}


def chapter(name, **facts):
    print(json.dumps({"chapter": name, **facts}), flush=True)


class User:
    """Somebody who answers a form, or closes it."""

    def __init__(self):
        self.answers = True
        self.asked = []

    async def __call__(self, context, params):
        choice = params.requested_schema["properties"]["choice"]
        self.asked.append((params.message, choice))
        if not self.answers:
            return ElicitResult(action="decline")
        options = choice.get("oneOf") or [{"const": value} for value in choice["enum"]]
        return ElicitResult(action="accept", content={"choice": options[0]["const"]})


async def story(client, user):
    chapter("connected", protocol=client.protocol_version)

    user.answers = False
    view = (await client.call_tool("sync_track", SONG)).structured_content
    assert view["status"] == "waiting_for_review", view
    assert len(user.asked) == 1, "who closes the form is not asked again by the same call"
    message, choice = user.asked[0]
    assert "Clockz" in message and "None of these" in json.dumps(choice), (message, choice)
    chapter("declined", sync_id=view["sync_id"])

    # Nor is who closes that of review_match; the review waits on.
    review = {"review_id": "review-" + view["sync_id"]}
    closed = await client.call_tool("review_match", review)
    assert closed.is_error, closed
    assert len(user.asked) == 2, user.asked

    user.answers = True
    waiting = {"sync_id": view["sync_id"], "wait_seconds": 40}
    done = (await client.call_tool("get_sync_progress", waiting)).structured_content
    assert done["status"] == "completed" and done["match_method"] == "review", done
    assert len(user.asked) == 3, user.asked
    chapter("answered", uri=done["spotify_track_uri"])

    other = {**SONG, "title": "No Surprizes", "artist": "Radiohead", "wait_seconds": 0}
    view = (await client.call_tool("sync_track", other)).structured_content
    for _ in range(400):
        reviews = await client.call_tool("list_reviews", {"sync_id": view["sync_id"]})
        reviews = reviews.structured_content["reviews"]
        if reviews:
            break
        await asyncio.sleep(0.1)
    answered = await client.call_tool("review_match", {"review_id": reviews[0]["review_id"]})
    assert answered.structured_content["decided_by"] == "user", answered
    assert len(user.asked) == 4, user.asked
    waiting = {"sync_id": view["sync_id"], "wait_seconds": 40}
    done = (await client.call_tool("get_sync_progress", waiting)).structured_content
    assert done["success"], done
    chapter("asked by review_match", chosen=answered.structured_content["chosen"]["title"])


async def main():
    user = User()
    server = StdioServerParameters(command=SEGUE, args=["serve"], env=dict(os.environ))
    async with Client(server, mode=MODE, elicitation_callback=user) as client:
        await story(client, user)
    chapter("the end")


asyncio.run(main())
