// The socket. What is written waits in `pending` until the desk says that it is taken; what is shown has a name, so
// that whatever comes twice is seen once. A message keeps its id, so however often it is sent, it is stored once.
import { credentials, isSigned } from "./identity.js";
import { keep, recall } from "./store.js";

const LARGEST_FRAME = 8 * 1024 * 1024, SMALL_FRAME = 1024 * 1024, SMALL_TEXT = 20_000;
const TOO_LARGE = 1009; // the code of a socket that was closed for a frame's size
const PATIENCE = 8000; // milliseconds until a message without a connection is marked as not sent
const SILENCE = 15_000; // milliseconds without a sign after a message, by which a connection counts as lost

export const pending = new Map();
const refused = new Map();
let socket = null, open = false, seen = 0, tries = 0, hears, locale, again = 0, welcomes = 0, heardAt = 0;
let conversation = recall("conversation");

export const isLive = () => welcomes > 0; // what comes before the first welcome is history

export function start(heard, language) {
  hears = heard;
  locale = language;
  addEventListener("online", connect);
  addEventListener("offline", () => { lose(0); markUnsent(); });
  connect();
}

function hello() {
  if (socket?.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ type: "hello", ...credentials(), conversation, seen, locale }));
  }
}

function connect() {
  clearTimeout(again);
  if (socket) return;
  const address = new URL("socket", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.search = address.hash = "";
  const made = socket = new WebSocket(address);
  made.addEventListener("open", hello);
  made.addEventListener("message", (event) => {
    if (socket !== made) return;
    const frame = JSON.parse(event.data);
    heardAt = Date.now();
    if (frame.seq) seen = Math.max(seen, frame.seq);
    own[frame.type]?.(frame);
    hears[frame.type]?.(frame);
  });
  made.addEventListener("close", (event) => { if (socket === made) lose(event.code); });
}

// the connection has ended, or nothing comes through it any more
function lose(code) {
  const lost = socket;
  if (!lost) return;
  socket = null;
  open = false;
  lost.close();
  hears.disconnected();
  if (code === TOO_LARGE) { // something on the way takes less than the desk: sent again, it would fail again
    const large = [...pending.values()].filter((frame) => JSON.stringify(frame).length > SMALL_FRAME);
    large.forEach((frame) => giveUp(frame.id));
  }
  setTimeout(() => { if (!open) markUnsent(); }, PATIENCE);
  const wait = Math.min(30000, 500 * 2 ** tries++);
  again = setTimeout(connect, wait * (0.5 + Math.random() / 2)); // not all visitors at once after a restart
}

const own = {
  welcome(frame) {
    open = true;
    tries = 0;
    welcomes += 1;
    if (!conversation || /^[0-9a-f]{64}$/.test(conversation)) conversation = frame.conversation;
    keep("conversation", conversation);
    unstow();
    for (const one of pending.values()) transmit(one);
  },
  said: (frame) => settle(frame.id),
  taken: (frame) => settle(frame.id),
  unidentified() { open = false; },
  refused(frame) {
    const kept = pending.get(frame.id);
    if (kept) refused.set(frame.id, kept);
    settle(frame.id);
  },
  busy(frame) {
    setTimeout(() => {
      const kept = pending.get(frame.id);
      if (kept && open) transmit(kept);
    }, 1000 * (frame.after || 2));
  },
};

function transmit(frame) {
  const used = socket, sentAt = Date.now();
  used.send(JSON.stringify(frame));
  hears.sending(frame.id);
  setTimeout(() => {
    if (socket === used && pending.has(frame.id) && heardAt < sentAt) lose(0);
  }, SILENCE);
}

export function post(frame) {
  if (JSON.stringify(frame).length > LARGEST_FRAME) return giveUp(frame.id);
  pending.set(frame.id, frame);
  stow();
  if (open) return transmit(frame);
  setTimeout(() => { if (!open && pending.has(frame.id)) hears.unsent(frame.id); }, navigator.onLine ? PATIENCE : 0);
}

// something that is not kept, since it means nothing later
export function request(type) {
  if (open) socket.send(JSON.stringify({ type }));
}

export function retry(id) {
  const frame = pending.get(id) || refused.get(id);
  if (!frame) return;
  refused.delete(id);
  pending.set(id, frame);
  stow();
  hears.sending(id);
  if (open) return transmit(frame);
  tries = 0;
  connect();
  setTimeout(() => { if (!open && pending.has(id)) hears.unsent(id); }, PATIENCE);
}

function giveUp(id) {
  settle(id);
  hears.tooLarge(id);
}

function settle(id) {
  if (pending.delete(id)) stow();
}

function markUnsent() {
  for (const id of pending.keys()) hears.unsent(id);
}

// another conversation, or another person: nothing that waits may reach it
export function openConversation(name, { forget = false } = {}) {
  conversation = name;
  keep("conversation", name);
  seen = 0;
  open = false;
  if (forget) keep("pending", "");
  pending.clear();
  refused.clear();
  hears.cleared();
  hello();
  connect();
}

// the same person with a new token
export const greetAgain = () => hello();

// texts that were not sent outlive the page; files are too large for that
function stow() {
  if (!welcomes || isSigned()) return; // what a customer has written is not left in a browser that others may use
  const texts = [...pending.values()].filter((frame) => frame.type === "message" && !frame.files?.length);
  const small = texts.filter((frame) => frame.text.length < SMALL_TEXT).slice(-20);
  keep("pending", small.length ? JSON.stringify({ conversation, frames: small }) : "");
}

function unstow() {
  let kept = null;
  try {
    kept = JSON.parse(recall("pending") || "null");
  } catch { /* not ours */ }
  if (!kept || kept.conversation !== conversation || !Array.isArray(kept.frames)) return;
  for (const frame of kept.frames) {
    if (!frame || frame.type !== "message" || pending.has(frame.id) || hears.isKnown(frame.id)) continue;
    pending.set(frame.id, frame);
    hears.restored(frame);
  }
  stow();
}
