// The story of a song, told by the official TypeScript SDK as the client.
//
// Usage: story.mjs TRANSPORT SEGUE SPOTIFY
//     TRANSPORT  stdio, http or sse
//     SEGUE      for stdio the program under test, whose settings come by the environment; else its URL
//     SPOTIFY    the simulated Spotify's URL, to order faults of it
//
// Prints one JSON line a chapter on stdout; ends with a stack trace if one goes wrong.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The SDK is installed where this program is told to look, and not beside this file.
const from = createRequire(process.cwd() + "/");
const load = (path) => import(pathToFileURL(from.resolve(path)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { SSEClientTransport } = await load("@modelcontextprotocol/sdk/client/sse.js");

const [transport, segue, spotifyUrl] = process.argv.slice(2);
const PLAYLIST = "Fresh Start";
const SONG = { title: "Clocks", artist: "Coldplay", playlist: PLAYLIST };

const chapter = (name, facts = {}) => console.log(JSON.stringify({ chapter: name, ...facts }));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function spotify(path, method, faults) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(spotifyUrl + path, { method, headers, body: faults && JSON.stringify(faults) });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
}

function connection() {
  switch (transport) {
    case "stdio":
      return new StdioClientTransport({ command: segue, args: ["serve"], env: process.env });
    case "http":
      return new StreamableHTTPClientTransport(new URL(segue + "/mcp"));
    case "sse":
      return new SSEClientTransport(new URL(segue + "/sse"));
    default:
      throw new Error(`no transport ${transport}`);
  }
}

const client = new Client({ name: "story", version: "1" });
await client.connect(connection());
chapter("initialize", { server: client.getServerVersion().name });

async function call(name, args) {
  const result = await client.callTool({ name, arguments: args });
  assert.ok(!result.isError, JSON.stringify(result));
  // What a client without structured content reads says the same.
  assert.deepEqual(JSON.parse(result.content[1].text), result.structuredContent);
  return result.structuredContent;
}

async function poll(syncId) {
  for (let look = 0; look < 600; look += 1) {
    const view = await call("get_sync_progress", { sync_id: syncId });
    if (!["running", "waiting_for_rate_limit"].includes(view.status)) return view;
    await sleep(100);
  }
  throw new Error("the sync does not end");
}

const { tools } = await client.listTools();
assert.ok(tools.every((tool) => tool.outputSchema && tool.annotations && tool.title));
chapter("list tools", { tools: tools.map((tool) => tool.name).sort() });

let view = await call("sync_track", SONG);
const done = await poll(view.sync_id);
assert.ok(done.status === "completed" && done.success, JSON.stringify(done));
chapter("sync and poll", { uri: done.spotify_track_uri });

const heard = [];
await spotify("/_sim/faults", "POST", { endpoint: "search", count: 1, latency_ms: 1200 });
const waited = await client.callTool(
  { name: "sync_track", arguments: { ...SONG, wait_seconds: 30 } },
  undefined,
  { onprogress: (progress) => heard.push(progress.progress) },
);
assert.ok(waited.structuredContent.already_present, JSON.stringify(waited));
assert.ok(heard.length > 0 && heard.every((at, n) => n === 0 || heard[n - 1] < at), heard.join());
chapter("wait with progress", { notifications: heard.length });

await spotify("/_sim/faults", "POST", { endpoint: "search", count: 0, latency_ms: 15000 });
view = await call("sync_track", { ...SONG, title: "Yellow" });
await call("cancel_sync", { sync_id: view.sync_id });
const gone = await poll(view.sync_id);
assert.equal(gone.status, "cancelled");
chapter("cancel", { undone: gone.undone });
await spotify("/_sim/faults", "DELETE");

await spotify("/_sim/faults", "POST", { endpoint: "search", count: 0, status: 502 });
view = await call("sync_track", { title: "Kids", artist: "MGMT", playlist: PLAYLIST });
const dead = await poll(view.sync_id);
assert.equal(dead.status, "dead_lettered", JSON.stringify(dead));
await spotify("/_sim/faults", "DELETE");
const retry = await call("retry_failed", { sync_id: view.sync_id, wait_seconds: 40 });
assert.ok(retry.success && retry.retry_of === view.sync_id, JSON.stringify(retry));
chapter("retry", { uri: retry.spotify_track_uri });

const wrong = await client.callTool({ name: "sync_track", arguments: { ...SONG, isrc: "nonsense" } });
assert.ok(wrong.isError && wrong.content[0].text.includes("isrc"), JSON.stringify(wrong));
chapter("bad input", { text: wrong.content[0].text });

await client.close();
chapter("the end");
