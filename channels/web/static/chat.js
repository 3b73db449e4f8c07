"use strict";
// One conversation. What is written waits in `pending` until the desk says that it is taken; what is shown
// has a name, so that whatever comes twice is seen once.

const LARGEST = 5 * 1024 * 1024, LARGEST_FRAME = 8 * 1024 * 1024, SMALL_FRAME = 1024 * 1024;
const TOO_LARGE = 1009; // the code of a socket that was closed for a frame's size
const texts = JSON.parse(document.body.dataset.texts);
const locale = new URLSearchParams(location.search).get("lang") || navigator.language;
const STORE = "qwendesk.session";
const at = (id) => document.getElementById(id);
const log = at("log"), text = at("text"), picker = at("files"), state = at("state"), typing = at("typing");
const pending = new Map();
const messages = new Map();
let session = "", socket = null, open = false, seen = 0, tries = 0, typingEnds = 0, chosen = [];

function random(bytes) {
  const drawn = crypto.getRandomValues(new Uint8Array(bytes));
  return btoa(String.fromCharCode(...drawn)).replaceAll("+", "-").replaceAll("/", "_");
}

function readSession() {
  try {
    const kept = localStorage.getItem(STORE) || random(24);
    localStorage.setItem(STORE, kept);
    return kept;
  } catch { // storage is forbidden: the conversation lasts as long as the page
    return random(24);
  }
}

// --- what is seen

function atBottom(change) {
  const near = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const result = change();
  if (near) log.scrollTop = log.scrollHeight;
  return result;
}

function bubble(id, kind) {
  let element = messages.get(id);
  if (!element) {
    element = document.createElement("div");
    element.className = kind;
    element.dir = "auto";
    messages.set(id, element);
    log.append(element);
  }
  return element;
}

// drawn, since not every machine has a font with pictures
const THUMB = "M4 11h3v9H4zM7 12l4-8c1.6 0 2.6 1 2.6 2.6V10H19a1.8 1.8 0 0 1 1.8 2.1l-1.1 6.2A2 2 0 0 1 17.7 20H7";
const CLIP = at("attach").querySelector("path").getAttribute("d");

function icon(shape) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", shape);
  drawing.append(path);
  return drawing;
}

function fileRow(kind, name) {
  const row = document.createElement(kind);
  row.className = "file";
  row.append(icon(CLIP), name);
  return row;
}

function showMine(id, words, files, waiting) {
  atBottom(() => {
    const element = bubble(id, "message mine");
    element.replaceChildren(...[words].filter(Boolean), ...(files || []).map((name) => fileRow("div", name)));
    element.classList.toggle("waiting", waiting);
  });
  if (waiting) log.scrollTop = log.scrollHeight;
}

function showDesk(frame) {
  hideTyping();
  atBottom(() => {
    const element = bubble(frame.id, "message desk");
    element.innerHTML = frame.text; // written by the desk itself, which lets no HTML of others through
    for (const link of element.querySelectorAll("a")) {
      link.target = "_blank";
      link.rel = "noopener noreferrer";
    }
    if (frame.buttons) element.append(buttons(frame.buttons));
  });
}

function buttons(list) {
  const row = document.createElement("div");
  row.className = "buttons";
  for (const { label, value, chosen } of list) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.setAttribute("aria-pressed", String(chosen));
    const thumb = /^rate:(-?1)(:|$)/.exec(value);
    if (thumb) {
      button.className = thumb[1] === "1" ? "thumb" : "thumb down";
      button.replaceChildren(icon(THUMB));
      button.title = thumb[1] === "1" ? texts.good : texts.bad;
      button.setAttribute("aria-label", button.title);
    }
    button.addEventListener("click", () => {
      for (const other of row.children) other.setAttribute("aria-pressed", String(other === button));
      post({ type: "press", id: random(12), value, locale });
    });
    row.append(button);
  }
  return row;
}

function note(words) {
  if (!words) return;
  atBottom(() => {
    const element = document.createElement("div");
    element.className = "note";
    element.dir = "auto";
    element.textContent = words;
    log.append(element);
  });
}

function showTyping() {
  clearTimeout(typingEnds);
  atBottom(() => { typing.hidden = false; });
  typingEnds = setTimeout(hideTyping, 3000);
}

