// Console: what the policy sees and does, from messages of one websocket (PROTOCOL.md).
"use strict";

const HEADER = 32;
const at = (id) => document.getElementById(id);
const state = { socket: null, session: null, current: null, token: null, wait: 500, ages: [], asked: 0, picture: null, edited: false, listed: "" };

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/v1`, ["iafm.bridge.v1"]);
  socket.binaryType = "arraybuffer";
  state.socket = socket;
  socket.onopen = () => send({ type: "hello", version: 1, role: "watch", sdk: "iafm-console", token: state.token });
  socket.onmessage = (event) => (typeof event.data === "string" ? read(JSON.parse(event.data)) : show(event.data));
  socket.onclose = (event) => {
    if (event.code === 4401) return at("login").showModal();
    link("lost", `disconnected${event.reason ? `: ${event.reason}` : ""} – trying again`);
    forget();
    setTimeout(connect, state.wait);
    state.wait = Math.min(state.wait * 2, 8000);
  };
}

function send(message) {
  if (state.socket?.readyState === WebSocket.OPEN) state.socket.send(JSON.stringify(message));
}

function link(kind, text) {
  at("link").className = kind;
  at("link").textContent = text;
}

const readers = {
  welcome(message) {
    state.wait = 500;
    link("live", "connected");
    at("policy").textContent = message.policy;
    state.subscribed = false; // a session may have ended while we were away: the next state tells
  },
  state(message) {
    at("policy").textContent = message.policy;
    const names = message.sessions.map((s) => s.session);
    if (state.session && !names.includes(state.session)) {
      state.session = null;
      send({ type: "subscribe", session: null });
    } else if (state.session && !state.subscribed) {
      send({ type: "subscribe", session: state.session });
    }
    state.subscribed = true;
    state.current = message.sessions.find((s) => s.session === state.session) ?? message.sessions.at(-1) ?? null;
    sessions(message.sessions);
    attached();
  },
  act(message) {
    at("words").textContent = message.words;
    at("later").textContent = message.later.map((step) => `then ${step.words}`).join("; ");
    bars(message);
    at("age").textContent = `${message.latency.age_ms.toFixed(1)} ms`;
    at("infer").textContent = `${message.latency.infer_ms.toFixed(1)} ms`;
    at("queue").textContent = `${message.latency.queue_ms.toFixed(1)} ms`;
    at("entropy").textContent = `${message.entropy.toFixed(2)} nat`;
    at("dropped").textContent = message.dropped;
    state.ages.push(message.latency.age_ms);
    if (state.ages.length > 120) state.ages.shift();
    spark();
  },
  event(message) {
    const word = message.success ? "reached" : "missed";
    const row = item([word, word], ["", ` ${(message.task || "goal").replaceAll("_", " ")}`]);
    at("episodes").prepend(row);
    while (at("episodes").children.length > 6) at("episodes").lastChild.remove();
  },
  instruct(message) {
    if (state.current) state.current.instruction = message.text;
    attached();
  },
  "text.done"(message) {
    const kinds = { why: "why", next_action: "next", caption: "doing" };
    at("answers").prepend(item(["kind", kinds[message.kind] ?? message.kind], ["", message.text]));
    while (at("answers").children.length > 6) at("answers").lastChild.remove();
  },
  error(message) {
    at("answers").prepend(item(["kind", message.code], ["", message.message]));
  },
};

function read(message) {
  readers[message.type]?.(message);
}

function show(buffer) {
  const view = new DataView(buffer);
  const meta = view.getUint32(24, true);
  const url = URL.createObjectURL(new Blob([new Uint8Array(buffer, HEADER + meta)], { type: "image/jpeg" }));
  at("frame").src = url;
  if (state.picture) URL.revokeObjectURL(state.picture);
  state.picture = url;
}

function forget() {
  at("words").textContent = "–";
  at("later").textContent = "";
  at("bars").replaceChildren();
  for (const id of ["hz", "age", "infer", "queue", "entropy", "dropped"]) at(id).textContent = "–";
  state.ages = [];
  spark();
}

function item(...parts) {
  const row = document.createElement("li");
  for (const [name, text] of parts) {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    row.append(span);
  }
  return row;
}

function bars(message) {
  const options = message.alternatives.length ? message.alternatives : [{ words: message.words, probability: message.probability }];
  at("bars").replaceChildren(
    ...options.slice(0, 4).map((option) => {
      const row = item(["what", option.words], ["share", `${Math.round(100 * option.probability)} %`]);
      const bar = document.createElement("progress");
      bar.className = "bar";
      bar.max = 1;
      bar.value = option.probability;
      row.append(bar);
      return row;
    }),
  );
}

function sessions(list) {
  const listed = JSON.stringify([state.current?.session, ...list.map((s) => s.session)]);
  if (listed === state.listed) return;
  state.listed = listed;
  state.sessions = list;
  at("picker").hidden = list.length < 2;
  at("session").replaceChildren(
    ...list.map((s) => {
      const option = document.createElement("option");
      option.value = s.session;
      option.textContent = `${s.game} · ${s.session}`;
      option.selected = s.session === state.current?.session;
      return option;
    }),
  );
}

function attached() {
  const now = state.current;
  at("waiting").hidden = Boolean(now);
  if (!now) return;
  const box = at("instruction");
  if (!state.edited) box.value = now.instruction;
  at("hz").textContent = `${now.hz.toFixed(1)} Hz`;
  const share = now.episodes ? ` (${Math.round((100 * now.successes) / now.episodes)} %)` : "";
  at("tally").textContent = `${now.successes} of ${now.episodes} episodes${share}`;
  const chips = JSON.stringify([now.tasks, now.instruction]);
  if (chips === state.chips) return;
  state.chips = chips;
  at("chips").replaceChildren(
    ...now.tasks.map((task) => {
      const chip = document.createElement("button");
      chip.type = "button";
      chip.textContent = task;
      chip.setAttribute("aria-pressed", String(task === now.instruction));
      chip.onclick = () => instruct(task);
      return chip;
    }),
  );
}

function instruct(text) {
  state.edited = false;
  send({ type: "instruct", text, session: state.current?.session ?? null });
}

function spark() {
  const canvas = at("spark");
  const draw = canvas.getContext("2d");
  const top = Math.max(20, ...state.ages);
  draw.clearRect(0, 0, canvas.width, canvas.height);
  draw.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  draw.lineWidth = 2;
  draw.beginPath();
  state.ages.forEach((age, i) => draw.lineTo((i / 119) * canvas.width, canvas.height - 3 - (age / top) * (canvas.height - 8)));
  draw.stroke();
}

at("goal").addEventListener("submit", (event) => {
  event.preventDefault();
  instruct(at("instruction").value.trim());
  state.edited = false;
});
at("instruction").addEventListener("input", () => {
  state.edited = true;
});
at("session").addEventListener("change", (event) => {
  state.session = event.target.value;
  state.current = state.sessions.find((s) => s.session === state.session) ?? null;
  state.edited = false;
  send({ type: "subscribe", session: state.session });
  forget();
  attached();
});
for (const button of document.querySelectorAll("[data-ask]")) {
  button.addEventListener("click", () =>
    send({ type: "query", id: ++state.asked, kind: button.dataset.ask, session: state.current?.session ?? null }),
  );
}
at("tokenform").addEventListener("submit", () => {
  state.token = at("token").value;
  connect();
});
connect();
