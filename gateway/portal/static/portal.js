"use strict";
// What the page does besides working without this: tell at once what happened to the session, show times as the
// user's clock does, print. Texts become text nodes only.
(() => {
  const KEPT_MS = 120000;
  const main = document.querySelector("main");
  const news = document.getElementById("news");

  for (const time of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    const today = moment.toDateString() === new Date().toDateString();
    time.textContent = today
      ? moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
      : moment.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  }

  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }

  if (!("live" in main.dataset) || !("EventSource" in window)) return;

  // News outlives a reload for a while, for it is the reload's reason.
  function kept() {
    try {
      const all = JSON.parse(sessionStorage.getItem("news") || "[]");
      return all.filter((item) => Date.now() - item.at < KEPT_MS).slice(-5);
    } catch {
      return [];
    }
  }

  function show() {
    // Other pages have the form itself, or say why there is none.
    const link = location.pathname === "/" && main.dataset.state === "authorised" ? document.createElement("a") : null;
    const nodes = kept().map((item) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = item.text;
      return paragraph;
    });
    if (link && nodes.length) {
      link.href = "/login";
      link.textContent = "Log in";
      nodes[nodes.length - 1].append(" ", link);
    }
    news.replaceChildren(...nodes);
  }

  function tell(text) {
    const items = kept().filter((item) => item.text !== text);
    items.push({ at: Date.now(), text });
    try {
      sessionStorage.setItem("news", JSON.stringify(items.slice(-5)));
    } catch {
      // Without storage the news is gone with the page.
    }
    show();
  }

  function forget() {
    try {
      sessionStorage.removeItem("news");
    } catch {
      // There is none then.
    }
    show();
  }

  // The server knows what the page should be. Who is typing is not interrupted: sending the form tells as well.
  function typing() {
    const field = document.getElementById("code");
    return Boolean(field && field.value);
  }

  function reread() {
    if (!typing()) location.reload();
  }

  function data(event) {
    try {
      return JSON.parse(event.data);
    } catch {
      return {};
    }
  }

  const source = new EventSource("/events");
  source.addEventListener("state", (event) => {
    const state = data(event).state;
    if (state && state !== main.dataset.state) reread();
  });
  source.addEventListener("session", (event) => {
    const { change, reason } = data(event);
    if (change === "ended") {
      // The page that is loaded next says that a session is over, and these two reasons.
      if (typing() || (reason && !["expired", "idle"].includes(reason))) tell("Your session has ended" + (reason ? ": " + reason : "") + ".");
    } else {
      forget();
    }
    reread();
  });
  source.addEventListener("needs-login", (event) => {
    const { destination, service, reason } = data(event);
    tell(`${destination}${service ? " " + service : ""} needs a login${reason ? ": " + reason : ""}.`);
  });
  // After a login, what asked for it is no news.
  if (document.querySelector(".notice.good")) forget();
  // What a form does is told by the page that it leads to; a reload would get in its way.
  document.addEventListener("submit", () => source.close());
  window.addEventListener("pagehide", () => source.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  show();
})();
