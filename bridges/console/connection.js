// Connection: one websocket to the server of this page, opened again whenever it is lost.

const HEADER = 32; // bytes of a picture's header (PROTOCOL.md)
const SHORTEST_WAIT = 500;
const LONGEST_WAIT = 8000;
const SILENCE = 5000; // the server sends a state every second
const GIVE_UP = 10000;
const ENDS = {
  1001: "the server has ended",
  4426: "this page is of another version than the server, reload it",
};

export class Connection {
  /** `on` has status(kind, text, until), message(message), picture(session, jpeg) and token(wrong). */
  constructor(on) {
    this.on = on;
    this.token = null;
    this.wait = SHORTEST_WAIT;
    this.socket = null;
    this.timer = null;
    setInterval(() => this.checkSilence(), 1000);
  }

  /** Where games attach: beside the page, so that a path in front of it (a proxy's) stays. */
  get address() {
    const url = new URL("v1", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url;
  }

  open() {
    clearTimeout(this.timer);
    this.socket?.close();
    const url = this.address;
    const socket = new WebSocket(url, ["iafm.bridge.v1"]);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.welcomed = false;
    this.heardAt = performance.now();
    this.on.status("waiting", `connecting to ${url.host}…`);
    socket.onopen = () => this.send({ type: "hello", version: 1, role: "watch", sdk: "iafm-console", token: this.token });
    socket.onmessage = (event) => socket === this.socket && this.receive(event.data);
    socket.onclose = (event) => socket === this.socket && this.lost(event.code, event.reason);
  }

  /** Send a message; false where there is no connection. */
  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  receive(data) {
    this.heardAt = performance.now();
    if (typeof data !== "string") return this.receivePicture(data);
    const message = JSON.parse(data);
    if (message.type === "welcome") {
      this.wait = SHORTEST_WAIT;
      this.welcomed = true;
    }
    this.on.message(message);
  }

  receivePicture(buffer) {
    const size = new DataView(buffer).getUint32(24, true);
    const meta = size ? JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, HEADER, size))) : {};
    this.on.picture(meta.session, new Blob([new Uint8Array(buffer, HEADER + size)], { type: "image/jpeg" }));
  }

  lost(code, reason) {
    this.socket = null;
    if (code === 4401) {
      const wrong = this.token !== null;
      this.token = null;
      this.on.status("lost", "not connected: this server asks for a token");
      return this.on.token(wrong);
    }
    const what = this.welcomed ? "connection lost" : "no connection";
    const why = ENDS[code] ?? (reason || `the server at ${location.host} does not answer`);
    this.on.status("lost", `${what}: ${why}`, performance.now() + this.wait);
    this.timer = setTimeout(() => this.open(), this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
  }

  /** A server that is silent for long is as good as lost, whatever the socket says. */
  checkSilence() {
    if (!this.socket || document.hidden) return;
    const silence = performance.now() - this.heardAt;
    if (silence > GIVE_UP) {
      const silent = this.socket;
      this.lost(1006, `nothing came from the server for ${Math.round(silence / 1000)} s`);
      silent.close();
    } else if (this.welcomed && silence > SILENCE) {
      this.on.status("lost", `connected, but nothing came from the server for ${Math.round(silence / 1000)} s`);
    }
  }
}
