// The messages: who speaks, when, what, and what can be done with it; and what a screen reader is told of them.
import { elementsOf, textNodes, update } from "./markup.js";

const at = (id) => document.getElementById(id);
const log = at("log"), list = at("list"), typing = at("typing"), teller = at("teller"), newest = at("newest");
const { texts, picture, starters } = JSON.parse(document.body.dataset.shown);
const language = document.documentElement.lang;
const MINUTE = 60_000, TYPING = 3000, STALLED = 60_000, MAX_TOLD = 600, NEAR = 80;
const messages = new Map(); // by id: {row, body, status, time, at, isMine, author, isPartial, words}
let typingEnds = 0, stalls = 0, isWriting = false, unread = 0, lastDay = "", wasNear = true, greetingAt = Date.now(), actions;

export { texts };
export const isKnown = (id) => messages.has(id);
export const isBotWriting = () => isWriting;
export const isEmpty = () => !messages.size;

export function prepareMessages(given) {
  actions = given;
  newest.addEventListener("click", () => jump());
  log.addEventListener("scroll", () => {
    wasNear = isNear();
    if (wasNear) unread = 0;
    showJump();
  }, { passive: true });
  // the form, or the keyboard of a phone, takes its place from the messages: the newest ones stay in sight
  new ResizeObserver(() => { if (wasNear) jumpNow(); }).observe(log);
  at("greeting").append(head(null, true, greetingAt).row, bubbleOf(at("greeting").dataset.text));
  showStarters();
  setInterval(() => messages.forEach((one) => showTime(one.time, one.at)), MINUTE / 2);
}

// --- drawing

// drawn, since not every machine has a font with pictures
const SHAPES = {
  thumb: "M4 11h3v9H4zM7 12l4-8c1.6 0 2.6 1 2.6 2.6V10H19a1.8 1.8 0 0 1 1.8 2.1l-1.1 6.2A2 2 0 0 1 17.7 20H7",
  clip: "M20 11.5 12 19.4a5 5 0 0 1-7-7.1l8.3-8.2a3.3 3.3 0 0 1 4.7 4.7l-8.2 8.1a1.6 1.6 0 0 1-2.3-2.3l7.4-7.3",
  copy: "M9 9h10v11H9zM5 15V4h10",
  robot: "M5 9h14v10H5zM12 9V5M9.5 13v2M14.5 13v2M2.5 12.5v3M21.5 12.5v3",
};

export function icon(name) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[name]);
  drawing.append(path);
  return drawing;
}

export function make(kind, className, ...content) {
  const element = document.createElement(kind);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

function makeButton(className, label, act, ...content) {
  const button = make("button", className, ...(content.length ? content : [label]));
  button.type = "button";
  if (content.length) {
    button.setAttribute("aria-label", label);
    button.title = label;
  }
  button.addEventListener("click", act);
  return button;
}

export function fileRow(kind, name) {
  const named = make("bdi", "", name);
  return make(kind, "file", icon("clip"), named);
}

// --- who and when

export function nameOf(author) {
  if (!author || author.kind !== "operator") return (author && author.name) || texts.assistant;
  return author.name || texts.team;
}

function initials(name) {
  const words = name.trim().split(/\s+/);
  const ends = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return ends.map((word) => [...(word || "")][0] || "").join("\u200c").toLocaleUpperCase(language); // apart, where letters join
}

function face(author) {
  const drawn = make("span", "face");
  drawn.setAttribute("aria-hidden", "true");
  if (author && author.kind === "operator") {
    const name = nameOf(author);
    let sum = 0;
    for (const sign of name) sum = (sum * 31 + sign.codePointAt(0)) % 6;
    drawn.classList.add(`face${sum}`);
    drawn.textContent = initials(name);
  } else if (picture) {
    const image = new Image();
    image.alt = "";
    image.src = picture;
    image.addEventListener("error", () => image.replaceWith(icon("robot")));
    drawn.append(image);
  } else {
    drawn.append(icon("robot"));
  }
  return drawn;
}

function head(author, isDesk, when) {
  const time = make("time", "");
  showTime(time, when);
  const name = make("bdi", isDesk ? "name" : "unseen", isDesk ? nameOf(author) : texts.you);
  const row = make("div", "by", ...(isDesk ? [face(author)] : []), name, time);
  return { row, time };
}

const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
const whole = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short" });
const days = new Intl.DateTimeFormat(language, { dateStyle: "full" });
const ago = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });

