"use strict";
// Makes the device's key in the page, where the browser can, and the configuration of what the server answers.
// The private key is in this page's memory, and in what the user takes from it.
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId("enrol");
  const problem = byId("problem");
  let pair = null;
  let taken = true;

  // A link brings the token behind #, which browsers send to nobody. It does not stay in the address bar.
  function tokenFromLink() {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!token) return;
    byId("token").value = token;
    history.replaceState(null, "", location.pathname);
    byId("name").focus();
  }
  tokenFromLink();
  window.addEventListener("hashchange", tokenFromLink);

  function base64(fromUrl) {
    return fromUrl.replace(/-/g, "+").replace(/_/g, "/").padEnd(44, "=");
  }

  // WireGuard's keys are those of X25519 (RFC 7748), in base64.
  async function makePair() {
    const made = await crypto.subtle.generateKey({ name: "X25519" }, true, ["deriveBits"]);
    const { d, x } = await crypto.subtle.exportKey("jwk", made.privateKey);
    return { private: base64(d), public: base64(x) };
  }

  function complain(text) {
    problem.textContent = text;
    problem.hidden = !text;
    if (text) problem.scrollIntoView({ block: "nearest" });
  }

  function filled(text) {
    const line = "PrivateKey = " + pair.private;
    const place = /^[# ]*PrivateKey *=.*$/m;
    const there = place.test(text) ? text.replace(place, () => line) : text.replace(/^\[Interface\]$/m, (head) => head + "\n" + line);
    // What the text says of filling it in is done.
    return there.replace(/^#.*PrivateKey.*\n/gm, "");
  }

  function present(text, name) {
    const download = byId("download");
    download.download = name;
    download.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
    download.addEventListener("click", () => { taken = true; });
    byId("text").textContent = text;
    const code = Qr.encode(new TextEncoder().encode(text));
    byId("qr").hidden = !code;
    byId("too-long").hidden = Boolean(code);
    if (code) byId("qr").replaceChildren(Qr.svg(code));
    byId("title").textContent = document.title = "This device is enrolled";
    form.hidden = true;
    byId("done").hidden = false;
    byId("done").focus();
    taken = false;
  }

  window.addEventListener("beforeunload", (event) => {
    if (!taken) event.preventDefault();
  });

  async function enrol(event) {
    event.preventDefault();
    const buttons = form.querySelectorAll("button");
    complain("");
    buttons.forEach((button) => { button.disabled = true; });
    try {
      const answer = await fetch("/enrol/api", {
        method: "POST",
        headers: { "content-type": "application/json" },
        credentials: "omit",
        body: JSON.stringify({
          token: byId("token").value.trim(),
          name: byId("name").value.trim(),
          public_key: pair.public,
        }),
      });
      const said = await answer.json();
      if (answer.ok) present(filled(said.configuration), said.file_name);
      else complain(said.error);
    } catch {
      complain("The gateway did not answer. Is this device online? Try again.");
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
    }
  }

  // Without X25519 (an old browser, or no HTTPS) the form stays as it is, and the user makes the key.
  (async () => {
    try {
      pair = await makePair();
    } catch {
      return;
    }
    byId("by-hand").hidden = true;
    byId("public_key").disabled = true;
    byId("as-file").hidden = true;
    byId("in-page").hidden = false;
    form.addEventListener("submit", enrol);
    form.dataset.ready = "";
  })();
})();
