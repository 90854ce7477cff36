// The distribution trees: who follows whom, how far each node is, and what is on its way.
import { change, get, notice } from "./live.js";
import { bytes, make, makeSVG, seconds, set } from "./text.js";

const $ = id => document.getElementById(id);
const column = { origin: 90, hub: 400, edge: 710 };
const rowHeight = 30;
const stale = 3; // seconds without a word after which a node counts as behind

let timer = 0, showing = "";
const rows = new Map();

// show starts or ends the asking, which goes on while the page is seen.
export function show(visible) {
  clearInterval(timer);
  if (!visible) return;
  load();
  timer = setInterval(load, 1000);
}

async function load() {
  if (document.hidden) return;
  try {
    const { trees } = await get("/api/v1/tree");
    const select = $("tree-of");
    if (!select.options.length) select.append(...trees.map(t => make("option", { value: t.origin }, t.origin)));
    const tree = trees.find(t => t.origin === select.value) || trees[0];
    set($("tree-position"), tree.error || `journal at ${tree.seq}, epoch ${tree.epoch}; events after ${tree.horizon} can be replayed`);
    if (!tree.error) {
      draw(tree);
      list(tree);
    }
  } catch (e) { notice(e.message); }
}

// status says how a node is, for its colour and for those who do not see that.
function status(n) {
  if (!n.up) return "away";
  if (n.lag > 0 || n.staleness_s > stale) return "behind";
  return n.pending > 0 ? "receiving" : "current";
}

// lanes puts the children of a node below each other, and it in their middle.
function lanes(tree) {
  const at = new Map(), below = new Map();
  for (const n of tree.nodes) {
    const parent = n.up && n.parent ? n.parent : "";
    if (!below.has(parent)) below.set(parent, []);
    below.get(parent).push(n);
  }
  let next = 0;
  const place = n => {
    const children = below.get(n.node) || [];
    const ys = children.map(place);
    const y = ys.length ? (ys[0] + ys[ys.length - 1]) / 2 : next++ * rowHeight;
    at.set(n.node, y);
    return y;
  };
  const top = (below.get(tree.origin) || []).map(place);
  at.set(tree.origin, top.length ? (top[0] + top[top.length - 1]) / 2 : next++ * rowHeight);
  for (const n of below.get("") || []) if (!at.has(n.node)) place(n);
  return { at, height: next * rowHeight };
}

function draw(tree) {
  const shape = JSON.stringify(tree.nodes.map(n => [n.node, n.up && n.parent, status(n)]));
  if (shape === showing) return;
  showing = shape;
  const { at, height } = lanes(tree);
  const svg = $("tree");
  svg.setAttribute("viewBox", `0 -20 900 ${height + 20}`);
  const lines = [], dots = [];
  const dot = (name, role, kind, y) => dots.push(makeSVG("g", { class: `treenode ${role} ${kind}`, transform: `translate(${column[role]} ${y})`, "data-tree-node": name }));
  dot(tree.origin, "origin", "current", at.get(tree.origin));
  const roleOf = new Map([[tree.origin, "origin"], ...tree.nodes.map(n => [n.node, n.role])]);
  for (const n of tree.nodes) {
    const y = at.get(n.node), kind = status(n);
    dot(n.node, n.role, kind, y);
    if (!n.up || !at.has(n.parent)) continue;
    const x0 = column[roleOf.get(n.parent)], y0 = at.get(n.parent), x1 = column[n.role], mid = (x0 + x1) / 2;
    lines.push(makeSVG("path", { class: "branch " + kind, d: `M${x0} ${y0}C${mid} ${y0} ${mid} ${y} ${x1} ${y}` }));
  }
  for (const g of dots) {
    const name = g.getAttribute("data-tree-node");
    const leaf = g.classList.contains("edge");
    const text = makeSVG("text", leaf ? { x: 12, y: 4 } : { x: 0, y: -12, "text-anchor": "middle" });
    text.textContent = name;
    g.append(makeSVG("circle", { r: 6 }), text);
  }
  svg.replaceChildren(...lines, ...dots);
}

function list(tree) {
  const body = $("tree-nodes").tBodies[0];
  for (const n of tree.nodes) {
    let row = rows.get(n.node);
    if (!row) {
      row = [0, 1, 2, 3, 4, 5, 6].map(() => make("td"));
      rows.set(n.node, row);
      body.append(make("tr", { "data-tree-row": n.node }, ...row));
    }
    row[0].className = n.up ? "" : "down";
    [n.node, n.up ? n.parent : "nobody", n.seq, n.lag, n.staleness_s < 0 ? "never" : seconds(n.staleness_s) + " ago", n.pending ? n.pending + " objects" : "–", bytes(n.received)].forEach((text, i) => set(row[i], String(text)));
  }
}
$("tree-of").addEventListener("change", load);

// Purging and pushing, on the page of the caches.
const done = text => set($("cache-done"), text);

$("purge-form").addEventListener("submit", async event => {
  event.preventDefault();
  const what = $("purge-what").value, value = $("purge-value").value.trim();
  if (what !== "all" && !value) return notice("Say what is to be purged.");
  const answer = await change("POST", "/api/v1/purge", { [what]: what === "all" ? true : value, soft: $("purge-soft").checked });
  if (!answer) return;
  const missing = [...answer.unreachable, ...answer.pending];
  done(`Purged at ${answer.nodes.filter(n => n.applied).length} of ${answer.nodes.length} caches; no live one served the old for longer than ${answer.max_staleness_ms.toFixed(1)} ms.` + (missing.length ? ` Not at ${missing.join(", ")}.` : ""));
});
$("purge-what").addEventListener("change", () => { $("purge-value").hidden = $("purge-what").value === "all"; });

$("push-form").addEventListener("submit", async event => {
  event.preventDefault();
  const urls = $("push-urls").value.split(/\s+/).filter(Boolean);
  if (!urls.length) return notice("Name the URLs to push.");
  done("Pushing …");
  const answer = await change("POST", "/api/v1/push", { urls, to: $("push-to").value });
  if (!answer) return done("");
  done(answer.objects.map(o => o.error ? `${o.url}: ${o.error}` : `${o.url}: ${o.nodes.filter(n => n.applied).length} of ${o.nodes.length} nodes have what is for them`).join("; "));
});

export function fillPlaces(topology) {
  const groups = role => [...new Set(topology.nodes.filter(n => n.role === role).map(n => n.group))];
  $("push-to").append(make("option", { value: "" }, "everywhere"), make("option", { value: "hubs" }, "all hubs"), make("option", { value: "edges" }, "all edges"),
    ...[...groups("hub"), ...groups("edge")].map(g => make("option", { value: g }, g)));
}