function showTime(element, when) {
  const minutes = Math.floor(Math.max(0, Date.now() - when) / MINUTE);
  const near = minutes < 60 ? ago.format(minutes ? -minutes : 0, minutes ? "minute" : "second") : clock.format(when);
  if (!element.firstChild) {
    element.dateTime = new Date(when).toISOString();
    element.title = whole.format(when);
    element.append(make("span", "near"), make("span", "whole", whole.format(when)));
  }
  if (element.firstChild.textContent !== near) element.firstChild.textContent = near;
}

function startOfDay(when) {
  const day = new Date(when);
  return new Date(day.getFullYear(), day.getMonth(), day.getDate()).getTime();
}

function dayName(when) {
  const distance = Math.round((startOfDay(when) - startOfDay(Date.now())) / 86_400_000);
  return distance === 0 || distance === -1 ? ago.format(distance, "day") : days.format(when);
}

function addDay(when) {
  const day = String(startOfDay(when));
  if (day === lastDay) return;
  lastDay = day;
  const name = dayName(when);
  list.append(make("li", "day", name.charAt(0).toLocaleUpperCase(language) + name.slice(1)));
}

// --- the log

function isNear() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
}

function showJump() {
  newest.hidden = isNear();
  at("unread").textContent = unread ? String(unread) : "";
}

export function jump() {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  log.scrollTo({ top: log.scrollHeight, behavior: calm ? "instant" : "smooth" });
  unread = 0;
}

function keepPlace(change) {
  const near = isNear();
  change();
  if (near) log.scrollTop = log.scrollHeight;
  showJump();
}

// told once it is there, not while it grows
export function tell(words) {
  teller.textContent = "";
  setTimeout(() => { teller.textContent = words; }, 50);
}

function entry(id, isMine, when, author) {
  const known = messages.get(id);
  if (known) return known;
  hideStarters();
  addDay(when);
  const { row: by, time } = head(author, !isMine, when);
  const body = make("div", "bubble");
  body.dir = "auto";
  const status = make("div", "status");
  const row = make("li", isMine ? "message mine" : "message desk", by, body, status);
  const made = { row, body, status, time, at: when, isMine, author, isPartial: false, words: "" };
  list.append(row);
  messages.set(id, made);
  return made;
}

function bubbleOf(words) {
  const body = make("div", "bubble", words);
  body.dir = "auto";
  return body;
}

export function showMine(frame, state) {
  keepPlace(() => {
    const one = entry(frame.id, true, frame.at || Date.now(), null);
    if (frame.at && frame.at !== one.at) {
      one.at = frame.at;
      one.time.replaceChildren();
      showTime(one.time, one.at);
    }
    update(one.body, [...textNodes(frame.text || ""), ...(frame.files || []).map((file) => fileRow("div", file.name || file))]);
    setState(frame.id, state);
  });
  if (state) jumpNow();
}

function jumpNow() {
  log.scrollTop = log.scrollHeight;
  showJump();
}

// `state`: "sending", "unsent", or empty for a message that the desk has
export function setState(id, state) {
  const one = messages.get(id);
  if (!one || !one.isMine) return;
  one.row.classList.toggle("waiting", state === "sending");
  one.row.classList.toggle("unsent", state === "unsent");
  if (one.status.dataset.state === state) return;
  one.status.dataset.state = state;
  one.status.replaceChildren();
  if (state === "sending") one.status.append(texts.sending);
  if (state === "unsent") {
    one.status.append(texts.unsent, makeButton("retry", texts.retry, () => actions.retry(id)));
    tell(texts.unsent);
  }
}

export function giveUp(id) {
  setState(id, "unsent");
  messages.get(id)?.status.querySelector(".retry")?.remove();
}

export function showDesk(frame, isLive) {
  const isNew = !messages.has(frame.id), isPartial = Boolean(frame.partial);
  const one = messages.get(frame.id);
  const wasPartial = one?.isPartial;
  hideTyping(isPartial);
  keepPlace(() => {
    const shown = entry(frame.id, false, frame.at || Date.now(), frame.author);
    const nodes = elementsOf(frame.text);
    shown.words = plain(nodes);
    shown.isPartial = isPartial;
    shown.row.setAttribute("aria-busy", String(isPartial));
    if (!isPartial) nodes.forEach((node) => typeof node !== "string" && withCopyButtons(node));
    update(shown.body, nodes);
    showActions(shown, frame, isPartial);
  });
  if (isNew && !isNear()) unread += 1;
  showJump();
  actions.spoke(frame.author);
  if (isPartial) begin(frame.author, isLive);
  else if (isNew || wasPartial) end(frame.id, isLive);
}

function plain(nodes) {
  return nodes.map((node) => (typeof node === "string" ? node : node.textContent)).join(" ").replace(/\s+/g, " ").trim();
}

