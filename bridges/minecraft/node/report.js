// Events of a process, a line of JSON each on stdout, for the process that started it.

/** Write one event. */
export function report (event, fields = {}) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n')
}

/** A failure that a user can understand and mend, as one line. */
export class Failure extends Error {}

/** Text from outside as one short line without control characters. */
export function plain (text, limit = 200) {
  const line = String(text).replace(/[\p{C}\s]+/gu, ' ').trim()
  return line.length > limit ? line.slice(0, limit - 1) + '…' : line
}

/** `promise`, or a `Failure` with `message` after so many milliseconds. */
export function within (promise, ms, message) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Failure(message)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
