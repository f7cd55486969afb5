// Requests: what this page asked of a game and the server has not confirmed. It confirms by sending the message back.

const PATIENCE = 5000; // milliseconds
const waiting = []; // oldest first, as the server answers them

/** Wait for the echo of `message`: `settled(null)` once it comes, `settled(why)` where it is refused or late. */
export function expectEcho(message, settled) {
  const request = { message, settled };
  request.timer = setTimeout(() => settled("the server has not confirmed it for 5 seconds"), PATIENCE);
  waiting.push(request);
}

/** Whether a message of the server is the echo of a request of this page, which it settles. */
export function confirm(echo) {
  return end(waiting.findIndex((request) => isEcho(request.message, echo)), null);
}

/** Settle the oldest request as refused; false where none waits. */
export function refuse(why) {
  return end(waiting.length ? 0 : -1, why);
}

/** Settle all as refused: no echo will come. */
export function refuseAll(why) {
  while (refuse(why));
}

function end(index, why) {
  if (index < 0) return false;
  const [request] = waiting.splice(index, 1);
  clearTimeout(request.timer);
  request.settled(why);
  return true;
}

/** A released goal comes back with the game's own text. */
function isEcho(sent, echo) {
  if (sent.type !== echo.type || sent.session !== echo.session || sent.owner !== echo.owner) return false;
  return sent.release ? echo.release === true : sent.text === echo.text && !echo.release;
}
