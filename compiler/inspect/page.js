"use strict";

(async () => {
  const $ = (id) => document.getElementById(id);

  // Whatever comes from an artefact becomes text, never markup.
  const make = (tag, name = "", text = "") => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== "") node.textContent = text;
    return node;
  };
  const unpack = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  const packed = new Blob([unpack($("data").textContent)]);
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  const data = JSON.parse(await new Response(stream).text());

  // ---- what is linked with what

  const instructions = [];
  const ofOrigin = data.origins.map(() => []);
  data.functions.forEach((one, number) => {
    let place = 0;
    one.first = instructions.length;
    one.blocks.forEach(([count], block) => {
      for (let i = 0; i < count; i += 1, place += 1) {
        const [slot, raw, text, note, origin] = one.instructions[place];
        ofOrigin[origin].push(instructions.length);
        instructions.push({ function: number, block, starts: i === 0, slot, raw, text, note, origin });
      }
    });
  });
  const ways = data.ways.map((way) => ({ ...way, bits: unpack(way.executed), rules: [] }));
  data.wayOf.forEach((way, rule) => { if (way >= 0) ways[way].rules.push(rule); });
  const runs = (way, number) => (way.bits[number >> 3] >> (number & 7)) & 1;

  const linked = (kind, number) => {
    if (kind === "rule") {
      const way = ways[data.wayOf[number]];
      const found = way ? instructions.map((_, i) => i).filter((i) => runs(way, i)) : [];
      return { rules: [number], origins: [...new Set(found.map((i) => instructions[i].origin))], found };
    }
    const found = kind === "origin" ? ofOrigin[number] : [number];
    const origins = kind === "origin" ? [number] : [instructions[number].origin];
    const rules = ways.filter((way) => found.some((i) => runs(way, i))).flatMap((way) => way.rules);
    return { rules, origins, found };
  };

  // ---- the three columns

  const panes = { policy: $("policy"), source: $("source"), bpf: $("bpf") };
  const rows = { rule: [], origin: [], instruction: [] };
  const everyRow = { policy: [], source: [], bpf: [] };

  const addRow = (pane, row, kind, number, words) => {
    row.classList.add("row");
    row.setAttribute("role", "option");
    row.id = `${pane}-${everyRow[pane].length}`;
    row.words = words.toLowerCase();
    if (kind) {
      row.kind = kind;
      row.number = number;
      rows[kind][number] = row;
    } else {
      row.classList.add("plain");
      row.setAttribute("aria-disabled", "true");
    }
    everyRow[pane].push(row);
    return row;
  };

  const fillPolicy = () => {
    const items = data.rules.map((rule, number) => ({ file: rule[4], line: rule[5], rule, number }));
    data.origins.forEach(([file, line], number) => {
      if (!data.files[file].template) items.push({ file: data.files[file].name, line, origin: number });
    });
    items.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line));
    const all = document.createDocumentFragment();
    let file = null;
    for (const item of items) {
      if (item.file !== file) {
        file = item.file;
        all.append(make("div", "group", file || "unknown file"));
      }
      const row = make("div");
      if (item.rule) {
        const [id, action, policy, inbound, , line, text] = item.rule;
        row.append(make("span", "place", `line ${line}, rule ${id}`), make("span", `badge ${action}`, action));
        row.append(make("span", "subject", inbound ? `${policy}, inbound` : policy), make("span", "text", text));
        addRow("policy", row, "rule", item.number, `${file}:${line} ${action} ${policy} ${text}`);
      } else {
        const text = lineText(item.origin);
        row.append(make("span", "place", `line ${item.line}`), make("span", "text", text));
        addRow("policy", row, "origin", item.origin, `${file}:${item.line} ${text}`);
      }
      all.append(row);
    }
    panes.policy.append(all);
    const count = data.rules.length.toLocaleString("en");
    $("policy-note").textContent = `${count} rules, rebuilt from the artefact`;
  };

  const lineText = (origin) => {
    const [file, line] = data.origins[origin];
    const found = data.files[file].lines.find(([number]) => number === line);
    return found ? found[1] : "";
  };

  const fillSource = () => {
    const numbers = new Map(data.origins.map(([file, line], number) => [`${file}:${line}`, number]));
    const all = document.createDocumentFragment();
    data.files.forEach((file, place) => {
      if (!file.template) return;
      const title = make("div", "group", file.whole ? file.name : `${file.name}: only lines that became code`);
      title.id = `file-${place}`;
      all.append(title);
      $("files").append(new Option(file.name, title.id));
      for (const [line, text] of file.lines) {
        const origin = numbers.get(`${place}:${line}`);
        const row = make("div");
        const gutter = make("span", "number", `${line}`);
        if (origin !== undefined) {
          gutter.title = `${ofOrigin[origin].length} instructions`;
          gutter.append(make("small", "", ` ${ofOrigin[origin].length}`));
        }
        row.append(gutter, make("span", "text", text.replaceAll("\t", "    ") || " "));
        const kind = origin === undefined ? null : "origin";
        all.append(addRow("source", row, kind, origin, `${file.name}:${line} ${text}`));
      }
    });
    panes.source.append(all);
  };

  const fillBpf = () => {
    const all = document.createDocumentFragment();
    instructions.forEach((one, number) => {
      const owner = data.functions[one.function];
      if (owner.first === number) {
        const kind = owner.hook ? `${owner.hook} program` : "function";
        const title = make("div", "group", `${owner.name}: ${kind}, ${owner.size} instructions, worst path ${owner.worst}`);
        title.id = `function-${one.function}`;
        all.append(title);
        $("functions").append(new Option(owner.name, title.id));
      }
      if (one.starts) {
        const to = owner.blocks[one.block][1].map(([next, back]) => `B${next}${back ? " (back)" : ""}`);
        all.append(make("div", "label", `B${one.block}:${to.length ? ` to ${to.join(", ")}` : " end"}`));
      }
      const row = make("div");
      row.title = one.raw;
      row.append(make("span", "number", `${one.slot}`), make("span", "text", one.text));
      if (one.note) row.append(make("span", "note", one.note));
      const [file, line] = data.origins[one.origin];
      const words = `${one.slot} ${one.text} ${one.note} ${owner.name} ${data.files[file].name}:${line}`;
      all.append(addRow("bpf", row, "instruction", number, words));
    });
    panes.bpf.append(all);
  };

  // ---- links shown

  let pinned = null;
  let place = -1;
  const marked = { lit: [], hot: [] };
  const MOST_HOT = 300;

  const mark = (name, kind, number) => {
    for (const row of marked[name]) row.classList.remove(name);
    marked[name] = [];
    if (!kind) return null;
    const links = linked(kind, number);
    const chosen = [...links.origins.map((i) => rows.origin[i]), ...links.found.map((i) => rows.instruction[i])];
    if (name === "lit" || links.rules.length <= MOST_HOT) chosen.push(...links.rules.map((i) => rows.rule[i]));
    for (const row of chosen) {
      if (!row) continue;
      row.classList.add(name);
      marked[name].push(row);
    }
    return links;
  };

  const reveal = (row, pane) => {
    if (!row || !pane) return;
    const top = row.offsetTop - pane.clientHeight / 3;
    if (row.offsetTop < pane.scrollTop + 30 || row.offsetTop > pane.scrollTop + pane.clientHeight - 40) {
      pane.scrollTop = Math.max(0, top);
    }
  };

  const plural = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

  const describe = (kind, number, links) => {
    if (kind === "rule") {
      const [id, action, policy, , file, line, text] = data.rules[number];
      const way = ways[data.wayOf[number]];
      const start = `Rule ${id}, ${file}:${line}, ${policy} ${action}: ${text}. `;
      if (!way) return start + (data.complaint || "No packet was found that it decides: other rules take them all.");
      const who = `${way.user} ${way.inbound ? "from" : "to"} ${way.address} ${way.service}`;
      const own = way.rule === id ? "Such a packet" : `Rule ${way.rule} is of its kind; a packet of that rule`;
      const login = way.authed ? ", logged in," : "";
      return `${start}${own} (${who})${login} ${way.passes ? "passes" : "is dropped"} after ${plural(way.steps, "instruction")}, `
        + `${links.found.length.toLocaleString("en")} different ones.`;
    }
    const [file, line] = data.origins[links.origins[0]];
    const where = `${data.files[file].name}:${line}`;
    const taken = `on the way of ${plural(links.rules.length, "rule")}`;
    if (kind === "origin") return `${where} became ${plural(links.found.length, "instruction")}, ${taken}.`;
    const one = instructions[number];
    const owner = data.functions[one.function].name;
    return `${owner} B${one.block}, slot ${one.slot}: ${one.text}${one.note ? ` (${one.note})` : ""}; from ${where}, ${taken}.`;
  };

  const pin = (kind, number, from) => {
    const before = marked.pinned;
    if (before) before.classList.remove("pinned");
    mark("hot");
    pinned = kind ? { kind, number } : null;
    const links = mark("lit", kind, number);
    place = -1;
    if (!kind) {
      marked.pinned = null;
      $("status").textContent = "Point at a line to see its counterparts; click, or press Enter, to keep them.";
      return;
    }
    marked.pinned = rows[kind][number];
    marked.pinned.classList.add("pinned");
    pinned.found = links.found;
    $("status").textContent = describe(kind, number, links);
    const near = (list, table) => list.map((i) => table[i]).filter(Boolean);
    const inPane = (list, pane) => list.find((row) => panes[pane].contains(row));
    if (from !== "policy") reveal(near(links.rules, rows.rule)[0], panes.policy);
    if (from !== "source") reveal(inPane(near(links.origins, rows.origin), "source"), panes.source);
    if (from === "bpf") return;
    const first = near(links.found, rows.instruction)[0];
    reveal(first, panes.bpf);
    setCursor("bpf", first ?? null);
  };

  const step = (distance) => {
    if (!pinned || !pinned.found.length) return;
    place = (place + distance + pinned.found.length) % pinned.found.length;
    const row = rows.instruction[pinned.found[place]];
    setCursor("bpf", row);
    reveal(row, panes.bpf);
    const links = linked(pinned.kind, pinned.number);
    $("status").textContent = `${place + 1} of ${pinned.found.length}: ${describe(pinned.kind, pinned.number, links)}`;
  };

  // ---- pointer and keys in the columns

  const cursors = { policy: null, source: null, bpf: null };

  const setCursor = (pane, row) => {
    cursors[pane]?.classList.remove("at");
    cursors[pane] = row;
    if (!row) return;
    row.classList.add("at");
    panes[pane].setAttribute("aria-activedescendant", row.id);
  };

  for (const [name, pane] of Object.entries(panes)) {
    pane.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (!row?.kind) return;
      setCursor(name, row);
      const again = pinned && pinned.kind === row.kind && pinned.number === row.number;
      pin(again ? null : row.kind, row.number, name);
    });
    pane.addEventListener("pointerover", (event) => {
      const row = event.target.closest(".row");
      mark("hot", row?.kind, row?.number);
    });
    pane.addEventListener("pointerleave", () => mark("hot"));
    pane.addEventListener("keydown", (event) => {
      const visible = everyRow[name].filter((row) => row.kind && !row.hidden);
      const at = visible.indexOf(cursors[name]);
      const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
      if (event.key in moves && visible.length) {
        const to = Math.min(Math.max(at + moves[event.key], 0), visible.length - 1);
        setCursor(name, visible[to]);
        reveal(visible[to], pane);
        mark("hot", visible[to].kind, visible[to].number);
      } else if (event.key === "Enter" && cursors[name]) {
        pin(cursors[name].kind, cursors[name].number, name);
      } else {
        return;
      }
      event.preventDefault();
    });
  }
  const follow = (pane, chooser) => {
    const titles = [...panes[pane].querySelectorAll(".group")];
    panes[pane].addEventListener("scroll", () => {
      const passed = titles.filter((title) => title.nextElementSibling.offsetTop <= panes[pane].scrollTop + 60);
      if (passed.length) chooser.value = passed[passed.length - 1].id;
    });
  };
  // A title sticks to the top, so that its own place is not where it belongs.
  const jump = (pane, id) => { panes[pane].scrollTop = $(id).nextElementSibling.offsetTop - $(id).offsetHeight; };
  $("files").addEventListener("change", (event) => jump("source", event.target.value));
  $("functions").addEventListener("change", (event) => jump("bpf", event.target.value));

  // ---- the other views

  const lines = (parent, list) => {
    const all = make("div", "lines");
    for (const line of list) all.append(make("div", "", line || " "));
    parent.append(all);
    return all;
  };

  const fillTables = (view) => {
    const bar = make("div", "bar contents");
    view.append(bar);
    for (const table of data.tables) {
      const title = make("h3", "", table.name);
      const button = make("button", "", table.name);
      button.type = "button";
      button.addEventListener("click", () => title.scrollIntoView());
      bar.append(button);
      view.append(title);
      const sizes = table.tables.map(([name, size]) => `${name} ${size.toLocaleString("en")} B`).join(", ");
      view.append(make("p", "quiet", sizes));
      lines(view, table.lines);
      if (table.more) {
        view.append(make("p", "quiet", `There is more: wardgate inspect ${data.name} --table ${table.name}`));
      }
    }
  };

  const grid = (parent, head, body) => {
    const table = make("table");
    const top = table.createTHead().insertRow();
    head.forEach((text, i) => top.append(make("th", typeof body[0]?.[i] === "string" ? "" : "right", text)));
    const rest = table.createTBody();
    for (const cells of body) {
      const row = rest.insertRow();
      cells.forEach((text) => row.append(make("td", typeof text === "string" ? "" : "right", shown(text))));
    }
    parent.append(table);
  };

  const shown = (value) => (value === null ? "-" : typeof value === "number" ? value.toLocaleString("en") : value);
  const ns = (picoseconds) => (picoseconds === null ? null : picoseconds / 1000);

  const fillCost = (view) => {
    const found = data.certificate;
    if (!found) {
      view.append(make("p", "", "The artefact has no cost certificate."));
      return;
    }
    view.append(make("h3", "", "Forms of tables, and what they add to a decision"));
    grid(view, ["structure", "form", "loads", "bytes", "hot ns", "busy ns", "spread ns", "next best"], found.choices.map((c) => [
      c.structure, c.parameter ? `${c.variant} ${c.parameter}` : c.variant, c.loads, c.bytes, ns(c.hot), ns(c.busy), ns(c.spread),
      c.reason,
    ]));
    view.append(make("h3", "", "What a TCP segment meets at most"));
    grid(view, ["a TCP segment", "table loads", "map lookups", "counters", "hot ns", "busy ns", "spread ns"], found.paths.map((p) => [
      p.packet, p.table_loads, p.map_lookups, p.counters, ns(p.hot), ns(p.busy), ns(p.spread),
    ]));
    view.append(make("h3", "", "Kernel memory of maps"));
    grid(view, ["map", "entries", "bytes", "a device", "an address", "a CPU"], found.maps.map((m) => [
      m.name, m.entries, m.bytes, m.slot, m.address, m.processor,
    ]));
    view.append(make("p", "", `Tables: ${shown(found.table_bytes)} bytes, in the kernel ${shown(found.kernel_table_bytes)}; `
      + `spread traffic touches ${shown(found.touched)} bytes for ${shown(found.devices)} devices. `
      + (found.linux ? `The largest table needs Linux ${found.linux}.` : "")));
  };

  // ---- the graph

  let drawn = -1;
  let zoom = 1;
  let size = { width: 1, height: 1 };

  const resize = (to) => {
    zoom = Math.min(Math.max(to, 0.05), 4);
    const svg = $("graph").querySelector("svg");
    if (!svg) return;
    svg.setAttribute("width", size.width * zoom);
    svg.setAttribute("height", size.height * zoom);
  };
  const fit = () => resize(Math.min($("graph").clientWidth / size.width, $("graph").clientHeight / size.height));

  const draw = (number) => {
    const pane = $("graph");
    if (number === drawn) return;
    drawn = number;
    $("graph-function").value = number;
    pane.replaceChildren();
    if (!data.graphs.length) {
      pane.append(make("p", "", `There are no graphs in this page: where it was made, there was no Graphviz. ${data.remedy}.`));
      return;
    }
    const parsed = new DOMParser().parseFromString(data.graphs[number], "image/svg+xml").documentElement;
    const svg = document.importNode(parsed, true);
    const box = svg.viewBox.baseVal;
    size = { width: box.width, height: box.height };
    pane.append(svg);
    resize(Math.min(1.2, Math.max(0.6, pane.clientWidth / size.width)));
    pane.scrollTop = 0;
    pane.scrollLeft = (pane.scrollWidth - pane.clientWidth) / 2;
  };

  const showBlock = (number, block) => {
    draw(number);
    const pane = $("graph");
    pane.querySelector(".current")?.classList.remove("current");
    const node = [...pane.querySelectorAll(".node")].find((one) => one.id === `f0_B${block}`);
    if (!node) return;
    node.classList.add("current");
    node.scrollIntoView({ block: "center", inline: "center" });
  };

  const blockOf = (node) => Number(node.id.replace(/^f0_B/, ""));

  const fillGraph = () => {
    data.functions.forEach((one, number) => $("graph-function").append(new Option(one.name, number)));
    $("graph-function").addEventListener("change", (event) => draw(Number(event.target.value)));
    $("zoom-in").addEventListener("click", () => resize(zoom * 1.25));
    $("zoom-out").addEventListener("click", () => resize(zoom / 1.25));
    $("zoom-fit").addEventListener("click", fit);
    const pane = $("graph");
    let from = null;
    pane.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, y: event.clientY, left: pane.scrollLeft, top: pane.scrollTop, moved: false };
    });
    pane.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return;
      const [x, y] = [event.clientX - from.x, event.clientY - from.y];
      from.moved ||= Math.abs(x) + Math.abs(y) > 4;
      if (!from.moved) return;
      pane.classList.add("dragged");
      pane.scrollLeft = from.left - x;
      pane.scrollTop = from.top - y;
    });
    pane.addEventListener("pointerup", () => pane.classList.remove("dragged"));
    pane.addEventListener("click", (event) => {
      event.preventDefault();
      if (from?.moved) return;
      const link = event.target.closest("a");
      const target = link?.getAttribute("xlink:href") ?? link?.getAttribute("href");
      if (target) {
        showBlock(drawn, Number(target.replace(/^#f0_B/, "")));
        return;
      }
      const node = event.target.closest(".node");
      if (!node) return;
      const number = instructions.findIndex((one) => one.function === drawn && one.block === blockOf(node));
      if (number < 0) return;
      show("code");
      pin("instruction", number, "");
    });
    pane.addEventListener("keydown", (event) => {
      if (event.key === "+") resize(zoom * 1.25);
      else if (event.key === "-") resize(zoom / 1.25);
      else if (event.key === "0") fit();
    });
  };

  // ---- views, search, theme

  const VIEWS = { code: "Code", summary: "Summary", graph: "Graph", tables: "Tables", maps: "Maps", cost: "Cost", manifest: "Manifest" };
  const FILL = {
    summary: (view) => lines(view, data.summary),
    tables: fillTables,
    maps: (view) => lines(view, data.maps),
    cost: fillCost,
    manifest: (view) => lines(view, JSON.stringify(data.manifest, null, 2).split("\n")),
  };
  let view = "code";

  const show = (name) => {
    view = name;
    for (const [key] of Object.entries(VIEWS)) {
      const chosen = key === name;
      $(`view-${key}`).hidden = !chosen;
      $(`tab-${key}`).setAttribute("aria-selected", chosen);
      $(`tab-${key}`).tabIndex = chosen ? 0 : -1;
    }
    if (FILL[name]) {
      FILL[name]($(`view-${name}`));
      delete FILL[name];
    }
    if (name === "graph") draw(drawn < 0 ? 0 : drawn);
    search();
  };

  const fillTabs = () => {
    const names = Object.keys(VIEWS);
    names.forEach((name, number) => {
      const tab = make("button", "", VIEWS[name]);
      tab.type = "button";
      tab.id = `tab-${name}`;
      tab.title = `${number + 1}`;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", `view-${name}`);
      tab.addEventListener("click", () => show(name));
      tab.addEventListener("keydown", (event) => {
        const distance = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!distance) return;
        const next = names[(number + distance + names.length) % names.length];
        show(next);
        $(`tab-${next}`).focus();
      });
      $("tabs").append(tab);
    });
  };

  let matches = [];
  let match = -1;

  const search = () => {
    const words = $("search").value.trim().toLowerCase();
    for (const row of document.querySelectorAll(".found, .current:not(.node)")) row.classList.remove("found", "current");
    matches = [];
    match = -1;
    let said = "";
    if (view === "code") {
      const counts = {};
      for (const name of Object.keys(panes)) {
        const found = words ? everyRow[name].filter((row) => row.words.includes(words)) : [];
        for (const row of found) row.classList.add("found");
        counts[name] = found.length;
        matches.push(...found);
      }
      // Of ten thousand rules, those that are looked for are what one wants to see.
      for (const row of everyRow.policy) row.hidden = counts.policy > 0 && !row.classList.contains("found");
      if (words) {
        said = `${plural(counts.policy, "rule")}, ${plural(counts.source, "line")}, ${plural(counts.bpf, "instruction")}`;
        for (const [name, pane] of Object.entries(panes)) reveal(matches.find((row) => pane.contains(row)), pane);
      }
    } else if (view === "graph") {
      for (const node of $("graph").querySelectorAll(".node")) {
        const found = words !== "" && node.textContent.toLowerCase().includes(words);
        node.classList.toggle("lit", found);
        if (found) matches.push(node);
      }
      if (words) said = plural(matches.length, "block");
    } else {
      for (const line of $(`view-${view}`).querySelectorAll(".lines > div, tbody tr")) {
        const found = words !== "" && line.textContent.toLowerCase().includes(words);
        line.hidden = words !== "" && !found && line.matches(".lines > div");
        if (!found) continue;
        line.classList.add("found");
        matches.push(line);
      }
      if (words) said = plural(matches.length, "line");
    }
    $("found").textContent = said;
  };

  const goThrough = (distance) => {
    if (!matches.length) return;
    matches[match]?.classList.remove("current");
    match = (match + distance + matches.length) % matches.length;
    matches[match].classList.add("current");
    matches[match].scrollIntoView({ block: "center" });
    $("found").textContent = `${match + 1} of ${matches.length.toLocaleString("en")}`;
  };

  $("search").addEventListener("input", search);
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") goThrough(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") {
      $("search").value = "";
      search();
      $("search").blur();
    }
  });

  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const setDark = () => root.toggleAttribute("data-dark", isDark());
  const swapTheme = () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    setDark();
  };
  dark.addEventListener("change", setDark);
  $("theme").addEventListener("click", swapTheme);
  const toggleHelp = () => {
    $("keys").hidden = !$("keys").hidden;
    $("help").setAttribute("aria-expanded", !$("keys").hidden);
  };
  $("help").addEventListener("click", toggleHelp);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const names = Object.keys(VIEWS);
    if (event.key === "/") $("search").focus();
    else if (event.key === "t") swapTheme();
    else if (event.key === "?") toggleHelp();
    else if (event.key === "n" && view === "code") step(1);
    else if (event.key === "p" && view === "code") step(-1);
    else if (event.key === "Escape") pin(null);
    else if (event.key === "g" && view === "code") {
      const row = cursors.bpf ?? rows.instruction[pinned?.found?.[0] ?? 0];
      const one = instructions[row.number];
      show("graph");
      showBlock(one.function, one.block);
    } else if (event.key >= "1" && event.key <= `${names.length}` && !event.target.closest("#graph")) {
      show(names[Number(event.key) - 1]);
    } else return;
    event.preventDefault();
  });

  $("name").textContent = data.name;
  $("name").title = data.name;
  setDark();
  fillTabs();
  fillPolicy();
  fillSource();
  fillBpf();
  follow("source", $("files"));
  follow("bpf", $("functions"));
  fillGraph();
  pin(null);
  show("code");
  // The columns begin at the same place: what the first program begins with.
  const begin = linked("instruction", 0).origins.map((i) => rows.origin[i]).find((row) => panes.source.contains(row));
  if (begin) reveal(begin, panes.source);
  root.dataset.ready = "yes";
})();
