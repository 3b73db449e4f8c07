// The page of one conversation: what the visitor does, and what the desk says.
import { focusForm, isFault, isFormShown, prepareForm, showForm, takenAddress } from "./address.js";
import * as connection from "./connection.js";
import * as identity from "./identity.js";
import * as messages from "./messages.js";
import { random } from "./store.js";

const LARGEST = 5 * 1024 * 1024;
const { texts } = messages;
const locale = new URLSearchParams(location.search).get("lang") || navigator.language;
const at = (id) => document.getElementById(id);
const log = at("log"), text = at("text"), picker = at("files"), state = at("state"), stop = at("stop"), past = at("past");
let chosen = [], customer = null, isRefused = false;

messages.prepareMessages({
  retry: connection.retry,
  press: (value) => connection.post({ type: "press", id: random(12), value, locale }),
  ask: (question) => say(question, []),
  writing: (byBot) => {
    if (!byBot && stop === document.activeElement) text.focus();
    stop.hidden = !byBot;
  },
  spoke: showSpeaker,
  copied: () => showState(texts.copied, 1500),
});

// --- what the desk says

const heard = {
  shown: (frame) => messages.showDesk(frame, connection.isLive()),
  edited: (frame) => messages.showDesk(frame, connection.isLive()),
  said: (frame) => { messages.showMine(frame, ""); thank(frame.id); },
  forgotten: () => messages.clear(),
  typing: (frame) => messages.showTyping(frame.author),
  taken: (frame) => { messages.setState(frame.id, ""); thank(frame.id); },
  refused: (frame) => {
    messages.nobodyWrites();
    if (isFault(frame)) return;
    if (frame.id) messages.setState(frame.id, "unsent");
    messages.note(frame.text);
  },
  busy: (frame) => messages.note(frame.text),
  welcome: (frame) => {
    customer = frame.customer || null;
    if (customer) identity.forgetAnonymous();
    isRefused = false;
    text.disabled = at("send").disabled = at("attach").disabled = false;
    showState("");
    showForm(Boolean(frame.form), customer);
  },
  form: (frame) => showForm(frame.shown, customer),
  conversations: (frame) => listConversations(frame),
  unidentified: (frame) => refuse(frame),
  disconnected: () => {
    messages.nobodyWrites();
    if (!isRefused) showState(navigator.onLine ? texts.connecting : texts.offline);
  },
  sending: (id) => messages.setState(id, "sending"),
  unsent: (id) => {
    messages.setState(id, "unsent");
    if (!isRefused) showState(navigator.onLine ? texts.connecting : texts.offline);
  },
  tooLarge: (id) => { messages.giveUp(id); messages.note(texts.large); },
  restored: (frame) => messages.showMine(frame, "sending"),
  isKnown: messages.isKnown,
  cleared: () => { messages.clear(); showForm(false); },
};

let stateEnds = 0;

function showState(words, milliseconds = 0) {
  clearTimeout(stateEnds);
  const before = milliseconds ? state.textContent : "";
  state.textContent = words;
  if (milliseconds) stateEnds = setTimeout(() => { state.textContent = before; }, milliseconds);
}

// a machine or a person: said over the messages as well
function showSpeaker(author) {
  const isPerson = author && author.kind === "operator";
  at("machine").hidden = Boolean(isPerson) || !at("machine").textContent.trim();
  at("person").hidden = !isPerson;
  if (isPerson) at("person").textContent = texts.talking.replace("{name}", `\u2068${messages.nameOf(author)}\u2069`);
}

function thank(id) {
  const address = takenAddress(id);
  if (address) messages.note(texts.address_thanks.replace("{address}", `\u2068${address}\u2069`));
}

function refuse(frame) {
  if (frame.detail) console.warn(`Qwendesk: ${frame.detail}`); // for those who build the shop's page
  if (frame.reason === "session") return leave();
  if (frame.reason === "expired") {
    showState(frame.text);
    if (window.parent === window) return leave();
    return identity.askParent("expired");
  }
  isRefused = true;
  showState(frame.text);
  messages.tell(frame.text);
  text.disabled = at("send").disabled = at("attach").disabled = true;
  if (frame.reason === "required") identity.askParent("required");
}

// the customer has logged out, here or in another tab: nothing of them stays
function leave() {
  identity.dropIdentity();
  identity.forgetSession();
  customer = null;
  showHistory(false);
  showSpeaker(null);
  connection.openConversation("", { forget: true });
}

