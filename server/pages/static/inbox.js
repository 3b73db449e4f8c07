// The inbox: keeps lists and tickets up to date, keyboard, drafts, notifications. Every function has a plain form, too.
"use strict";
(() => {
  const root = document.querySelector("[data-stream]");
  const rows = document.getElementById("rows");
  const ticket = root?.dataset.ticket;
  const policy = window.trustedTypes?.createPolicy("desk", { createHTML: (html) => html });
  const title = document.title;
  let chosen = -1;

  const parsed = (html) => {
    const template = document.createElement("template");
    template.innerHTML = policy ? policy.createHTML(html) : html;
    return template.content.firstElementChild;
  };
  const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const store = (name, value) => { try { localStorage.setItem(name, value); } catch { /* no storage: it is not kept */ } };
  const areOn = () => stored("desk-keys") !== "off";
  const token = () => document.querySelector('input[name="csrf"]')?.value ?? "";
  // a new session, begun in another tab, has another token
  const renewToken = async () => {
    const answer = await fetch("/desk/token", { redirect: "manual", cache: "no-store" });
    if (!answer.ok) return;
    const { token: now } = await answer.json();
    for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = now;
    document.body.setAttribute("hx-headers:inherited", JSON.stringify({ "X-CSRF-Token": now }));
  };
  const postOnce = (address, values, more) =>
    fetch(address, {
      method: "POST", keepalive: true, redirect: "manual",
      headers: { "X-CSRF-Token": token(), ...more }, body: new URLSearchParams(values),
    });
  const post = async (address, values, more = {}) => {
    const answer = await postOnce(address, values, more);
    if (answer.status !== 403) return answer;
    await renewToken();
    return postOnce(address, values, more);
  };

  // times: how long ago, in the browser's time zone on hover

  const UNITS = [[31536000, "year"], [2592000, "month"], [86400, "day"], [3600, "hour"], [60, "minute"]];
  const words = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
  const showTimes = (within = document) => {
    for (const time of within.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      const seconds = (at - Date.now()) / 1000;
      const unit = UNITS.find(([size]) => Math.abs(seconds) >= size);
      time.textContent = unit ? words.format(Math.trunc(seconds / unit[0]), unit[1]) : words.format(0, "second");
      time.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "short" });
    }
  };
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const fill = () => {
    showTimes();
    for (const field of document.querySelectorAll("[data-zone]")) field.value = zone;
    for (const hidden of document.querySelectorAll(".scripted")) hidden.hidden = false;
  };

  // live: one stream for the page

  let isLoading = false, isStale = false;
  const loadTicket = async () => {
    if (isLoading) { isStale = true; return; }
    isLoading = true;
    const seen = document.visibilityState === "visible" ? "?seen=1" : "";
    try {
      await htmx.ajax("GET", `/desk/tickets/${ticket}/live${seen}`, { target: "#live", swap: "innerMorph" });
    } finally {
      isLoading = false;
    }
    if (isStale) { isStale = false; await loadTicket(); }
  };
  const showRow = (row) => {
    if (!rows) return;
    const there = document.getElementById(`t${row.number}`);
    if (row.matches === false) {
      there?.remove();
    } else if (there || row.matches) {
      const made = parsed(row.html);
      const box = made.querySelector("input");
      box.checked = there?.querySelector("input")?.checked ?? false;
      if (there?.classList.contains("chosen")) made.classList.add("chosen");
      const focused = there?.contains(document.activeElement) ? document.activeElement.localName : "";
      if (there) there.replaceWith(made);
      else if (!new URLSearchParams(location.search).get("page")) rows.prepend(made);
      if (focused) made.querySelector(focused === "input" ? "input" : "a").focus();
      showTimes(made);
    }
    document.getElementById("empty").hidden = rows.childElementCount > 0;
  };
  const showColleagues = (there) => {
    const line = document.getElementById("colleagues");
    if (!line) return;
    line.replaceChildren(...there.map((one) => {
      const mark = document.createElement("span"), name = document.createElement("bdi");
      mark.className = one.typing ? "mark typing" : "mark";
      name.textContent = one.name;
      mark.append(name, one.typing ? " is typing" : " looks at this, too");
      return mark;
    }));
  };
  const lost = (text, link) => {
    document.getElementById("lost")?.remove();
    if (!text) return;
    const line = document.createElement("p");
    line.id = "lost"; line.className = "warning lost"; line.setAttribute("role", "status");
    line.append(text);
    if (link) { const a = document.createElement("a"); a.href = link; a.textContent = " Log in"; line.append(a); }
    document.getElementById("main").prepend(line);
  };

  let waiting = 0;
  const badge = (more) => {
    waiting = more ? waiting + more : 0;
    document.title = waiting ? `(${waiting}) ${title}` : title;
  };
  const notify = (row) => {
    if (!row.notice) return;
    const told = document.getElementById("told");
    if (told) told.textContent = `Ticket #${row.number} ${row.notice}`;
    if (document.visibilityState === "visible") return;
    badge(1);
    if (stored("desk-notify") !== "on" || !("Notification" in window) || Notification.permission !== "granted") return;
    // no text of a message: notifications are shown on locked screens
    const shown = new Notification(`Ticket #${row.number} ${row.notice}`, { tag: `desk-${row.number}` });
    shown.onclick = () => { window.focus(); location.href = `/desk/tickets/${row.number}`; };
  };
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") return;
    badge(0);
    renewToken().catch(() => {});
    if (ticket) loadTicket();
  });

  const listen = () => {
    const address = new URL(root.dataset.stream.replace("/desk/tickets", "/desk/stream"), location.origin);
    address.searchParams.set("since", root.dataset.since);
    if (ticket) address.searchParams.set("ticket", ticket);
    const stream = new EventSource(address);
    stream.addEventListener("open", () => { lost(""); root.dataset.live = "on"; });
    stream.addEventListener("error", () => {
      root.dataset.live = "off";
      const isOver = stream.readyState === EventSource.CLOSED;
      lost(isOver ? "You are not logged in any more, or the desk is away; this page is not up to date." : "Connecting to the desk again …", isOver ? "/desk/login" : "");
    });
    stream.addEventListener("closed", () => { stream.close(); lost("You are not logged in any more; what you have written is kept.", "/desk/login"); });
    stream.addEventListener("desk", (event) => {
      const told = JSON.parse(event.data);
      if (told.reload) { if (ticket) loadTicket(); else location.reload(); return; }
      for (const row of told.rows) { showRow(row); notify(row); }
      for (const [name, count] of Object.entries(told.counts ?? {})) {
        for (const place of document.querySelectorAll(`[data-count="${name}"]`)) place.textContent = count;
      }
      if (told.colleagues) showColleagues(told.colleagues);
      if (told.deleted) lost("This ticket was deleted with its customer.");
      else if (told.ticket) loadTicket();
    });
    addEventListener("pagehide", () => stream.close());
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  };

  const sent = new URLSearchParams(location.search).get("sent");
  if (sent) {
    try { sessionStorage.removeItem(`desk-draft-${sent}`); } catch { /* no storage */ }
    const address = new URL(location.href);
    address.searchParams.delete("sent");
    history.replaceState(null, "", address);
  }

  // drafts: kept by the desk while one types, and in this tab in case the session has ended

  const state = document.getElementById("draft-state");
  for (const field of document.querySelectorAll("textarea[data-draft]")) {
    const name = `desk-draft-${ticket}-${field.dataset.draft}`;
    const kept = (() => { try { return sessionStorage.getItem(name); } catch { return null; } })();
    if (kept && kept !== field.value && kept.startsWith(field.value)) field.value = kept;
    let timer = 0, typed = 0;
    const save = async () => {
      timer = 0;
      try {
        const answer = await post(`/desk/tickets/${ticket}/draft`, { kind: field.dataset.draft, text: field.value }, { "X-Draft": "1" });
        if (state) state.textContent = answer.status === 204 ? "Draft kept" : "The draft is kept in this tab only: log in again";
      } catch {
        if (state) state.textContent = "The draft is kept in this tab only: the desk is away";
      }
    };
    field.addEventListener("input", () => {
      try { sessionStorage.setItem(name, field.value); } catch { /* no storage */ }
      if (!timer) timer = setTimeout(save, 800);
      if (Date.now() - typed > 3000) {
        typed = Date.now();
        post(`/desk/tickets/${ticket}/present`, { typing: field.dataset.draft }).catch(() => {});
      }
    });
    field.addEventListener("keydown", (event) => {
      const isAtBegin = field.selectionStart === field.selectionEnd && /(^|\n)$/.test(field.value.slice(0, field.selectionStart));
      const canned = document.getElementById("canned");
      if (event.key === "/" && field.id === "reply-text" && isAtBegin && canned && areOn()) {
        event.preventDefault();
        canned.open = true;
        canned.querySelector("input[type=search]").focus();
      }
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
        event.preventDefault();
        field.form.requestSubmit(field.form.querySelector("button:not([name])") ?? undefined);
      }
    });
    // what is sent stays in this tab until the next page says that it has arrived
    field.form.addEventListener("submit", () => { clearTimeout(timer); timer = 1; });
  }
  if (ticket && document.getElementById("reply")) {
    const present = () => { if (document.visibilityState === "visible") post(`/desk/tickets/${ticket}/present`, {}).catch(() => {}); };
    present();
    setInterval(present, 20000);
  }
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-insert]");
    const field = document.getElementById("reply-text");
    if (!form || !field) return;
    event.preventDefault();
    const text = form.querySelector('[name="text"]').value;
    form.closest("#canned")?.removeAttribute("open");
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    field.focus();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });

  const canned = document.getElementById("canned");
  canned?.querySelector("input[type=search]").addEventListener("input", (event) => {
    const words = event.target.value.toLocaleLowerCase();
    for (const one of canned.querySelectorAll("form")) one.hidden = !one.textContent.toLocaleLowerCase().includes(words);
  });
  canned?.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { canned.open = false; focus("reply-text"); event.stopPropagation(); }
    if (event.key === "Enter" && event.target.type === "search") {
      event.preventDefault();
      canned.querySelector("form:not([hidden]) button")?.click();
    }
  });

  // keyboard

  const listed = () => [...(rows?.children ?? [])];
  const choose = (number) => {
    const all = listed();
    if (!all.length) return;
    chosen = Math.max(0, Math.min(all.length - 1, number));
    for (const [place, row] of all.entries()) row.classList.toggle("chosen", place === chosen);
    all[chosen].querySelector("a").focus();
    all[chosen].scrollIntoView({ block: "nearest" });
  };
  const current = () => listed().findIndex((row) => row.classList.contains("chosen"));
  const focus = (id) => {
    const field = document.getElementById(id);
    field?.closest("details")?.setAttribute("open", "");
    field?.focus();
    field?.scrollIntoView({ block: "center" });
  };
  const press = (key) => {
    const button = document.querySelector(`[data-key="${key}"]`);
    if (button?.tagName === "SUMMARY") { button.parentElement.open = true; button.parentElement.querySelector("button").focus(); }
    else button?.click();
  };
  const bulk = (action) => {
    const row = listed()[current()];
    const form = document.getElementById("bulk");
    if (!row || !form) return;
    for (const box of document.querySelectorAll('#rows input[type="checkbox"]')) box.checked = row.contains(box);
    form.elements.action.value = action;
    form.requestSubmit();
  };
  const KEYS = {
    j: () => choose(current() + 1),
    k: () => choose(current() - 1),
    Enter: () => listed()[current()]?.querySelector("a").click(),
    x: () => listed()[current()]?.querySelector("input").click(),
    r: () => focus("reply-text"),
    n: () => focus("note-text"),
    a: () => (ticket ? press("a") : bulk("take")),
    e: () => (ticket ? press("e") : bulk("resolve")),
    s: () => (ticket ? press("s") : bulk("snooze:tomorrow")),
    u: () => document.querySelector('[data-act="back"]')?.click(),
    "/": () => (ticket ? (location.href = "/desk/tickets?view=all#q") : focus("q")),
    "?": () => document.getElementById("keys")?.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const place = event.target;
    if (event.key === "Escape" && place.matches?.("input, textarea, select")) { place.blur(); return; }
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat && event.key !== "j" && event.key !== "k") return;
    if (place.matches?.("input:not([type='checkbox']), textarea, select, [contenteditable], audio") || place.closest?.("dialog[open]")) return;
    if (event.key === "Enter" && place.matches?.("a, button, summary, input")) return;
    if (!areOn() && event.key !== "?") return;
    const act = Object.hasOwn(KEYS, event.key) && KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  document.addEventListener("click", async (event) => {
    const act = event.target.closest("[data-act]")?.dataset.act;
    if (act === "help") KEYS["?"]();
    if (act === "keys-on") store("desk-keys", event.target.checked ? "on" : "off");
    if (act === "select-all") for (const box of document.querySelectorAll('#rows input[type="checkbox"]')) box.checked = event.target.checked;
    if (act === "back" && document.referrer.startsWith(`${location.origin}/desk/tickets?`)) { event.preventDefault(); location.href = document.referrer; }
    if (act === "notify") {
      const given = "Notification" in window ? await Notification.requestPermission() : "denied";
      store("desk-notify", given === "granted" ? "on" : "off");
      event.target.textContent = given === "granted" ? "Notifications are on" : "The browser does not allow notifications";
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  const keysOn = document.querySelector('[data-act="keys-on"]');
  if (keysOn) keysOn.checked = areOn();

  fill();
  setInterval(showTimes, 30000);
  document.addEventListener("htmx:after:swap", fill);
  // a page that nobody sees asks for nothing; it loads itself when it is seen again
  document.addEventListener("htmx:before:request", (event) => {
    if (document.hidden && event.target.matches?.(".poll")) event.preventDefault();
    // what failed before says nothing of what is tried now
    else if (event.target.closest?.("form")) document.getElementById("alerts")?.replaceChildren();
  });
  if (root) listen();
  if (location.hash === "#q") focus("q");
  else if (ticket && !location.hash) document.getElementById("newest")?.scrollIntoView({ block: "center" });
})();