function hideTyping() {
  clearTimeout(typingEnds);
  typing.hidden = true;
}

// --- what is said to the desk

function post(frame) {
  if (JSON.stringify(frame).length > LARGEST_FRAME) return giveUp(frame.id);
  pending.set(frame.id, frame);
  if (open) socket.send(JSON.stringify(frame));
}

function giveUp(id) {
  pending.delete(id);
  const element = messages.get(id);
  if (element) element.classList.add("unsent");
  note(texts.large);
}

function taken(id) {
  pending.delete(id);
  const element = messages.get(id);
  if (element) element.classList.remove("waiting");
}

function later(frame) {
  if (frame.text) note(frame.text);
  setTimeout(() => {
    const kept = pending.get(frame.id);
    if (kept && open) socket.send(JSON.stringify(kept));
  }, 1000 * (frame.after || 2));
}

const heard = {
  shown: showDesk,
  edited: showDesk,
  said: (frame) => { pending.delete(frame.id); showMine(frame.id, frame.text, frame.files, false); },
  forgotten: () => {
    for (const element of messages.values()) element.remove();
    messages.clear();
  },
  typing: showTyping,
  taken: (frame) => taken(frame.id),
  refused: (frame) => { taken(frame.id); hideTyping(); note(frame.text); },
  busy: later,
  welcome: () => {
    open = true;
    tries = 0;
    state.textContent = "";
    for (const frame of pending.values()) socket.send(JSON.stringify(frame));
  },
};

function connect() {
  const address = new URL("socket", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address);
  socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "hello", session, seen })));
  socket.addEventListener("message", (event) => {
    const frame = JSON.parse(event.data);
    if (frame.seq) seen = Math.max(seen, frame.seq);
    if (heard[frame.type]) heard[frame.type](frame);
  });
  socket.addEventListener("close", (event) => {
    open = false;
    hideTyping();
    state.textContent = texts.connecting;
    if (event.code === TOO_LARGE) { // something on the way takes less than the desk: sent again, it would fail again
      const large = [...pending.values()].filter((frame) => JSON.stringify(frame).length > SMALL_FRAME);
      large.forEach((frame) => giveUp(frame.id));
    }
    const wait = Math.min(30000, 500 * 2 ** tries++);
    setTimeout(connect, wait * (0.5 + Math.random() / 2)); // not all visitors at once after a restart
  });
}

// --- what the visitor does

function readFile(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve({
      name: file.name, mime: file.type || "application/octet-stream", data: reader.result.split(",")[1] || "",
    }));
    reader.addEventListener("error", reject);
    reader.readAsDataURL(file);
  });
}

function choose(files) {
  for (const file of files) {
    const sum = chosen.reduce((size, one) => size + one.size, file.size);
    if (sum > LARGEST) note(texts.large_file.replace("{name}", file.name).replace("{megabytes}", LARGEST / 1024 ** 2));
    else chosen.push(file);
  }
  at("chosen").replaceChildren(...chosen.map((file) => fileRow("li", file.name)));
  at("chosen").hidden = !chosen.length;
}

async function send() {
  const words = text.value.trim(), files = chosen;
  if (!words && !files.length) return;
  text.value = "";
  chosen = [];
  choose([]);
  grow();
  const id = random(12);
  showMine(id, words, files.map((file) => file.name), true);
  try {
    const read = await Promise.all(files.map(readFile));
    post({ type: "message", id, text: words, locale, files: read });
  } catch {
    note(texts.broken_file);
  }
}

function grow() {
  text.style.height = "auto";
  text.style.height = text.scrollHeight + 2 + "px";
}

function close() {
  window.parent.postMessage({ qwendesk: "close" }, "*");
}

at("form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
at("attach").addEventListener("click", () => picker.click());
picker.addEventListener("change", () => { choose(picker.files); picker.value = ""; text.focus(); });
at("close").addEventListener("click", close);
text.addEventListener("input", grow);
text.addEventListener("keydown", (event) => {
  // Enter within an input method chooses a word
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
text.addEventListener("paste", (event) => choose(event.clipboardData.files));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => { event.preventDefault(); choose(event.dataTransfer.files); });
if (window.parent !== window) {
  at("close").hidden = false;
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
}
session = readSession();
connect();
