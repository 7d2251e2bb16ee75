// Server-sent events from a fetch response. EventSource can send neither a key nor a POST.
// Source: WHATWG HTML Living Standard, section 9.2.

/**
 * Yield the events of one response as {type, data, id}; ends with the connection.
 * @param {Response} response
 * @param {() => void} onData told of all that arrives, comments included
 */
export async function* readEvents(response, onData = () => {}) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  let event = { type: "message", data: [] };
  let id = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      onData();
      pending += value;
      // a CR at the very end may be half of a CRLF: it waits for what follows
      const lines = pending.split(/\r\n|\n|\r(?!$)/);
      pending = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (event.data.length) yield { type: event.type, data: event.data.join("\n"), id };
          event = { type: "message", data: [] };
          continue;
        }
        const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (name === "data") event.data.push(text);
        else if (name === "event") event.type = text;
        else if (name === "id") id = text;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
