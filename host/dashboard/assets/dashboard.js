// Live fragments, keys, local times and copying. Every page works without this script.

const live = document.querySelector("[data-live]");
const state = document.querySelector("[data-live-state]");
const pause = document.querySelector("[data-pause]");
const isTyping = () => /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.nodeName ?? "")
  && !/^(checkbox|radio)$/.test(document.activeElement.type);

// --- Times: local, with UTC on hover.

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

// A time of today needs no day.
function localise(root) {
  const today = day.format(new Date());
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const on = day.format(at);
    time.textContent = on === today ? clock.format(at) : `${on}, ${clock.format(at)}`;
  }
}

// --- Copying, also on plain HTTP, where browsers have no clipboard for scripts.

// What works only with this script is hidden until then.
function reveal(root) {
  for (const part of root.querySelectorAll("[data-copy], [data-all]")) part.hidden = false;
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const text = source.textContent;
  let copied = false;
  if (navigator.clipboard && window.isSecureContext) {
    copied = await navigator.clipboard.writeText(text).then(() => true, () => false);
  }
  if (!copied) {
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    copied = document.execCommand("copy");
  }
  button.textContent = copied ? "Copied" : "Selected: copy it";
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (button) copy(button);
});

// --- Live fragments.

// A list gets new rows at its top: it waits while the reader is elsewhere, so that no row moves away
// under the pointer. Other fragments stay in their place.
const isList = live?.hasAttribute("data-list");
let stopped = false;
let blurred = !document.hasFocus();
let lost = "";
let waiting = null;

function held() {
  if (stopped) return "Paused.";
  if (!getSelection().isCollapsed) return "Paused while text is selected.";
  if (live.contains(document.activeElement) && isTyping()) return "Paused while you type.";
  if (!isList) return "";
  if (live.querySelector("input[name=event]:checked")) return "Paused while events are selected.";
  if (scrollY > 200) return "Paused while you are further down.";
  return blurred ? "Paused while another window has the focus." : "";
}

function tell(text) {
  if (state && state.textContent !== text) state.textContent = text;
}

// What the reader has opened, typed or ticked, and the row that the keys have reached, are not in the
// new fragment.
function beforeAttributeUpdated(name, node) {
  if (name === "open") return false;
  if (name === "value" || name === "checked") return !(node instanceof HTMLInputElement);
  return !(name === "class" && node.classList.contains("is-current"));
}

function show() {
  const why = held();
  if (waiting !== null && !why) {
    const next = new DOMParser().parseFromString(waiting, "text/html").body;
    waiting = null;
    localise(next);
    reveal(next);
    Idiomorph.morph(live, next, { morphStyle: "innerHTML", callbacks: { beforeAttributeUpdated } });
    current = rows().findIndex((row) => row.classList.contains("is-current"));
  }
  tell(lost || why || "Live.");
}

function toggle() {
  stopped = !stopped;
  pause.textContent = stopped ? "Resume" : "Pause";
  show();
}

let source = null;

function connect() {
  source?.close();
  source = new EventSource(live.dataset.live);
  source.addEventListener("fragment", (event) => {
    waiting = event.data;
    show();
  });
  source.addEventListener("open", () => {
    lost = "";
    show();
  });
  source.addEventListener("error", ({ target }) => {
    const isOver = target.readyState === EventSource.CLOSED;
    lost = isOver ? "Live updates have ended: load the page again." : "The connection is lost. Trying again…";
    show();
  });
}

if (live) {
  pause.hidden = false;
  pause.title = "Key p";
  pause.addEventListener("click", toggle);
  if (!document.hidden) connect();
  // Browsers open few connections to one host: a hidden page keeps none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source?.close();
    else connect();
  });
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => {
    if (event.persisted) connect();
  });
  addEventListener("blur", () => {
    blurred = true;
    show();
  });
  addEventListener("focus", () => {
    blurred = false;
    show();
  });
  for (const name of ["scroll", "selectionchange", "change", "focusout"]) {
    document.addEventListener(name, () => setTimeout(show));
  }
}

// --- Keys.

let current = -1;
let goes = 0;
const rows = () => [...document.querySelectorAll("[data-row]")];

function select(at) {
  const all = rows();
  for (const row of all) row.classList.remove("is-current");
  if (all.length === 0 || at < 0) return;
  current = Math.min(at, all.length - 1);
  all[current].classList.add("is-current");
}

function move(by) {
  select(Math.max(0, current + by));
  const row = rows()[current];
  row?.scrollIntoView({ block: "nearest" });
  row?.querySelector("[data-open]")?.focus({ preventScroll: true });
}

function go(key) {
  document.querySelector(`nav [data-key="${CSS.escape(key)}"]`)?.click();
}

function onKey(key) {
  switch (key) {
    case "/": {
      const field = document.querySelector("input[type=search]");
      if (field) field.focus();
      else location.assign("/events");
      return true;
    }
    case "?":
      document.getElementById("help-link")?.click();
      return true;
    case "j":
      move(1);
      return true;
    case "k":
      move(-1);
      return true;
    case "Enter":
      // A link or a button that has the focus does what it does.
      if (document.activeElement !== document.body || current < 0) return false;
      rows()[current]?.querySelector("[data-open]")?.click();
      return true;
    case "r":
      document.querySelector("#replay button")?.click();
      return true;
    case "p":
      if (!live) return false;
      toggle();
      return true;
    default:
      return false;
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && isTyping()) document.activeElement.blur();
  if (isTyping() || !document.querySelector("nav")) return;

  if (event.key === "g") {
    goes = Date.now() + 1500;
    return;
  }
  const isGo = Date.now() < goes;
  goes = 0;
  if (isGo) go(event.key);
  else if (!onKey(event.key)) return;
  event.preventDefault();
});

// --- A tick that ticks all.

document.addEventListener("change", ({ target }) => {
  const boxes = [...document.querySelectorAll("input[name=event][type=checkbox]")];
  const all = document.querySelector("[data-all] input");
  if (target === all) boxes.forEach((box) => { box.checked = all.checked; });
  else if (all && boxes.includes(target)) all.checked = boxes.every((box) => box.checked);
});

// --- Completion: the list offers what may follow the words before.

const field = document.getElementById("q");
const list = field?.list;
if (list) {
  const offers = [...list.options].map((option) => option.value);
  field.addEventListener("input", () => {
    const words = field.value.split(" ");
    const last = words.pop();
    const before = words.length ? words.join(" ") + " " : "";
    const fitting = offers.filter((offer) => offer.startsWith(last) && offer !== last).slice(0, 20);
    list.replaceChildren(...fitting.map((offer) => new Option("", before + offer)));
  });
}

localise(document);
reveal(document);
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