function changed({ isOut, isSomebodyElse }) {
  if (isOut) {
    identity.tellOtherTabs();
    return leave();
  }
  if (isSomebodyElse) {
    identity.forgetSession();
    return connection.openConversation("", { forget: true });
  }
  connection.greetAgain();
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
    if (sum > LARGEST) messages.note(texts.large_file.replace("{name}", file.name).replace("{megabytes}", LARGEST / 1024 ** 2));
    else chosen.push(file);
  }
  at("chosen").replaceChildren(...chosen.map((file) => messages.fileRow("li", file.name)));
  at("chosen").hidden = !chosen.length;
}

function send() {
  const words = text.value.trim(), files = chosen;
  if (text.disabled || (!words && !files.length)) return;
  text.value = "";
  chosen = [];
  choose([]);
  grow();
  say(words, files);
}

async function say(words, files) {
  const id = random(12);
  messages.showMine({ id, text: words, files }, "sending");
  try {
    const read = await Promise.all(files.map(readFile));
    connection.post({ type: "message", id, text: words, locale, files: read });
  } catch {
    messages.giveUp(id);
    messages.note(texts.broken_file);
  }
}

function grow() {
  text.style.height = "auto";
  text.style.height = text.scrollHeight + 2 + "px";
}

function close() {
  identity.toParent({ qwendesk: "close" });
}

function beginAnew() {
  showHistory(false);
  showSpeaker(null);
  connection.openConversation(random(16));
  text.focus();
}

function showHistory(shown) {
  if (past.hidden === !shown) return;
  past.hidden = !shown;
  at("earlier").setAttribute("aria-expanded", String(shown));
  if (shown) {
    at("conversations").replaceChildren();
    connection.request("conversations");
    at("back").focus();
  } else {
    at("earlier").focus();
  }
}

function listConversations(frame) {
  const day = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  at("conversations").replaceChildren(...frame.list.map((one) => {
    const button = messages.make("button", "", messages.make("bdi", "", one.title || texts.new), messages.make("time", "", day.format(one.at)));
    button.type = "button";
    if (one.id === frame.current) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => {
      showHistory(false);
      if (one.id !== frame.current) {
        showSpeaker(null);
        connection.openConversation(one.id);
      }
      text.focus();
    });
    return messages.make("li", "", button);
  }));
}

// F6 goes round between the messages, the form and the field
function goRound(step) {
  const places = [log, ...(isFormShown() ? [at("address")] : []), at("form")];
  const here = places.findIndex((place) => place.contains(document.activeElement));
  const next = places[(Math.max(here, 0) + step + places.length) % places.length];
  if (here < 0 || next === at("form")) text.focus();
  else if (next === log) log.focus();
  else focusForm();
}

function onKey(event) {
  if (event.key === "F6" && !event.ctrlKey && !event.altKey) {
    event.preventDefault();
    goRound(event.shiftKey ? -1 : 1);
  }
  if (event.key !== "Escape" || event.isComposing) return;
  if (!past.hidden) showHistory(false);
  else if (!stop.hidden) connection.request("stop");
  else if (window.parent !== window) close();
}

at("form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
at("attach").addEventListener("click", () => picker.click());
at("close").addEventListener("click", close);
at("new").addEventListener("click", beginAnew);
at("earlier").addEventListener("click", () => showHistory(past.hidden));
at("back").addEventListener("click", () => showHistory(false));
stop.addEventListener("click", () => { connection.request("stop"); text.focus(); });
picker.addEventListener("change", () => { choose(picker.files); picker.value = ""; text.focus(); });
text.addEventListener("input", grow);
text.addEventListener("keydown", (event) => {
  // Enter within an input method chooses a word
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
text.addEventListener("paste", (event) => choose(event.clipboardData.files));
document.addEventListener("keydown", onKey);
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => { event.preventDefault(); choose(event.dataTransfer.files); });
at("close").hidden = window.parent === window;
prepareForm(texts, (values) => {
  const id = random(12);
  connection.post({ type: "address", id, locale, ...values });
  return id;
});

// a keyboard on the screen takes its place from the page
if (window.visualViewport) {
  const fit = () => {
    document.documentElement.style.setProperty("--height", `${visualViewport.height}px`);
    window.scrollTo(0, 0);
  };
  visualViewport.addEventListener("resize", () => { if (visualViewport.scale === 1) fit(); });
}

await identity.watchIdentity(changed);
connection.start(heard, locale);
