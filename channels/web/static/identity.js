// Who is logged in at the shop: its page passes what its server has signed. It is kept in this page's memory only.
import { keep, onChange, recall, random } from "./store.js";

const PATIENCE = 10_000;
const isExpected = new URLSearchParams(location.search).has("identity") && window.parent !== window;
let shown = {}, isFresh = false, session = "";
session = recall("session") || renewSession();

function renewSession() {
  session = random(24);
  isFresh = true;
  keep("session", session);
  return session;
}

export const credentials = () => ({ session, ...shown });
export const isSigned = () => Boolean(shown.identity || shown.user_id);

// what was anonymous belongs to the customer from now on, and opens nothing without the log-in
export function forgetAnonymous() {
  if (!isFresh) renewSession();
}

export function forgetSession() {
  keep("conversation", "");
  renewSession();
}

export function dropIdentity() {
  shown = {};
}

export function toParent(message) {
  if (window.parent !== window) window.parent.postMessage(message, "*");
}

export function askParent(reason) {
  toParent({ qwendesk: "identity-wanted", reason });
}

export function tellOtherTabs() {
  keep("logout", String(Date.now()));
}

function read(given) {
  const text = (name) => (typeof given[name] === "string" ? given[name] : "");
  if (text("identity")) return { identity: text("identity") };
  return text("user_id") ? { user_id: text("user_id"), user_hash: text("user_hash") } : {};
}

// the id in what is passed; only the desk can tell whether it is true
function idOf(one) {
  if (one.user_id) return one.user_id;
  try {
    const claims = one.identity.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(claims), (sign) => sign.charCodeAt(0)))).sub || "";
  } catch {
    return "";
  }
}

// calls `changed` when somebody logs in, gets a new token, or logs out; resolves once it is known who is there
export function watchIdentity(changed) {
  // Never from the address: whoever sends a link would log this browser in as themselves, and get what was written in it.
  let begin, hasBegun = false;
  const known = new Promise((resolve) => { begin = () => { hasBegun = true; resolve(); }; });
  const take = (given) => {
    const before = shown;
    shown = read(given);
    if (!hasBegun) return begin();
    if (JSON.stringify(shown) === JSON.stringify(before)) return;
    const wasSigned = Boolean(idOf(before));
    changed({ isOut: wasSigned && !isSigned(), isSomebodyElse: wasSigned && isSigned() && idOf(before) !== idOf(shown) });
  };
  // the page around this one, which is this one itself in an app's web view
  addEventListener("message", (event) => {
    if (event.source === window.parent && event.data && event.data.qwendesk === "identity") take(event.data);
  });
  onChange("logout", () => { if (isSigned()) take({}); });
  if (isExpected) setTimeout(begin, PATIENCE);
  else begin();
  toParent({ qwendesk: "ready" });
  return known;
}
