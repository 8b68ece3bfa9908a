// The JavaScript SDK's own client against a server process. THREADLOG names the command.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Role, TaskState } from "@a2a-js/sdk";
import { ClientFactory } from "@a2a-js/sdk/client";

const agents = fileURLToPath(new URL("../support/a2a_agents.py", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "threadlog-"));
let server, urls;

before(async () => {
  const options = ["serve", agents, "--a2a", "--json", "--port", "0", "--db", join(folder, "log.db")];
  server = spawn(process.env.THREADLOG ?? "threadlog", options, { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(createInterface({ input: server.stdout }), "line");
  urls = JSON.parse(line).agents;
});

after(async () => {
  server.kill("SIGINT");
  const [code] = await once(server, "exit");
  rmSync(folder, { recursive: true });
  assert.equal(code, 130);
});

const client = (agent) => new ClientFactory().createFromUrl(urls[agent], ".well-known/agent-card.json");
const text = (value) => ({ content: { $case: "text", value }, filename: "", mediaType: "" });
const data = (value) => ({ content: { $case: "data", value }, filename: "", mediaType: "" });
const output = (task) => task.artifacts.flatMap((each) => each.parts.map((part) => part.content.value)).join("");

function request(messageId, part, { taskId = "", contextId = "", returnImmediately = false } = {}) {
  const message = { messageId, taskId, contextId, role: Role.ROLE_USER, parts: [part], extensions: [], referenceTaskIds: [] };
  return { tenant: "", message, configuration: { acceptedOutputModes: [], returnImmediately } };
}

async function all(events) {
  const found = [];
  for await (const event of events) found.push(event.payload);
  return found;
}

test("a message is answered with the task when it is over", async () => {
  const task = await (await client("talker")).sendMessage(request("send", text("Plan a trip")));

  assert.equal(task.status.state, TaskState.TASK_STATE_COMPLETED);
  assert.equal(output(task), "Three days in Kyoto.");
});

test("the same message is the same task", async () => {
  const talker = await client("talker");
  const [one, other] = [
    await talker.sendMessage(request("again", text("Plan a trip"))),
    await talker.sendMessage(request("again", text("Plan a trip"))),
  ];

  assert.deepEqual([other.id, other.contextId], [one.id, one.contextId]);
});

test("a stream begins with the task and ends with its end", async () => {
  const talker = await client("talker");
  const events = await all(talker.sendMessageStream(request("stream", text("Plan a trip"))));
  const [{ $case, value: task }, ...updates] = events;
  assert.equal($case, "task");
  for (const { $case, value } of updates) {
    if ($case === "statusUpdate") task.status = value.status;
    else if (value.append) task.artifacts[0].parts.push(...value.artifact.parts);
    else task.artifacts = [value.artifact];
  }

  assert.equal(output(task), "Three days in Kyoto.");
  assert.equal(task.status.state, TaskState.TASK_STATE_COMPLETED);
});

test("a task is read with its history", async () => {
  const talker = await client("talker");
  const { id } = await talker.sendMessage(request("get", text("Plan a trip")));
  const task = await talker.getTask({ tenant: "", id });

  assert.deepEqual(
    task.history.map((said) => said.parts[0].content.value),
    ["Plan a trip", "Three days in Kyoto."],
  );
  assert.equal(task.history[0].messageId, "get");
});

test("a task is followed and cancelled, and is not found at another agent", async () => {
  const stuck = await client("stuck");
  const { id } = await stuck.sendMessage(request("cancel", text("go"), { returnImmediately: true }));
  const following = stuck.resubscribeTask({ tenant: "", id });
  assert.equal((await following.next()).value.payload.value.status.state, TaskState.TASK_STATE_WORKING);
  const cancelled = await stuck.cancelTask({ tenant: "", id });
  const events = await all(following);

  assert.equal(cancelled.status.state, TaskState.TASK_STATE_CANCELED);
  assert.equal(events.at(-1).value.status.state, TaskState.TASK_STATE_CANCELED);
  await assert.rejects(stuck.cancelTask({ tenant: "", id }), /is over/);
  await assert.rejects((await client("talker")).getTask({ tenant: "", id }), /has no task/);
});

test("a task that asks is answered", async () => {
  const payer = await client("payer");
  const asking = await payer.sendMessage(request("ask", text("pay it")));
  assert.equal(asking.status.state, TaskState.TASK_STATE_INPUT_REQUIRED);
  const { pending } = asking.status.message.parts[1].content.value;
  const decisions = pending.map(({ ticket }) => ({ target: ticket, approved: true }));
  const task = await payer.sendMessage(request("answer", data({ decisions }), { taskId: asking.id }));

  assert.equal(task.status.state, TaskState.TASK_STATE_COMPLETED);
  assert.equal(output(task), "The tool said: paid 7");
});

test("a structured output is data", async () => {
  const task = await (await client("tripper")).sendMessage(request("data", text("Plan a trip")));

  assert.deepEqual(task.artifacts[0].parts[0].content.value, { city: "Kyoto", days: 3 });
});
