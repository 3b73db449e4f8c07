// Opens the chat in a corner of any page: <script src="https://desk.example/channels/web/widget.js" defer></script>
(() => {
  "use strict";
  const page = new URL("./", document.currentScript.src);
  const { lang } = document.currentScript.dataset; // data-lang="it"; else the browser's language
  if (lang) page.searchParams.set("lang", lang);
  const style = (element, rules) => Object.assign(element.style, rules);
  const corner = { position: "fixed", insetInlineEnd: "20px", zIndex: "2147483000" };

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
    ...corner, bottom: "20px", width: "56px", height: "56px", border: "0", borderRadius: "50%", cursor: "pointer",
    display: "grid", placeItems: "center", padding: "0", color: "#fff", background: QWENDESK.accent, boxShadow: "0 4px 16px #0005",
  });

  let frame = null;
  const make = () => {
    frame = document.createElement("iframe");
    frame.src = page;
    frame.title = QWENDESK.title;
    style(frame, {
      ...corner, bottom: "88px", width: "min(400px, calc(100vw - 40px))", height: "min(640px, calc(100vh - 110px))",
      border: "0", borderRadius: "16px", boxShadow: "0 8px 40px #0006", colorScheme: "auto",
    });
    document.body.append(frame);
  };
  const show = (open) => {
    if (open && !frame) make(); // nothing is loaded before somebody wants to talk
    frame.style.display = open ? "block" : "none";
    button.setAttribute("aria-expanded", String(open));
    (open ? frame : button).focus();
  };

  button.addEventListener("click", () => show(button.getAttribute("aria-expanded") !== "true"));
  window.addEventListener("message", (event) => {
    if (frame && event.source === frame.contentWindow && event.data && event.data.qwendesk === "close") show(false);
  });
  document.body.append(button);
})();
