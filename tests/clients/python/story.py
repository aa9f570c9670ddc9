"""The story of a song, told by the official Python SDK as the client.

Usage: story.py TRANSPORT SEGUE SPOTIFY
    TRANSPORT  stdio, http (in a session), http-2026 (without one) or sse
    SEGUE      for stdio the program under test, whose settings come by the environment; else its URL
    SPOTIFY    the simulated Spotify's URL, to order faults of it

Prints one JSON line a chapter on stdout; ends with a traceback if one goes wrong.
"""

import asyncio
import json
import os
import sys
import urllib.request

from mcp import Client, ClientSession, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

TRANSPORT, SEGUE, SPOTIFY = sys.argv[1:]
PLAYLIST = "Fresh Start"
SONG = {"title": "Clocks", "artist": "Coldplay", "playlist": PLAYLIST}
OPEN = ("running", "waiting_for_rate_limit")


def spotify(path, faults=None, method="POST"):
    body = json.dumps(faults).encode() if faults is not None else None
    request = urllib.request.Request(
        SPOTIFY + path, data=body, method=method, headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def chapter(name, **facts):
    print(json.dumps({"chapter": name, **facts}), flush=True)


async def call(session, tool, **arguments):
    result = await session.call_tool(tool, arguments)
    assert not result.is_error, result
    # What a client without structured content reads says the same.
    assert json.loads(result.content[1].text) == result.structured_content
    return result.structured_content


async def poll(session, sync_id):
    for _ in range(600):
        view = await call(session, "get_sync_progress", sync_id=sync_id)
        if view["status"] not in OPEN:
            return view
        await asyncio.sleep(0.1)
    raise AssertionError(f"the sync does not end: {view}")


async def story(session):
    tools = (await session.list_tools()).tools
    assert all(tool.output_schema and tool.annotations and tool.title for tool in tools), tools
    chapter("list tools", tools=sorted(tool.name for tool in tools))

    view = await call(session, "sync_track", **SONG)
    done = await poll(session, view["sync_id"])
    assert done["status"] == "completed" and done["success"], done
    chapter("sync and poll", uri=done["spotify_track_uri"])

    heard = []

    async def hear(progress, total, message):
        heard.append((progress, message))

    spotify("/_sim/faults", {"endpoint": "search", "count": 1, "latency_ms": 1200})
    waited = await session.call_tool(
        "sync_track", {**SONG, "wait_seconds": 30}, progress_callback=hear
    )
    assert waited.structured_content["already_present"], waited
    assert heard and all(a < b for (a, _), (b, _) in zip(heard, heard[1:])), heard
    chapter("wait with progress", notifications=len(heard))

    spotify("/_sim/faults", {"endpoint": "search", "count": 0, "latency_ms": 15000})
    view = await call(session, "sync_track", **{**SONG, "title": "Yellow"})
    await call(session, "cancel_sync", sync_id=view["sync_id"])
    gone = await poll(session, view["sync_id"])
    assert gone["status"] == "cancelled", gone
    chapter("cancel", undone=gone["undone"])
    spotify("/_sim/faults", method="DELETE")

    spotify("/_sim/faults", {"endpoint": "search", "count": 0, "status": 502})
    view = await call(session, "sync_track", title="Kids", artist="MGMT", playlist=PLAYLIST)
    dead = await poll(session, view["sync_id"])
    assert dead["status"] == "dead_lettered", dead
    spotify("/_sim/faults", method="DELETE")
    retry = await call(session, "retry_failed", sync_id=view["sync_id"], wait_seconds=40)
    assert retry["success"] and retry["retry_of"] == view["sync_id"], retry
    chapter("retry", uri=retry["spotify_track_uri"])

    wrong = await session.call_tool("sync_track", {**SONG, "isrc": "nonsense"})
    assert wrong.is_error and "isrc" in wrong.content[0].text, wrong
    chapter("bad input", text=wrong.content[0].text)


def streams():
    match TRANSPORT:
        case "stdio":
            environment = dict(os.environ)
            return stdio_client(StdioServerParameters(command=SEGUE, args=["serve"], env=environment))
        case "http":
            return streamable_http_client(SEGUE + "/mcp")
        case "sse":
            return sse_client(SEGUE + "/sse")
    raise ValueError(TRANSPORT)


async def main():
    if TRANSPORT == "http-2026":
        async with Client(SEGUE + "/mcp", mode="2026-07-28") as client:
            chapter("connected", protocol=client.protocol_version)
            await story(client)
    else:
        async with streams() as (read, write), ClientSession(read, write) as session:
            hello = await session.initialize()
            chapter("initialize", server=hello.server_info.name, protocol=hello.protocol_version)
            await story(session)
    chapter("the end")


asyncio.run(main())