function withCopyButtons(node) {
  for (const block of node.nodeName === "PRE" ? [node] : node.querySelectorAll("pre")) {
    const code = block.textContent;
    const button = makeButton("copy", texts.copy_code, () => copy(code), icon("copy"));
    button.translate = false;
    block.prepend(button);
  }
}

function showActions(one, frame, isPartial) {
  const rows = [];
  if (frame.buttons) rows.push(buttonRow(frame.id, frame.buttons));
  if (!isPartial && one.words) {
    rows.push(makeButton("copy", texts.copy, () => copy(copyable(one.body)), icon("copy")));
  }
  update(one.status, rows.length ? rows : []);
}

function copyable(body) {
  const bare = body.cloneNode(true);
  bare.querySelectorAll("button").forEach((button) => button.remove());
  bare.className = "unseen bare";
  document.body.append(bare);
  const words = bare.innerText;
  bare.remove();
  return words.trim();
}

async function copy(words) {
  try {
    await navigator.clipboard.writeText(words);
  } catch { // not allowed in this frame
    const field = make("textarea", "unseen");
    field.value = words;
    document.body.append(field);
    const before = document.activeElement;
    field.select();
    document.execCommand("copy");
    field.remove();
    before?.focus();
  }
  tell(texts.copied);
  actions.copied();
}

let groups = 0;

function buttonRow(id, rows) {
  const row = make("div", "buttons");
  row.setAttribute("role", "group");
  const body = messages.get(id).body;
  body.id ||= `body-${(groups += 1)}`;
  row.setAttribute("aria-labelledby", body.id);
  for (const { label, value, chosen } of rows) {
    const press = (event) => {
      for (const other of row.children) other.setAttribute("aria-pressed", String(other === event.currentTarget));
      actions.press(value);
    };
    const thumb = /^rate:(-?1)(:|$)/.exec(value);
    const isGood = thumb && thumb[1] === "1";
    const button = thumb
      ? makeButton(isGood ? "thumb" : "thumb down", isGood ? texts.good : texts.bad, press, icon("thumb"))
      : makeButton("", label, press);
    button.setAttribute("aria-pressed", String(chosen));
    row.append(button);
  }
  return row;
}

// --- is writing

function begin(author, isLive) {
  clearTimeout(stalls);
  stalls = setTimeout(settleAll, STALLED);
  if (isWriting) return;
  isWriting = true;
  log.setAttribute("aria-busy", "true");
  actions.writing(!author || author.kind !== "operator");
  if (isLive) tell(texts.writing.replace("{name}", nameOf(author)));
}

function end(id, isLive) {
  clearTimeout(stalls);
  isWriting = false;
  log.setAttribute("aria-busy", "false");
  actions.writing(false);
  const one = messages.get(id);
  if (!isLive || !one) return;
  const words = one.words.length > MAX_TOLD ? `${one.words.slice(0, MAX_TOLD)} …` : one.words;
  tell(`${nameOf(one.author)}: ${words} — ${texts.done}`);
}

function settleAll() {
  for (const one of messages.values()) {
    if (!one.isPartial) continue;
    one.isPartial = false;
    one.row.setAttribute("aria-busy", "false");
  }
  isWriting = false;
  log.setAttribute("aria-busy", "false");
  actions.writing(false);
}

export function showTyping(author) {
  clearTimeout(typingEnds);
  const words = texts.writing.replace("{name}", nameOf(author));
  keepPlace(() => {
    if (at("writer").textContent !== words) at("writer").textContent = words;
    typing.hidden = false;
  });
  begin(author, true);
  typingEnds = setTimeout(() => hideTyping(false, true), TYPING);
}

function hideTyping(isPartial, isOver = false) {
  clearTimeout(typingEnds);
  typing.hidden = true;
  if (isOver && ![...messages.values()].some((one) => one.isPartial)) settleAll();
}

export const nobodyWrites = () => hideTyping(false, true);

// --- the rest

export function note(words) {
  if (!words) return;
  keepPlace(() => {
    const line = make("li", "note", words);
    line.dir = "auto";
    list.append(line);
  });
  tell(words);
}

export function clear() {
  list.replaceChildren();
  messages.clear();
  lastDay = "";
  unread = 0;
  hideTyping(false, true);
  showStarters();
  showJump();
}

function showStarters() {
  if (!starters.length || messages.size) return;
  const row = at("starters");
  row.setAttribute("aria-label", texts.starters);
  row.replaceChildren(...starters.map((question) => {
    const button = makeButton("", question, () => actions.ask(question));
    button.dir = "auto";
    return button;
  }));
  row.hidden = false;
}

function hideStarters() {
  at("starters").hidden = true;
}
