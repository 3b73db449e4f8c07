// Opens the chat in a corner of any page: <script src="https://desk.example/channels/web/widget.js" defer></script>
(() => {
  "use strict";
  const script = document.currentScript;
  const page = new URL("./", script.src);
  // data-lang="it", else the browser's language; data-identity, data-user-id with data-user-hash, or data-identity-url
  const { lang, identity, userId, userHash, identityUrl } = script.dataset;
  if (lang) page.searchParams.set("lang", lang);
  let shown = identity ? { identity } : userId ? { user_id: userId, user_hash: userHash || "" } : null;
  let isAsking = false;
  const style = (element, rules) => Object.assign(element.style, rules);
  const corner = { position: "fixed", insetInlineEnd: "max(20px, env(safe-area-inset-right))", zIndex: "2147483000" };
  const small = matchMedia("(max-width: 30rem), (max-height: 26rem)");

  const icon = () => {
    const make = (name, attributes) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      return element;
    };
    const drawing = make("svg", { viewBox: "0 0 24 24", width: 28, height: 28, fill: "currentColor", "aria-hidden": true });
    drawing.append(make("path", { d: "M5 3h14a3 3 0 0 1 3 3v8a3 3 0 0 1-3 3h-7l-5.5 4.5V17H5a3 3 0 0 1-3-3V6a3 3 0 0 1 3-3z" }));
    return drawing;
  };

  const button = document.createElement("button");
  button.type = "button";
  button.append(icon());
  button.setAttribute("aria-label", QWENDESK.title);
  button.setAttribute("aria-expanded", "false");
  style(button, {
    ...corner, bottom: "max(20px, env(safe-area-inset-bottom))", width: "56px", height: "56px", border: "0", borderRadius: "50%",
    cursor: "pointer", display: "grid", placeItems: "center", padding: "0", color: QWENDESK.ink, background: QWENDESK.accent,
    boxShadow: "0 4px 16px #0005",
  });

  let frame = null;
  const fit = () => {
    if (!frame) return;
    style(frame, small.matches
      ? { position: "fixed", inset: "0", width: "100%", height: "100dvh", border: "0", borderRadius: "0", zIndex: corner.zIndex, colorScheme: "auto" }
      : {
        ...corner, inset: "auto", insetInlineEnd: corner.insetInlineEnd, bottom: "88px", width: "min(400px, calc(100vw - 40px))",
        height: "min(640px, calc(100vh - 110px))", border: "0", borderRadius: "16px", boxShadow: "0 8px 40px #0006", colorScheme: "auto",
      });
  };
  const make = () => {
    frame = document.createElement("iframe");
    if (shown || identityUrl) page.searchParams.set("identity", "1"); // the chat waits for it
    frame.src = page;
    frame.title = QWENDESK.title;
    frame.allow = "clipboard-write";
    fit();
    document.body.append(frame);
  };
  small.addEventListener("change", fit);
  const show = (open) => {
    if (open && !frame) make(); // nothing is loaded before somebody wants to talk
    if (frame) frame.style.display = open ? "block" : "none";
    button.style.display = open && small.matches ? "none" : "grid";
    button.setAttribute("aria-expanded", String(open));
    if (frame) (open ? frame : button).focus();
  };

  // who is logged in: only the chat's own page gets it
  const pass = () => {
    if (frame) frame.contentWindow.postMessage({ qwendesk: "identity", ...(shown || {}) }, page.origin);
  };
  const identify = (given) => {
    shown = typeof given === "string" && given ? { identity: given }
      : given && given.user_id ? { user_id: String(given.user_id), user_hash: String(given.user_hash || "") } : null;
    pass();
  };
  // the shop's own address answers with a new token, or with nothing once the customer has logged out
  const fetchIdentity = async () => {
    if (!identityUrl || isAsking) return pass();
    isAsking = true;
    try {
      const response = await fetch(identityUrl, { credentials: "same-origin", cache: "no-store" });
      identify(response.ok ? (await response.text()).trim() : null);
    } catch {
      pass(); // what is known may still be good
    } finally {
      isAsking = false;
    }
  };

  button.addEventListener("click", () => show(button.getAttribute("aria-expanded") !== "true"));
  window.addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow || event.origin !== page.origin || !event.data) return;
    if (event.data.qwendesk === "close") show(false);
    if (event.data.qwendesk === "ready") shown ? pass() : fetchIdentity();
    if (event.data.qwendesk === "identity-wanted") {
      if (event.data.reason === "expired" && !identityUrl) {
        window.dispatchEvent(new CustomEvent("qwendesk:identity-wanted"));
      } else if (event.data.reason === "expired") {
        fetchIdentity();
      }
    }
  });
  document.body.append(button);
  window.qwendesk = { open: () => show(true), close: () => show(false), identify, logout: () => identify(null) };
})();
