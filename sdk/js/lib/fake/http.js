import { failed, state } from "./state.js";

/** The first answer that fits and is not used up. */
function answerTo(request) {
  const fits = (answer) =>
    answer.left > 0 &&
    request.url.startsWith(answer.url) &&
    (answer.method === undefined || answer.method.toUpperCase() === request.method);
  const answer = state.answers.find(fits);
  if (!answer) return { tag: "err", val: { tag: "denied", val: `no answer of the test fits ${request.method} ${request.url}` } };

  answer.left -= 1;
  if (answer.error !== undefined) return { tag: "err", val: { tag: answer.error, val: `${answer.error}, as the test says` } };
  return { tag: "ok", val: answer.response };
}

function recorded(request) {
  const payload = request.body ?? { tag: "text", val: "" };
  state.calls.push({
    method: request.method,
    url: request.url,
    headers: Object.fromEntries(request.headers.map(([name, value]) => [name.toLowerCase(), value])),
    body: payload.val,
    timeoutMs: request.timeoutMs,
    get json() {
      return JSON.parse(payload.tag === "text" ? payload.val : new TextDecoder().decode(payload.val));
    },
  });
  return answerTo(request);
}

export function send(request) {
  const result = recorded(request);
  if (result.tag === "err") throw failed(result.val.tag, result.val.val);
  return result.val;
}

export function sendAll(requests) {
  return requests.map(recorded);
}
