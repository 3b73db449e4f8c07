// What this browser keeps of the chat: nothing of a message but those that are not sent yet.
const PREFIX = "qwendesk.";

export function recall(name) {
  try {
    return localStorage.getItem(PREFIX + name) || "";
  } catch { // storage is forbidden: the conversation lasts as long as the page
    return "";
  }
}

export function keep(name, value) {
  try {
    if (value) localStorage.setItem(PREFIX + name, value);
    else localStorage.removeItem(PREFIX + name);
  } catch { /* storage is forbidden or full */ }
}

export function random(bytes) {
  const drawn = crypto.getRandomValues(new Uint8Array(bytes));
  return btoa(String.fromCharCode(...drawn)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// another tab of this browser has changed something
export function onChange(name, callback) {
  addEventListener("storage", (event) => { if (event.key === PREFIX + name) callback(event.newValue || ""); });
}
