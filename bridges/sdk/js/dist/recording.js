/** Client recording: credit of a recording, and the episode as the game sent it, to compare; without sockets. */
import { payloadOf } from "./frames.js";
import { Sha256 } from "./sha256.js";
/** The pictures of an episode as the server counts them: how many, their bytes, and a hash of these. */
class EpisodeDigest {
    pictures = 0;
    bytes = 0;
    hash = new Sha256();
    add(message) {
        const payload = payloadOf(message);
        this.pictures += 1;
        this.bytes += payload.length;
        this.hash.update(payload);
    }
    /** What the server has otherwise; empty where all is the same, and every step was written. */
    difference(state) {
        const sent = {
            pictures: this.pictures, bytes: this.bytes, sha256: this.hash.hex(), steps: this.pictures, dropped: 0,
        };
        const different = Object.entries(sent)
            .filter(([name, value]) => state[name] !== value)
            .map(([name, value]) => `${name} ${state[name]}, not ${value}`);
        return [...(state.error ? [state.error] : []), ...different].join("; ");
    }
}
/** What a recording may send, what it sent of the episode under way, and what became of those that ended. */
export class ClientRecording {
    credit = { type: "credit", picture: 0, bytes: 0, recorded: 0 };
    /** Whether the session was lost that heard of an episode's end: nobody says what became of it. */
    endIsLost = false;
    digest = new EpisodeDigest();
    states = [];
    /** Bytes of all messages with pictures. */
    size = 0;
    isEnding = false;
    /** Whether there is credit for a picture of this number, in a message of `size` bytes. */
    maySend(number, size) {
        return number <= this.credit.picture && this.size + size <= this.credit.bytes;
    }
    /** A picture was sent. */
    add(message) {
        this.size += message.length;
        this.digest.add(message);
    }
    /** The end of the episode was sent. */
    end() {
        this.isEnding = true;
    }
    applyState(state) {
        this.isEnding = false;
        this.states.push(state);
    }
    /** Another session gets the pictures that are not recorded, and the episode's end where that is not known. */
    beginAnew(pictures, sendsEnd) {
        this.size = 0;
        this.digest = new EpisodeDigest();
        for (const message of pictures)
            this.add(message);
        if (this.isEnding && !(sendsEnd && this.digest.pictures > 0))
            this.endIsLost = true;
    }
    /** The oldest ended episode, and how it differs from what was sent; null where none ended. */
    takeState() {
        const state = this.states.shift();
        if (state === undefined)
            return null;
        const digest = this.digest;
        this.digest = new EpisodeDigest();
        return { state, difference: digest.difference(state) };
    }
}
